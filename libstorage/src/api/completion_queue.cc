#include "src/api/completion_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace storage {
namespace api {
namespace {

// A queue that a burst made larger than this gives its memory back when empty.
constexpr size_t kKeepCapacity = 4096;

}  // namespace

CompletionQueue::CompletionQueue() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) fd_error_ = errno;
}

CompletionQueue::~CompletionQueue() {
  if (fd_ >= 0) close(fd_);
}

void CompletionQueue::Push(const stg_completion& completion) {
  {
    MutexLock lock(&mu_);
    queue_.push_back(completion);
    if (signaled_) return;
    signaled_ = true;
  }
  // Outside the lock: the drainer that this wakes wants it. If the drainer was
  // faster and has armed again, the write costs it one look at an empty queue.
  const uint64_t one = 1;
  while (write(fd_, &one, sizeof(one)) < 0 && errno == EINTR) {
  }
}

size_t CompletionQueue::Drain(stg_completion* out, size_t max) {
  MutexLock lock(&mu_);
  const size_t count = std::min(max, queue_.size() - head_);
  std::copy_n(queue_.begin() + static_cast<std::ptrdiff_t>(head_), count, out);
  head_ += count;
  if (head_ == queue_.size()) {
    if (queue_.capacity() > kKeepCapacity) {
      std::vector<stg_completion>().swap(queue_);
    } else {
      queue_.clear();
    }
    head_ = 0;
  } else if (head_ > kKeepCapacity) {
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  if (count == 0 && max > 0 && signaled_) {
    // Under the lock: what is pushed after this writes again.
    uint64_t ignored;
    while (read(fd_, &ignored, sizeof(ignored)) < 0 && errno == EINTR) {
    }
    signaled_ = false;
  }
  return count;
}

}  // namespace api
}  // namespace storage
