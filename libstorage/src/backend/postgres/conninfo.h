// What is written in an endpoint, as what libpq is told.
// Threads: values.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_CONNINFO_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_CONNINFO_H_

#include <string>
#include <utility>
#include <vector>

#include "src/backend/postgres/postgres.h"

namespace storage::postgres {

// Limits on one try: with what a busy machine adds, all below the three seconds after which
// Kubernetes gives up.
inline constexpr int64_t kConnectMs = 2200;
inline constexpr int64_t kLockMs = 1800;
inline constexpr int64_t kStatementMs = 2000;    // less than our patience: the server ends it
inline constexpr int64_t kPatienceMs = 2200;     // without a byte from the server
inline constexpr int64_t kScanMs = 30000;        // the same, for reads of many rows
inline constexpr int64_t kReaderIdleMs = 60000;  // a snapshot that nobody reads

struct ConnInfo {
  std::vector<std::pair<std::string, std::string>> values;  // may hold a password
  std::string where;                                        // "host:port/database"
  std::string tls_remedy;  // of a handshake that fails: names the files in use
};

// INVALID, without a word of the endpoint, when libpq cannot read it.
absl::StatusOr<ConnInfo> ParseConnInfo(const PostgresOptions& options);

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_CONNINFO_H_
