// PostgreSQL's SQLSTATEs as our codes: the one table of this driver.
// Threads: pure functions.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_ERRORS_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_ERRORS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "src/base/log.h"
#include "src/base/status.h"

namespace storage::postgres {

// Which database: for messages and the slow log. No secrets.
struct Site {
  std::string name;   // of the backend
  std::string where;  // "host:port/database"
  Logger* logger = nullptr;
  int64_t slow_ns = 0;  // 0 = calls are not timed
};

void Log(const Site& site, LogLevel level, const std::string& message);

// state: five characters, or "" for an error of libpq itself, which is an outage.
// what says what was being done ("reading an object"), detail is the server's text.
absl::Status FromSqlState(std::string_view state, std::string_view what, std::string_view detail,
                          const Site& site);

// The same for a commit of which it is not known whether it happened.
absl::Status OutcomeUnknown(std::string_view state, std::string_view detail, const Site& site);

// INVALID for a server that lacks settings of our sessions. version: as libpq gives
// it, 150004 for 15.4.
absl::Status CheckServerVersion(int version, const Site& site);

absl::Status Refuse(const Site& site, const std::string& why);  // INVALID: "<where> <why>"

// Six bits a character, as the server's own MAKE_SQLSTATE; 0 for "".
int32_t PackSqlState(std::string_view state);

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_ERRORS_H_
