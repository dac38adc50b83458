#include "src/api/read_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace storage {
namespace api {

ReadPool::ReadPool(int threads, std::function<void(uint64_t)> run)
    : max_slow_(std::max(1, threads - 1)), run_(std::move(run)) {
  for (int i = 0; i < threads; ++i) {
    threads_.push_back(StartThread(absl::StrCat("stg-read-", i), [this] { Work(); }));
  }
}

bool ReadPool::Push(uint64_t id, bool slow) {
  {
    MutexLock lock(&mu_);
    if (stopped_ || quick_.size() + slow_.size() >= kMaxQueued) return false;
    (slow ? slow_ : quick_).push_back(id);
  }
  work_.Signal();
  return true;
}

void ReadPool::Stop() {
  {
    MutexLock lock(&mu_);
    stopped_ = true;
    quick_.clear();
    slow_.clear();
  }
  work_.SignalAll();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

bool ReadPool::Next(uint64_t* id, bool* slow) {
  *slow = quick_.empty();
  if (*slow && (slow_.empty() || slow_running_ >= max_slow_)) return false;
  std::deque<uint64_t>& queue = *slow ? slow_ : quick_;
  *id = queue.front();
  queue.pop_front();
  return true;
}

void ReadPool::Work() {
  mu_.Lock();
  while (!stopped_) {
    uint64_t id;
    bool slow;
    if (!Next(&id, &slow)) {
      work_.Wait(&mu_);
      continue;
    }
    if (slow) ++slow_running_;
    mu_.Unlock();
    run_(id);
    mu_.Lock();
    if (slow) {
      --slow_running_;
      // The thread that would have taken the next one may have gone to sleep.
      if (!slow_.empty()) work_.Signal();
    }
  }
  mu_.Unlock();
}

}  // namespace api
}  // namespace storage
