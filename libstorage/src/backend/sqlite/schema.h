// What is in a SQLite file of ours: tables, versions, pragmas (docs/format.md).
// Threads: functions on one connection each.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_SCHEMA_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_SCHEMA_H_

#include <string>

#include "src/backend/backend.h"
#include "src/backend/sqlite/connection.h"
#include "src/backend/sqlite/options.h"

namespace storage::sqlite {

// The two kinds of files. The application id in the file header tells them
// apart, so that one is never opened as the other.
enum class FileKind { kObjects, kMetadata };

// Sets the pragmas of a writing connection, creates the schema in an empty
// file, or upgrades it. Refuses a newer schema and a file of another program.
absl::Status PrepareFile(Connection* connection, FileKind kind, const Settings& settings);
// The checks of PrepareFile for a connection that only reads; changes nothing.
absl::Status CheckFile(Connection* connection, FileKind kind);
absl::Status SetReaderPragmas(Connection* connection, const Settings& settings);

// Creates missing directories and an empty file that only its owner can read
// (SQLite's own would be readable by all), and syncs the directory.
absl::Status CreateFile(const Site& site);

// A value of the table meta; "" when it is missing.
absl::StatusOr<std::string> ReadMeta(Connection* connection, const std::string& name);
absl::Status WriteMeta(Connection* connection, const std::string& name, const std::string& value);

// The lane row with the counters of the undo log.
struct LaneRow : Lane {
  int64_t seq = 0;        // events ever appended
  int64_t seq_bytes = 0;  // bytes of previous values ever appended
};

inline constexpr char kSelectLane[] =
    "SELECT m_id, epoch, gen, head, ver, floor, seq, seq_bytes FROM lane WHERE id = 1";
// From a query of kSelectLane that stands on its row.
void ReadLane(const Query& query, LaneRow* lane);

}  // namespace storage::sqlite

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_SCHEMA_H_
