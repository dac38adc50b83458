// The log's copier beside the lane. SQLite 3.7.0 to 3.51.2 can corrupt a file
// when a checkpoint begins while the whole log is already copied and another
// connection's commit starts the log over (sqlite.org/wal.html#walresetbug): so
// the lane may never finish the log between the copier's being asked and its end.
#include <sqlite3.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "src/backend/sqlite/sqlite_backend.h"
#include "tests/contract/sqlite_files.h"

namespace storage::contract {
namespace {

// Sees who takes the lock of checkpoints, and keeps the copier from it.
class CheckpointWatcher {
 public:
  CheckpointWatcher() {
    real_ = sqlite3_vfs_find(nullptr);
    vfs_ = *real_;
    vfs_.zName = "checkpoints";
    vfs_.xOpen = [](sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
      const int rc = real_->xOpen(real_, name, file, flags, out);
      if (file->pMethods == nullptr || file->pMethods->iVersion < 2) return rc;
      static sqlite3_io_methods methods;
      static const sqlite3_io_methods* const once = [&] {
        real_methods_ = file->pMethods;
        methods = *real_methods_;
        methods.xShmLock = &CheckpointWatcher::ShmLock;
        return &methods;
      }();
      if (file->pMethods == real_methods_) file->pMethods = once;
      return rc;
    };
    sqlite3_vfs_register(&vfs_, 1);
    current_ = this;
  }
  ~CheckpointWatcher() {
    current_ = nullptr;
    sqlite3_vfs_register(real_, 1);
    sqlite3_vfs_unregister(&vfs_);
  }

  void Arm() {
    std::lock_guard<std::mutex> lock(mu_);
    lane_ = std::this_thread::get_id();
    armed_ = true;
  }
  void AwaitCopier() {
    std::unique_lock<std::mutex> lock(mu_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(10), [&] { return held_; }));
  }
  bool overtaken() {
    std::lock_guard<std::mutex> lock(mu_);
    return overtaken_;
  }

 private:
  static int ShmLock(sqlite3_file* file, int offset, int n, int flags) {
    constexpr int kCheckpoints = 1;  // WAL_CKPT_LOCK
    const bool takes = (flags & SQLITE_SHM_LOCK) != 0 && offset == kCheckpoints;
    if (takes && current_ != nullptr) current_->Taking();
    return real_methods_->xShmLock(file, offset, n, flags);
  }
  void Taking() {
    std::unique_lock<std::mutex> lock(mu_);
    if (!armed_) return;
    if (std::this_thread::get_id() == lane_) {
      overtaken_ |= held_;
      changed_.notify_all();
      return;
    }
    held_ = true;  // the copier: gives the lane time to do it wrong
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::milliseconds(100), [&] { return overtaken_; });
    held_ = armed_ = false;
  }

  static inline CheckpointWatcher* current_ = nullptr;
  static inline sqlite3_vfs* real_ = nullptr;
  static inline const sqlite3_io_methods* real_methods_ = nullptr;
  sqlite3_vfs vfs_{};
  std::mutex mu_;
  std::condition_variable changed_;
  std::thread::id lane_;
  bool armed_ = false;
  bool held_ = false;
  bool overtaken_ = false;
};

class SqliteCopierTest : public SqliteFileTest {};

TEST_F(SqliteCopierTest, TheLaneNeverEndsTheLogWhileTheCopierIsAsked) {
  CheckpointWatcher watcher;
  auto backend = MustOpen();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  const std::string value(400000, 'v');
  for (int i = 0; i < 50; ++i) {  // 20 MB: enough for the copier, too little for Commit
    ASSERT_OK(Write(backend.get(), {Create("/a/" + std::to_string(i), value)}));
  }
  watcher.Arm();
  ASSERT_TRUE(backend->Maintain(false).ok());  // asks the copier
  watcher.AwaitCopier();
  ASSERT_TRUE(backend->Maintain(true).ok());  // a pause: the lane would do the rest itself
  EXPECT_FALSE(watcher.overtaken());
  EXPECT_EQ(Count((*backend->OpenSnapshot()).get(), All()), "50");
}

}  // namespace
}  // namespace storage::contract
