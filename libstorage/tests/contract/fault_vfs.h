// A SQLite VFS that fails the Nth call of a kind, once or for ever, and passes
// everything else to the real one. Registered as the default while it lives.
// Threads: one.
#ifndef LIBSTORAGE_TESTS_CONTRACT_FAULT_VFS_H_
#define LIBSTORAGE_TESTS_CONTRACT_FAULT_VFS_H_

#include <sqlite3.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace storage::contract {

enum class FaultKind {
  kWriteError,  // nothing is written
  kWriteFull,   // nothing is written, SQLITE_FULL
  kWriteTorn,   // half is written, SQLITE_FULL
  kWriteLate,   // all is written, and an error reported
  kSync,        // an error after everything was written
  kTruncate,
  kRead,
  kMemory,  // the write succeeds; SQLite gets no memory until the limit is lifted
};
inline constexpr const char* kFaultNames[] = {
    "write error", "write full", "write torn", "write late", "sync", "truncate", "read", "memory"};

struct FaultPlan {
  FaultKind kind = FaultKind::kWriteError;
  int64_t at = 0;  // the call that fails, from 1; 0 = none
  bool forever = false;
  int64_t calls = 0;  // so far
  bool hit() const { return at > 0 && calls >= at; }

  bool Now() {
    ++calls;
    return at > 0 && (forever ? calls >= at : calls == at);
  }
};

class FaultVfs {
 public:
  FaultVfs() {
    real_ = sqlite3_vfs_find(nullptr);
    vfs_ = *real_;
    vfs_.zName = "fault";
    vfs_.pAppData = this;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    vfs_.xOpen = &FaultVfs::Open;
    // The others are called with the real VFS's own data.
    vfs_.xDelete = [](sqlite3_vfs* v, const char* name, int sync) {
      return Real(v)->xDelete(Real(v), name, sync);
    };
    vfs_.xAccess = [](sqlite3_vfs* v, const char* name, int flags, int* out) {
      return Real(v)->xAccess(Real(v), name, flags, out);
    };
    vfs_.xFullPathname = [](sqlite3_vfs* v, const char* name, int size, char* out) {
      return Real(v)->xFullPathname(Real(v), name, size, out);
    };
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~FaultVfs() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
  }
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  FaultPlan plan;

 private:
  struct File {
    sqlite3_file base;
    FaultVfs* owner;
    sqlite3_file* real;
  };

  static sqlite3_vfs* Real(sqlite3_vfs* v) { return static_cast<FaultVfs*>(v->pAppData)->real_; }
  static File* Of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
  static sqlite3_file* RealFile(sqlite3_file* file) { return Of(file)->real; }

  static int Open(sqlite3_vfs* v, const char* name, sqlite3_file* out, int flags, int* out_flags) {
    File* const file = Of(out);
    file->owner = static_cast<FaultVfs*>(v->pAppData);
    file->real = reinterpret_cast<sqlite3_file*>(file + 1);
    file->real->pMethods = nullptr;
    const int rc = Real(v)->xOpen(Real(v), name, file->real, flags, out_flags);
    file->base.pMethods = file->real->pMethods == nullptr ? nullptr : Methods();
    return rc;
  }

  bool Fails(bool matches) { return matches && plan.Now(); }
  bool IsWrite() const { return plan.kind <= FaultKind::kWriteLate; }

  static int Write(sqlite3_file* f, const void* data, int size, sqlite3_int64 offset) {
    FaultVfs* const self = Of(f)->owner;
    sqlite3_file* const real = RealFile(f);
    if (self->Fails(self->plan.kind == FaultKind::kMemory)) sqlite3_hard_heap_limit64(1);
    if (!self->Fails(self->IsWrite())) return real->pMethods->xWrite(real, data, size, offset);
    if (self->plan.kind == FaultKind::kWriteLate) real->pMethods->xWrite(real, data, size, offset);
    if (self->plan.kind == FaultKind::kWriteTorn && size > 1) {
      real->pMethods->xWrite(real, data, size / 2, offset);
    }
    const bool full =
        self->plan.kind == FaultKind::kWriteFull || self->plan.kind == FaultKind::kWriteTorn;
    return full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
  }

  static int Read(sqlite3_file* f, void* data, int size, sqlite3_int64 offset) {
    FaultVfs* const self = Of(f)->owner;
    if (self->Fails(self->plan.kind == FaultKind::kRead)) return SQLITE_IOERR_READ;
    sqlite3_file* const real = RealFile(f);
    return real->pMethods->xRead(real, data, size, offset);
  }

  static int Sync(sqlite3_file* f, int flags) {
    FaultVfs* const self = Of(f)->owner;
    if (self->Fails(self->plan.kind == FaultKind::kSync)) return SQLITE_IOERR_FSYNC;
    sqlite3_file* const real = RealFile(f);
    return real->pMethods->xSync(real, flags);
  }

  static int Truncate(sqlite3_file* f, sqlite3_int64 size) {
    FaultVfs* const self = Of(f)->owner;
    if (self->Fails(self->plan.kind == FaultKind::kTruncate)) return SQLITE_IOERR_TRUNCATE;
    sqlite3_file* const real = RealFile(f);
    return real->pMethods->xTruncate(real, size);
  }

#define PASS(method, parameters, arguments)  \
  [] parameters {                            \
    sqlite3_file* const real = RealFile(f);  \
    return real->pMethods->method arguments; \
  }

  static const sqlite3_io_methods* Methods() {
    static const sqlite3_io_methods methods = {
        2,  // no memory-mapped reads
        PASS(xClose, (sqlite3_file * f), (real)),
        &FaultVfs::Read,
        &FaultVfs::Write,
        &FaultVfs::Truncate,
        &FaultVfs::Sync,
        PASS(xFileSize, (sqlite3_file * f, sqlite3_int64 * size), (real, size)),
        PASS(xLock, (sqlite3_file * f, int level), (real, level)),
        PASS(xUnlock, (sqlite3_file * f, int level), (real, level)),
        PASS(xCheckReservedLock, (sqlite3_file * f, int* out), (real, out)),
        PASS(xFileControl, (sqlite3_file * f, int op, void* argument), (real, op, argument)),
        PASS(xSectorSize, (sqlite3_file * f), (real)),
        PASS(xDeviceCharacteristics, (sqlite3_file * f), (real)),
        PASS(xShmMap, (sqlite3_file * f, int page, int size, int extend, void volatile** out),
             (real, page, size, extend, out)),
        PASS(xShmLock, (sqlite3_file * f, int offset, int n, int flags), (real, offset, n, flags)),
        PASS(xShmBarrier, (sqlite3_file * f), (real)),
        PASS(xShmUnmap, (sqlite3_file * f, int remove), (real, remove)),
        nullptr,
        nullptr};
    return &methods;
  }
#undef PASS

  sqlite3_vfs* real_ = nullptr;
  sqlite3_vfs vfs_{};
};

}  // namespace storage::contract

#endif  // LIBSTORAGE_TESTS_CONTRACT_FAULT_VFS_H_
