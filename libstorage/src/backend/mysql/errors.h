// Error numbers of MySQL, MariaDB and their client library as ours: the one
// table of this driver. Threads: pure functions.
#ifndef LIBSTORAGE_SRC_BACKEND_MYSQL_ERRORS_H_
#define LIBSTORAGE_SRC_BACKEND_MYSQL_ERRORS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "src/base/log.h"
#include "src/base/status.h"

namespace storage::mysql {

// Which database: for messages and the slow log. Never holds a password.
struct Site {
  std::string name;   // of the backend
  std::string where;  // "127.0.0.1:3306/db"
  Logger* logger = nullptr;
  int64_t slow_us = 0;  // 0 = statements are not timed
};

// What the guard of a lane transaction, and of the metadata store, raises when
// it is not passed: a number out of range, whatever the SQL mode.
inline constexpr unsigned kGuardError = 1690;

void Log(const Site& site, LogLevel level, const std::string& message);

// what says what was being done ("reading an object"), detail is the server's text.
absl::Status FromMysql(unsigned number, std::string_view what, std::string_view detail,
                       const Site& site);

// The same for an error that came instead of COMMIT's reply: OUTCOME_UNKNOWN
// unless the number proves that the transaction was rolled back.
absl::Status FromCommit(unsigned number, std::string_view detail, const Site& site);

// True for the numbers of the client library: the server may have run anything.
bool IsClientError(unsigned number);

// True when the connection is of no use after this error.
bool LosesConnection(unsigned number);

}  // namespace storage::mysql

#endif  // LIBSTORAGE_SRC_BACKEND_MYSQL_ERRORS_H_
