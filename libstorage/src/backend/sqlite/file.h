// The file of a database as the file system has it. Threads: any.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_FILE_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_FILE_H_

#include <sys/types.h>

#include <cstdint>

#include "absl/status/statusor.h"
#include "src/backend/sqlite/errors.h"

namespace storage::sqlite {

// On disk: the database, or its log ("-wal").
int64_t FileBytes(const Site& site, const char* suffix);

// Which file an open connection looks at: a path can be replaced under us.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
};
absl::StatusOr<FileIdentity> IdentifyFile(const Site& site);
// UNAVAILABLE when the path now names another file or none.
absl::Status CheckSameFile(const Site& site, const FileIdentity& opened);

}  // namespace storage::sqlite

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_FILE_H_
