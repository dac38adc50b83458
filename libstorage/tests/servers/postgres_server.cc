#include "tests/servers/postgres_server.h"

#include <libpq-fe.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace storage::servers {
namespace {

constexpr char kBin[] = "/usr/lib/postgresql/15/bin/";

ProcessSpec Spec(const std::string& directory, std::vector<std::string> argv) {
  ProcessSpec spec;
  spec.argv = std::move(argv);
  spec.argv[0] = kBin + spec.argv[0];
  spec.user = "postgres";
  spec.directory = directory;
  spec.log = directory + "/log";
  return spec;
}

std::string Escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    char code[4];
    std::snprintf(code, sizeof(code), "%%%02X", static_cast<unsigned char>(c));
    out += isalnum(static_cast<unsigned char>(c)) != 0 ? std::string(1, c) : code;
  }
  return out;
}

}  // namespace

PostgresServer& PostgresServer::Shared() {
  static PostgresServer* const server = [] {
    auto started = Start();
    if (!started.ok()) {
      std::fprintf(stderr, "no PostgreSQL: %s\n", started.status().ToString().c_str());
      std::_Exit(1);
    }
    // Ends with the binary: a leaked object is never destroyed, PR_SET_PDEATHSIG and this are.
    static std::unique_ptr<PostgresServer> owner = *std::move(started);
    return owner.get();
  }();
  return *server;
}

absl::StatusOr<std::unique_ptr<PostgresServer>> PostgresServer::Start(
    const std::vector<std::string>& settings, const std::string& access) {
  std::unique_ptr<PostgresServer> server(new PostgresServer);
  absl::Status status = server->Init(settings, access);
  if (status.ok()) status = server->Launch();
  if (!status.ok()) return status;
  server->Sql("postgres", absl::StrCat("CREATE ROLE ", kUser, " LOGIN PASSWORD '", kPassword, "'"));
  return server;
}

PostgresServer::~PostgresServer() {
  if (process_ != nullptr) process_->Kill();
}

absl::Status PostgresServer::Init(const std::vector<std::string>& settings,
                                  const std::string& access) {
  const std::string data = dir_.path() + "/data";
  const absl::Status made =
      RunToEnd(Spec(dir_.path(), {"initdb", "-D", data, "-A", "trust", "-U", "postgres",
                                  "--no-sync", "--encoding=UTF8", "--locale=C"}),
               absl::Minutes(2));
  if (!made.ok()) return made;
  std::ofstream hba(data + "/pg_hba.conf");
  hba << "local all all trust\n"
      << (access.empty() ? "host all all 127.0.0.1/32 scram-sha-256\n" : access);
  std::ofstream conf(data + "/postgresql.conf", std::ios::app);
  conf << "listen_addresses = '127.0.0.1'\nunix_socket_directories = '" << dir_.path()
       << "'\nmax_connections = 60\nshared_buffers = 64MB\nlog_min_messages = warning\n"
          "autovacuum_naptime = 5s\nmax_wal_size = 256MB\n";
  for (const std::string& line : settings) conf << line << "\n";
  return absl::OkStatus();
}

absl::Status PostgresServer::Launch() {
  // A port that was free may be taken a moment later; a restart keeps its own.
  const bool first = port_ == 0;
  for (int attempt = 0; attempt < 20; ++attempt) {
    if (first) port_ = FreePort();
    auto process = Process::Start(
        Spec(dir_.path(), {"postgres", "-D", dir_.path() + "/data", "-p", std::to_string(port_)}));
    if (!process.ok()) return process.status();
    process_ = *std::move(process);
    const std::string where = absl::StrCat("host=", dir_.path(), " port=", port_, " user=postgres");
    const bool up =
        WaitFor([&] { return PQping(where.c_str()) == PQPING_OK || !process_->Running(); },
                absl::Seconds(60));
    if (up && process_->Running()) return absl::OkStatus();
  }
  return MakeStatus(Code::kInternal, "postgres does not start: " + TailOf(dir_.path() + "/log"));
}

absl::Status PostgresServer::Restart() {
  process_->Stop(SIGINT, absl::Seconds(20));
  return Launch();
}

std::string PostgresServer::UriOf(const std::string& user, const std::string& password, int port,
                                  const std::string& database, const std::string& options) {
  return absl::StrCat("postgres://", Escape(user), password.empty() ? "" : ":", Escape(password),
                      "@127.0.0.1:", port, "/", database, options.empty() ? "" : "?", options);
}

std::string PostgresServer::Uri(const std::string& database, const std::string& options) {
  CreateDatabase(database);
  return UriOf(kUser, kPassword, port_, database, options);
}

void PostgresServer::CreateDatabase(const std::string& database) {
  if (!databases_.emplace(database, true).second) return;
  Sql("postgres", absl::StrCat("CREATE DATABASE ", database, " OWNER ", kUser));
}

std::string PostgresServer::Place(const std::string& place) {
  const auto it = places_.emplace(place, absl::StrCat("place", places_.size())).first;
  return Uri(it->second);
}

std::string PostgresServer::Sql(const std::string& database, const std::string& sql) {
  const std::string where =
      absl::StrCat("host=", dir_.path(), " port=", port_, " user=postgres dbname=", database,
                   " options=-cclient_min_messages=error");
  PGconn* const db = PQconnectdb(where.c_str());
  PGresult* const result = PQexec(db, sql.c_str());
  const ExecStatusType status = PQresultStatus(result);
  EXPECT_TRUE(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
      << sql << ": " << PQerrorMessage(db);
  std::string row;
  for (int column = 0; PQntuples(result) > 0 && column < PQnfields(result); ++column) {
    absl::StrAppend(&row, column == 0 ? "" : "|", PQgetvalue(result, 0, column));
  }
  PQclear(result);
  PQfinish(db);
  return row;
}

}  // namespace storage::servers
