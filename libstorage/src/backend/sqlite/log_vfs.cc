#include "src/backend/sqlite/log_vfs.h"

#include <sqlite3.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace storage::sqlite {
namespace {

constexpr char kName[] = "libstorage-log";
constexpr int kGather = 0x53544c47;      // file control of our own; const bool*
constexpr int kBufferBytes = 127 << 10;  // the unix VFS writes less than 128 KiB at once

// SQLite allocates it, zeroed or not, and calls no destructor.
struct File {
  sqlite3_file base;
  sqlite3_file* real;
  File* log;       // of a database: its log, once that is open
  File* database;  // of a log
  bool gather;     // of a database
  char* buffer;    // of a log; bytes that belong at begin
  int64_t begin;
  int size;
};

File* Of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
sqlite3_file* Real(sqlite3_file* file) { return Of(file)->real; }
const sqlite3_io_methods* Do(sqlite3_file* file) { return Real(file)->pMethods; }
// The default VFS of now: tests replace it.
sqlite3_vfs* Under() { return sqlite3_vfs_find(nullptr); }

// What failed is dropped: SQLite gives the transaction up and writes its frames
// to the same place again.
int Flush(sqlite3_file* f) {
  File* const file = Of(f);
  if (file->size == 0) return SQLITE_OK;
  const int size = file->size;
  file->size = 0;
  return Do(f)->xWrite(Real(f), file->buffer, size, file->begin);
}

int Close(sqlite3_file* f) {
  File* const file = Of(f);
  const int flushed = Flush(f);
  if (file->database != nullptr) file->database->log = nullptr;
  if (file->log != nullptr) file->log->database = nullptr;
  const int rc = Do(f)->xClose(Real(f));
  std::free(file->buffer);
  std::free(file->real);
  return flushed == SQLITE_OK ? rc : flushed;
}

int Read(sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
  const int flushed = Flush(f);
  return flushed == SQLITE_OK ? Do(f)->xRead(Real(f), to, size, at) : flushed;
}

int Write(sqlite3_file* f, const void* from, int size, sqlite3_int64 at) {
  File* const file = Of(f);
  if (file->database == nullptr || !file->database->gather || file->buffer == nullptr) {
    return Do(f)->xWrite(Real(f), from, size, at);
  }
  const bool fits = file->size + size <= kBufferBytes && at == file->begin + file->size;
  if (file->size > 0 && !fits) {
    const int flushed = Flush(f);
    if (flushed != SQLITE_OK) return flushed;
  }
  if (size > kBufferBytes) return Do(f)->xWrite(Real(f), from, size, at);
  if (file->size == 0) file->begin = at;
  std::memcpy(file->buffer + file->size, from, static_cast<size_t>(size));
  file->size += size;
  return SQLITE_OK;
}

int Truncate(sqlite3_file* f, sqlite3_int64 size) {
  const int flushed = Flush(f);
  return flushed == SQLITE_OK ? Do(f)->xTruncate(Real(f), size) : flushed;
}

int Sync(sqlite3_file* f, int flags) {
  const int flushed = Flush(f);
  return flushed == SQLITE_OK ? Do(f)->xSync(Real(f), flags) : flushed;
}

int FileSize(sqlite3_file* f, sqlite3_int64* size) {
  const int flushed = Flush(f);
  return flushed == SQLITE_OK ? Do(f)->xFileSize(Real(f), size) : flushed;
}

int FileControl(sqlite3_file* f, int op, void* value) {
  if (op != kGather) return Do(f)->xFileControl(Real(f), op, value);
  Of(f)->gather = *static_cast<const bool*>(value);
  return Of(f)->log == nullptr ? SQLITE_OK : Flush(&Of(f)->log->base);
}

// Frames that a sync did not cover (the filling of a sector) are published too.
void ShmBarrier(sqlite3_file* f) {
  if (Of(f)->log != nullptr) Flush(&Of(f)->log->base);
  Do(f)->xShmBarrier(Real(f));
}

sqlite3_io_methods MakeMethods() {
  sqlite3_io_methods m = {};
  m.iVersion = 2;  // no memory-mapped reads: what is below may have none
  m.xClose = Close;
  m.xRead = Read;
  m.xWrite = Write;
  m.xTruncate = Truncate;
  m.xSync = Sync;
  m.xFileSize = FileSize;
  m.xFileControl = FileControl;
  m.xShmBarrier = ShmBarrier;
  m.xLock = [](sqlite3_file* f, int lock) { return Do(f)->xLock(Real(f), lock); };
  m.xUnlock = [](sqlite3_file* f, int lock) { return Do(f)->xUnlock(Real(f), lock); };
  m.xCheckReservedLock = [](sqlite3_file* f, int* out) {
    return Do(f)->xCheckReservedLock(Real(f), out);
  };
  m.xSectorSize = [](sqlite3_file* f) { return Do(f)->xSectorSize(Real(f)); };
  m.xDeviceCharacteristics = [](sqlite3_file* f) { return Do(f)->xDeviceCharacteristics(Real(f)); };
  m.xShmMap = [](sqlite3_file* f, int page, int size, int extend, void volatile** out) {
    return Do(f)->xShmMap(Real(f), page, size, extend, out);
  };
  m.xShmLock = [](sqlite3_file* f, int offset, int n, int flags) {
    return Do(f)->xShmLock(Real(f), offset, n, flags);
  };
  m.xShmUnmap = [](sqlite3_file* f, int remove) { return Do(f)->xShmUnmap(Real(f), remove); };
  return m;
}

int Open(sqlite3_vfs*, const char* name, sqlite3_file* out, int flags, int* out_flags) {
  static const sqlite3_io_methods methods = MakeMethods();
  sqlite3_vfs* const under = Under();
  File* const file = new (out) File();
  file->real = static_cast<sqlite3_file*>(std::calloc(1, static_cast<size_t>(under->szOsFile)));
  if (file->real == nullptr) return SQLITE_NOMEM;
  const int rc = under->xOpen(under, name, file->real, flags, out_flags);
  if (file->real->pMethods == nullptr) {
    std::free(file->real);
    return rc;
  }
  file->base.pMethods = &methods;
  if (rc == SQLITE_OK && (flags & SQLITE_OPEN_WAL) != 0) {
    sqlite3_file* const database = sqlite3_database_file_object(name);
    if (database != nullptr && database->pMethods == &methods) {
      file->database = Of(database);
      file->database->log = file;
      file->buffer = static_cast<char*>(std::malloc(kBufferBytes));
    }
  }
  return rc;
}

sqlite3_vfs MakeVfs() {
  sqlite3_vfs vfs = *sqlite3_vfs_find(nullptr);
  vfs.iVersion = 2;
  vfs.szOsFile = sizeof(File);
  vfs.pNext = nullptr;
  vfs.zName = kName;
  vfs.xOpen = Open;
  vfs.xDelete = [](sqlite3_vfs*, const char* name, int sync) {
    return Under()->xDelete(Under(), name, sync);
  };
  vfs.xAccess = [](sqlite3_vfs*, const char* name, int flags, int* out) {
    return Under()->xAccess(Under(), name, flags, out);
  };
  vfs.xFullPathname = [](sqlite3_vfs*, const char* name, int size, char* out) {
    return Under()->xFullPathname(Under(), name, size, out);
  };
  vfs.xRandomness = [](sqlite3_vfs*, int size, char* out) {
    return Under()->xRandomness(Under(), size, out);
  };
  vfs.xSleep = [](sqlite3_vfs*, int us) { return Under()->xSleep(Under(), us); };
  vfs.xCurrentTime = [](sqlite3_vfs*, double* out) { return Under()->xCurrentTime(Under(), out); };
  vfs.xGetLastError = [](sqlite3_vfs*, int size, char* out) {
    return Under()->xGetLastError(Under(), size, out);
  };
  vfs.xCurrentTimeInt64 = [](sqlite3_vfs*, sqlite3_int64* out) {
    return Under()->xCurrentTimeInt64(Under(), out);
  };
  return vfs;
}

}  // namespace

const char* LogVfs() {
  static sqlite3_vfs vfs = MakeVfs();
  static const int registered = sqlite3_vfs_register(&vfs, 0);
  return registered == SQLITE_OK ? kName : nullptr;
}

void GatherLogWrites(sqlite3* db, bool on) { sqlite3_file_control(db, "main", kGather, &on); }

}  // namespace storage::sqlite
