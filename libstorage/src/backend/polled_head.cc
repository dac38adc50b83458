#include "src/backend/polled_head.h"

#include <algorithm>

namespace storage {

absl::StatusOr<int64_t> PolledHead::Read() {
  const absl::StatusOr<int64_t> head = read_();
  if (!head.ok()) return head;
  interval_ = *head == head_ ? interval_ * 2 : kShortest;
  head_ = *head;
  return head;
}

int64_t PolledHead::Wait(absl::Duration max_wait) {
  interval_ = std::min(interval_, max_wait);
  const SteadyTime until = SteadyAfter(interval_);
  MutexLock lock(&mu_);
  while (!interrupted_) {
    if (!wake_.WaitUntil(&mu_, until)) break;
  }
  interrupted_ = false;
  return 0;
}

void PolledHead::Interrupt() {
  MutexLock lock(&mu_);
  interrupted_ = true;
  wake_.Signal();
}

}  // namespace storage
