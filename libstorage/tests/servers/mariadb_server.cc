#include "tests/servers/mariadb_server.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace storage::servers {
namespace {

constexpr char kServer[] = "/usr/sbin/mariadbd";
constexpr char kInstall[] = "/usr/bin/mariadb-install-db";
constexpr char kClient[] = "/usr/bin/mariadb";
constexpr char kAdmin[] = "/usr/bin/mariadb-admin";

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

}  // namespace

absl::Status MariadbServer::Install() {
  const std::string data = directory_.path() + "/data";
  // A server that starts removes the temporary tables that it finds, also those of others.
  return RunToEnd(
      ProcessSpec{
          {kInstall, "--no-defaults", "--datadir=" + data, "--tmpdir=" + directory_.path(),
           "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"},
          "mysql",
          directory_.path(),
          directory_.path() + "/install.log",
          {}},
      absl::Seconds(60));
}

absl::Status MariadbServer::Run() {
  const std::string& path = directory_.path();
  std::vector<std::string> argv = {kServer,
                                   "--no-defaults",
                                   "--datadir=" + path + "/data",
                                   "--socket=" + socket_,
                                   absl::StrCat("--port=", port_),
                                   "--bind-address=127.0.0.1",
                                   "--pid-file=" + path + "/pid",
                                   "--tmpdir=" + path,
                                   "--skip-name-resolve",
                                   "--innodb-buffer-pool-size=64M",
                                   "--innodb-log-file-size=32M",
                                   "--innodb-fast-shutdown=2",
                                   "--table-open-cache=400",
                                   "--performance-schema=OFF",
                                   "--secure-file-priv=" + path};
  argv.insert(argv.end(), arguments_.begin(), arguments_.end());
  if (const char* logs = std::getenv("STG_MARIADB_LOGS"); logs != nullptr) {
    argv.push_back("--general-log");
    argv.push_back(absl::StrCat("--general-log-file=", logs, "/", port_, ".log"));
  }
  auto process = Process::Start(ProcessSpec{argv, "mysql", path, path + "/server.log", {}});
  if (!process.ok()) return process.status();
  process_ = *std::move(process);
  const ProcessSpec ping{{kAdmin, "--no-defaults", "--socket=" + socket_, "--user=root", "ping"},
                         "",
                         "/",
                         path + "/ping.log",
                         {}};
  const bool up =
      WaitFor([&] { return !process_->Running() || RunToEnd(ping, absl::Seconds(10)).ok(); },
              absl::Seconds(60));
  if (up && process_->Running()) return absl::OkStatus();
  return MakeStatus(Code::kInternal,
                    absl::StrCat("mariadbd does not answer: ", TailOf(path + "/server.log")));
}

absl::StatusOr<std::unique_ptr<MariadbServer>> MariadbServer::Start(
    const std::vector<std::string>& arguments) {
  for (const char* program : {kServer, kInstall, kClient, kAdmin}) {
    if (access(program, X_OK) == 0) continue;
    return MakeStatus(Code::kInternal, absl::StrCat("missing: ", program, "; run build/deps.sh"));
  }
  std::unique_ptr<MariadbServer> server(new MariadbServer);
  server->arguments_ = arguments;
  server->socket_ = server->directory_.path() + "/s";
  server->port_ = FreePort();
  absl::Status status = server->Install();
  if (status.ok()) status = server->Run();
  if (!status.ok()) return status;
  return server;
}

// Its directory goes, so nothing needs an orderly end.
MariadbServer::~MariadbServer() {
  if (process_ != nullptr) process_->Kill();
}

MariadbServer& MariadbServer::Shared() {
  static const std::unique_ptr<MariadbServer>* const shared = [] {
    auto started = Start();
    if (!started.ok()) {
      std::fprintf(stderr, "%s\n", started.status().ToString().c_str());
      std::exit(1);
    }
    static std::unique_ptr<MariadbServer> server = *std::move(started);
    return &server;
  }();
  return **shared;
}

absl::Status MariadbServer::Restart() { return Run(); }

std::string MariadbServer::Sql(const std::string& statements, const std::string& database) {
  const std::string output = directory_.path() + "/output";
  std::remove(output.c_str());
  ProcessSpec spec{{kClient, "--no-defaults", "--socket=" + socket_, "--user=root",
                    "--skip-column-names", "--batch", "--execute=" + statements},
                   "",
                   "/",
                   output,
                   {}};
  if (!database.empty()) spec.argv.push_back(database);
  const absl::Status run = RunToEnd(spec, absl::Seconds(60));
  if (!run.ok()) {
    std::fprintf(stderr, "%s\n%s\n", statements.c_str(), run.ToString().c_str());
    std::abort();
  }
  return ReadAll(output);
}

std::string MariadbServer::NewDatabase() {
  const std::string name = absl::StrCat("d", ++databases_);
  Sql(absl::StrCat("CREATE DATABASE ", name, "; CREATE USER ", name, "@'%' IDENTIFIED BY '",
                   Password(name),
                   "'; GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, INDEX, ALTER ON ", name,
                   ".* TO ", name, "@'%'"));
  return name;
}

MysqlOptions MariadbServer::Options(const std::string& database) const {
  MysqlOptions options;
  options.name = "mysql";
  options.user = database;
  options.password = Password(database);
  options.port = port_;
  options.database = database;
  return options;
}

}  // namespace storage::servers
