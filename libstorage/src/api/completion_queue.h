// CompletionQueue: from engine threads to whoever drains, with an eventfd that
// is written only when the queue was empty and the drainer had seen that.
// Threads: Push from any; Drain from any, usually one.
#ifndef LIBSTORAGE_SRC_API_COMPLETION_QUEUE_H_
#define LIBSTORAGE_SRC_API_COMPLETION_QUEUE_H_

#include <cstddef>
#include <vector>

#include "libstorage.h"
#include "src/base/mutex.h"

namespace storage {
namespace api {

class CompletionQueue {
 public:
  CompletionQueue();
  CompletionQueue(const CompletionQueue&) = delete;
  CompletionQueue& operator=(const CompletionQueue&) = delete;
  ~CompletionQueue();

  // -1 when the process had no descriptor left; errno of the time in fd_error().
  int event_fd() const { return fd_; }
  int fd_error() const { return fd_error_; }

  void Push(const stg_completion& completion) ABSL_LOCKS_EXCLUDED(mu_);
  // Moves up to max to out. Returning 0 clears the eventfd and arms it again.
  size_t Drain(stg_completion* out, size_t max) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  int fd_;
  int fd_error_ = 0;
  Mutex mu_;
  std::vector<stg_completion> queue_ ABSL_GUARDED_BY(mu_);  // [head_, size) wait
  size_t head_ ABSL_GUARDED_BY(mu_) = 0;
  bool signaled_ ABSL_GUARDED_BY(mu_) = false;  // a write to fd_ has been or is being made
};

}  // namespace api
}  // namespace storage

#endif  // LIBSTORAGE_SRC_API_COMPLETION_QUEUE_H_
