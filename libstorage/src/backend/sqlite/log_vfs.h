// A VFS over the default one that writes the frames of a commit with few calls.
// SQLite writes each frame of its log in two pieces, 24 bytes and a page, and a
// commit has dozens; they are gathered here and written when the log is synced.
//
// Sound only while every COMMIT syncs the log (synchronous >= FULL): SQLite then
// publishes frames to other connections after the sync, so nobody looks for what
// is still here. Whatever else touches the log writes it out first.
// Threads: a connection's own.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_LOG_VFS_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_LOG_VFS_H_

struct sqlite3;

namespace storage::sqlite {

// For sqlite3_open_v2; gathers nothing until told to.
const char* LogVfs();

// Of a connection that was opened with LogVfs().
void GatherLogWrites(sqlite3* db, bool on);

}  // namespace storage::sqlite

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_LOG_VFS_H_
