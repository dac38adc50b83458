// A database of the shared server for each place (directory) of a test.
// Threads: one at a time.
#ifndef LIBSTORAGE_TESTS_SERVERS_MARIADB_PLACES_H_
#define LIBSTORAGE_TESTS_SERVERS_MARIADB_PLACES_H_

#include <map>
#include <string>

#include "tests/servers/mariadb_server.h"

namespace storage::servers {

inline MysqlOptions OptionsAt(const std::string& place) {
  static auto* const databases = new std::map<std::string, std::string>;
  MariadbServer& server = MariadbServer::Shared();
  std::string& database = (*databases)[place];
  if (database.empty()) database = server.NewDatabase();
  return server.Options(database);
}

}  // namespace storage::servers

#endif  // LIBSTORAGE_TESTS_SERVERS_MARIADB_PLACES_H_
