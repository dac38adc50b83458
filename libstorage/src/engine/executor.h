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
#include "src/base/mutex.h"
#include "src/base/thread.h"

namespace storage {

class Executor {
 public:
  explicit Executor(int threads) {
    for (int i = 0; i < threads; ++i) {
      threads_.push_back(StartThread("stg-catch-up", [this] { Run(); }));
    }
  }
  ~Executor() { Stop(); }

  void Queue(std::function<void()> task) {
    MutexLock lock(&mu_);
    if (stopping_) return;
    queue_.push_back(std::move(task));
    work_.Signal();
  }
  // Waits for running tasks. Idempotent; one caller at a time.
  void Stop() {
    {
      MutexLock lock(&mu_);
      stopping_ = true;
      queue_.clear();
      work_.SignalAll();
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
        MutexLock lock(&mu_);
        while (queue_.empty() && !stopping_) work_.Wait(&mu_);
        if (queue_.empty()) return;
        task = std::move(queue_.front());
        queue_.pop_front();
      }
      task();
    }
  }

  Mutex mu_;
  CondVar work_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_EXECUTOR_H_
