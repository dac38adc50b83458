// A database of the shared server for each place (directory) of a test.
// Threads: one at a time.
#ifndef LIBSTORAGE_TESTS_SERVERS_MARIADB_PLACES_H_
#define LIBSTORAGE_TESTS_SERVERS_MARIADB_PLACES_H_

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/servers/mariadb_server.h"

namespace storage::servers {

inline MysqlOptions OptionsAt(const std::string& place) {
  static auto* const databases = new std::map<std::string, std::string>;
  MariadbServer& server = MariadbServer::Shared();
  std::string& database = (*databases)[place];
  if (database.empty()) database = server.NewDatabase();
  return server.Options(database);
}

// An endpoint over TCP to a database of NewDatabase.
inline std::string EndpointOf(const MariadbServer& server, const std::string& database) {
  return absl::StrCat("mysql://", database, ":", server.Password(database),
                      "@tcp(127.0.0.1:", server.port(), ")/", database);
}

}  // namespace storage::servers

#endif  // LIBSTORAGE_TESTS_SERVERS_MARIADB_PLACES_H_
