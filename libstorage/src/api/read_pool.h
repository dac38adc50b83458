// ReadPool: the few threads on which reads may block on a database. Long reads
// (lists) never hold all of them, so that point reads do not wait behind lists.
// Threads: any; Stop once.
#ifndef LIBSTORAGE_SRC_API_READ_POOL_H_
#define LIBSTORAGE_SRC_API_READ_POOL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "src/base/mutex.h"
#include "src/base/thread.h"

namespace storage {
namespace api {

class ReadPool {
 public:
  static constexpr size_t kMaxQueued = 65536;

  // run(id) is called on a pool thread for each id pushed, and does not throw.
  ReadPool(int threads, std::function<void(uint64_t)> run);
  ReadPool(const ReadPool&) = delete;
  ReadPool& operator=(const ReadPool&) = delete;
  ~ReadPool() { Stop(); }

  // False when too much waits, or after Stop.
  bool Push(uint64_t id, bool slow) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns when nothing runs any more. What was queued is never run.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  bool Next(uint64_t* id, bool* slow) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const int max_slow_;
  const std::function<void(uint64_t)> run_;
  Mutex mu_;
  CondVar work_;
  std::deque<uint64_t> quick_ ABSL_GUARDED_BY(mu_);
  std::deque<uint64_t> slow_ ABSL_GUARDED_BY(mu_);
  int slow_running_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace api
}  // namespace storage

#endif  // LIBSTORAGE_SRC_API_READ_POOL_H_
