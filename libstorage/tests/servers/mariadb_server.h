// A MariaDB server of a test's own: Debian's mariadbd on a private directory, Unix
// socket and port. The data directory is made once per process and copied.
// Threads: one at a time.
#ifndef LIBSTORAGE_TESTS_SERVERS_MARIADB_SERVER_H_
#define LIBSTORAGE_TESTS_SERVERS_MARIADB_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "src/backend/mysql/mysql_backend.h"
#include "tests/servers/process.h"

namespace storage::servers {

class MariadbServer {
 public:
  // Up and answering. INTERNAL with the server's log when it is not, also when the
  // package is missing. arguments: further options of mariadbd.
  static absl::StatusOr<std::unique_ptr<MariadbServer>> Start(
      const std::vector<std::string>& arguments = {});
  ~MariadbServer();

  // The server of this test binary: started by the first that asks, with fast
  // and full syncs (its files are in memory).
  static MariadbServer& Shared();

  // An empty database and a user of the same name that owns it, nothing else.
  std::string NewDatabase();
  // How that user opens a database of NewDatabase.
  MysqlOptions Options(const std::string& database) const;
  std::string Password(const std::string& database) const { return "s3cr3t-of-" + database; }

  // Statements as root; aborts the test when they fail. Returns what the client
  // prints: rows without head, columns divided by tabs.
  std::string Sql(const std::string& statements, const std::string& database = "");

  Process& process() { return *process_; }
  void Kill() { process_->Kill(); }  // -9
  absl::Status Restart();            // after Kill, on the same files and port
  int port() const { return port_; }
  const std::string& socket() const { return socket_; }

 private:
  MariadbServer() : directory_("mysql") {}
  absl::Status Install();
  absl::Status Run();

  ServerDir directory_;
  std::vector<std::string> arguments_;
  std::string socket_;
  int port_ = 0;
  int databases_ = 0;
  std::unique_ptr<Process> process_;
};

}  // namespace storage::servers

#endif  // LIBSTORAGE_TESTS_SERVERS_MARIADB_SERVER_H_
