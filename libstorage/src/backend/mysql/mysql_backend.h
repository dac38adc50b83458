// MySQL and MariaDB (InnoDB) as a backend and as the metadata store.
// docs/format-mysql.md has the tables, the options and the errors.
//
// One connection, the lane's, writes. Reads have a small pool of their own. Every
// call that finds its connection broken makes one attempt to connect again.
#ifndef LIBSTORAGE_SRC_BACKEND_MYSQL_MYSQL_BACKEND_H_
#define LIBSTORAGE_SRC_BACKEND_MYSQL_MYSQL_BACKEND_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "src/backend/backend.h"
#include "src/backend/metadata.h"
#include "src/backend/tls.h"
#include "src/base/log.h"

namespace storage {

struct MysqlOptions {
  std::string name;  // of the backend, for messages and metrics
  std::string user, password;
  std::string host = "127.0.0.1";
  int port = 3306;
  std::string socket;  // a Unix socket instead of host and port; "" = none
  std::string database;
  // After the '?' of a Go DSN: honoured, accepted and logged, or refused by name.
  std::map<std::string, std::string> options;
  BackendTls tls;  // files or skip_verify make TLS mandatory
  struct Pool {    // of the reading connections; 0 = ours
    int64_t max_idle = 0, max_open = 0, max_life_time_ms = 0, max_idle_life_time_ms = 0;
  } pool;
  int64_t slow_sql_ms = 0;   // statements that take longer are logged; 0 = off
  Logger* logger = nullptr;  // may be null; outlives the backend
};

// Fills user, password, address and database from an endpoint in the form of the
// Go driver, "mysql://user:password@tcp(host:port)/database?...". The options
// stay as they are. INVALID without repeating any of the text.
absl::Status ReadMysqlDsn(std::string_view endpoint, MysqlOptions* options);

absl::StatusOr<std::unique_ptr<Backend>> OpenMysqlBackend(const MysqlOptions& options);
// several: other servers may have it too (SharedMetadata), unless it is on a Galera cluster;
// otherwise it is claimed alone.
absl::StatusOr<std::unique_ptr<MetadataStore>> OpenMysqlMetadata(const MysqlOptions& options,
                                                                 bool several);
// What it says now, beside the servers that use it: without a claim, and nothing is made or
// changed. Where there is none: nothing that existed.
absl::StatusOr<MetaState> PeekMysqlMetadata(const MysqlOptions& options);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BACKEND_MYSQL_MYSQL_BACKEND_H_
