// The ballast: 64 MiB set aside on each file system that holds databases of
// this process, in ".libstorage-ballast" beside the first of them. When the
// disk is full it is given back, so that deletes, compaction and void
// transactions still find room, while creates and updates are refused until
// the ballast could be set aside again. A write that grows gives it back when
// 16 MiB are left, so that it is mostly a create that finds the disk full.
// Threads: any; one Ballast is shared by all databases of a file system.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_BALLAST_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_BALLAST_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "src/backend/sqlite/errors.h"
#include "src/base/mutex.h"

namespace storage::sqlite {

class Ballast {
 public:
  // The ballast of the file system of site's file; made when it is the first.
  static std::shared_ptr<Ballast> For(const Site& site);

  // In directory; "" = none.
  explicit Ballast(const std::string& directory)
      : directory_(directory),
        path_(directory + "/.libstorage-ballast"),
        none_(directory.empty()) {}
  Ballast(const Ballast&) = delete;
  Ballast& operator=(const Ballast&) = delete;

  bool spent() const { return spent_.load(std::memory_order_relaxed); }
  // Gives the space back. True when there was some to give.
  bool Spend(const Site& site);
  // Sets it aside again when there is room; asks the file system at most once
  // a second. True when it is not spent afterwards.
  bool Restore(const Site& site);
  // OK, or NO_SPACE for a write that makes the database grow.
  absl::Status CheckGrowth(const Site& site);

  static void SetBytesForTest(int64_t bytes, int64_t recheck_ms);

 private:
  bool Allocate(const Site& site) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string directory_;
  const std::string path_;
  // The file system cannot set space aside: nothing is refused early.
  std::atomic<bool> none_;
  Mutex mutex_;
  std::atomic<bool> spent_{false};
  int64_t next_check_ms_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace storage::sqlite

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_BALLAST_H_
