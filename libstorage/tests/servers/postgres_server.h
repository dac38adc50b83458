// A PostgreSQL server for tests: Debian's binaries, a cluster of its own on a TCP
// port and a unix socket of its own. One a test binary, a database each test place.
#ifndef LIBSTORAGE_TESTS_SERVERS_POSTGRES_SERVER_H_
#define LIBSTORAGE_TESTS_SERVERS_POSTGRES_SERVER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/servers/process.h"

namespace storage::servers {

class PostgresServer {
 public:
  static constexpr char kUser[] = "stg";  // owns the databases; no superuser
  static constexpr char kPassword[] = "geheim:%/@ wort";

  // The server of this test binary, started at the first call; a server that
  // cannot be started ends the binary as failed. Thread-safe.
  static PostgresServer& Shared();

  // One with a cluster of its own, for tests that stop and kill it.
  // settings: lines of postgresql.conf. access: lines of pg_hba.conf for connections
  // over TCP, in the place of passwords for everybody.
  static absl::StatusOr<std::unique_ptr<PostgresServer>> Start(
      const std::vector<std::string>& settings = {}, const std::string& access = "");
  ~PostgresServer();

  int port() const { return port_; }
  Process* process() { return process_.get(); }
  // SIGKILL to everything; Restart recovers. Restart also after a Stop.
  void Kill() { process_->Kill(); }
  absl::Status Restart();

  // An endpoint over TCP. The database is created at the first call with its name.
  std::string Uri(const std::string& database, const std::string& options = "");
  static std::string UriOf(const std::string& user, const std::string& password, int port,
                           const std::string& database, const std::string& options = "");
  // The database of a test place: the same place is the same database.
  std::string Place(const std::string& place);

  // As superuser; columns of the first row joined by '|'. Fails the test on an error.
  std::string Sql(const std::string& database, const std::string& sql);
  void CreateDatabase(const std::string& database);

 private:
  PostgresServer() : dir_("postgres") {}
  absl::Status Init(const std::vector<std::string>& settings, const std::string& access);
  absl::Status Launch();

  ServerDir dir_;
  int port_ = 0;
  std::unique_ptr<Process> process_;
  std::map<std::string, std::string> places_;
  std::map<std::string, bool> databases_;
};

}  // namespace storage::servers

#endif  // LIBSTORAGE_TESTS_SERVERS_POSTGRES_SERVER_H_
