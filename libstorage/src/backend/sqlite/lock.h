// One writing process per file: an open file description lock on "<file>.lock".
// Its text names the holder. (A POSIX lock would belong to the whole process
// and be lost when any descriptor of the file is closed.)
// Threads: any.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_LOCK_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_LOCK_H_

#include <memory>
#include <string>
#include <string_view>

#include "src/backend/sqlite/errors.h"

namespace storage::sqlite {

class FileLock {
 public:
  // BUSY, naming the holder, when another open holds it, in this process or another.
  static absl::StatusOr<std::unique_ptr<FileLock>> Acquire(const Site& site);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  const int fd_;
  bool held_ = false;
};

// Passwords in URLs of a command line become "***".
std::string RedactForTest(std::string_view command_line);

}  // namespace storage::sqlite

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_LOCK_H_
