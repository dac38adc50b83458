// SQLite's result codes as ours: the one table of this driver.
// Threads: pure functions.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_ERRORS_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_ERRORS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "src/base/log.h"
#include "src/base/status.h"

namespace storage::sqlite {

// Whose file: for messages and the slow log.
struct Site {
  std::string name;  // of the backend
  std::string path;
  Logger* logger = nullptr;
  int64_t slow_ns = 0;  // 0 = statements are not timed
};

void Log(const Site& site, LogLevel level, const std::string& message);

// rc is an extended result code; what says what was being done ("reading an
// object"), detail is SQLite's own text.
absl::Status FromSqlite(int rc, std::string_view what, std::string_view detail, const Site& site);

// The same for a COMMIT: OUTCOME_UNKNOWN unless the code proves that the
// commit frame cannot have been written.
absl::Status FromCommit(int rc, std::string_view detail, const Site& site);

// An error of a system call on a file of ours.
absl::Status FromErrno(int error, std::string_view what, const std::string& file, const Site& site);

}  // namespace storage::sqlite

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_ERRORS_H_
