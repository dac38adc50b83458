// A few threads and a queue, for reads that may block. Tasks queued after Stop
// are dropped. Thread-safe.
#ifndef LIBSTORAGE_SRC_ENGINE_EXECUTOR_H_
#define LIBSTORAGE_SRC_ENGINE_EXECUTOR_H_

#include <deque>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace storage {

class Executor {
 public:
  explicit Executor(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
  }
  ~Executor() { Stop(); }

  void Queue(std::function<void()> task) {
    absl::MutexLock lock(&mu_);
    if (!stopping_) queue_.push_back(std::move(task));
  }
  // Waits for running tasks. Idempotent; one caller at a time.
  void Stop() {
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
      queue_.clear();
    }
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  void Run() {
    for (;;) {
      std::function<void()> task;
      {
        absl::MutexLock lock(&mu_);
        auto work = [this]()
                        ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !queue_.empty() || stopping_; };
        mu_.Await(absl::Condition(&work));
        if (queue_.empty()) return;
        task = std::move(queue_.front());
        queue_.pop_front();
      }
      task();
    }
  }

  absl::Mutex mu_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_EXECUTOR_H_
