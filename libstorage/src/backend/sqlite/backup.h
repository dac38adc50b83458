// Copies of SQLite files of ours while a server writes them, and a way to take
// a copy back to an earlier revision (so that several copies show one moment).
// Threads: any; nothing is shared.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_BACKUP_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_BACKUP_H_

#include <cstdint>
#include <functional>
#include <string>

#include "src/base/status.h"

namespace storage {

// False stops the copy: CANCELLED.
using BackupProgress = std::function<bool(int64_t pages_done, int64_t pages_total)>;

// One consistent copy of the source (of objects or of metadata) with what is in
// its log, in one synced file that appears under its name when it is complete.
// Takes no lock of ours and disturbs no writer, but the writer's log grows
// until the copy is done. The destination must not exist.
absl::Status BackupSqlite(const std::string& source, const std::string& destination,
                          const BackupProgress& progress);

// Highest and lowest revision that a file of objects can show.
struct RevisionSpan {
  int64_t floor = 0;
  int64_t head = 0;
};
absl::StatusOr<RevisionSpan> SqliteRevisions(const std::string& path);

// Makes a file of objects, which no server has open, what it was at rev: later
// objects and events go, head becomes rev. Needs floor <= rev <= head. All or
// nothing. Afterwards the file is an older copy: start it with --storage-restored.
absl::Status RewindSqlite(const std::string& path, int64_t rev);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_BACKUP_H_
