// The options of a SQLite DSN: those of the Go driver mattn/go-sqlite3, which
// users have in their topologies. Pure functions: thread-safe.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_OPTIONS_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "src/backend/sqlite/sqlite.h"

namespace storage::sqlite {

enum class Synchronous { kOff = 0, kNormal = 1, kFull = 2, kExtra = 3 };

struct Settings {
  Synchronous synchronous = Synchronous::kFull;
  int64_t busy_ms = 5000;
  int64_t cache_size = 0;                   // as PRAGMA cache_size; 0 = ours
  std::string secure_delete = "OFF";        // OFF, ON or FAST
  std::vector<std::string> without_effect;  // "name=value" of what was accepted and ignored
};

// INVALID, naming the option and what to write instead.
absl::StatusOr<Settings> ParseOptions(const SqliteOptions& options);

}  // namespace storage::sqlite

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_OPTIONS_H_
