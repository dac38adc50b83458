#include "src/api/read_pool.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"

namespace storage {
namespace api {

ReadPool::ReadPool(int share, int databases, Callbacks callbacks)
    : share_(std::max(2, share)),
      max_threads_(static_cast<size_t>(share_) * static_cast<size_t>(std::clamp(databases, 1, 64))),
      callbacks_(std::move(callbacks)) {
  MutexLock lock(&mu_);
  while (threads_.size() < static_cast<size_t>(share_)) StartOne();
}

void ReadPool::StartOne() {
  threads_.push_back(StartThread(absl::StrCat("stg-read-", threads_.size()), [this] { Work(); }));
}

bool ReadPool::MayRun(uint64_t places, bool slow) const {
  for (; places != 0; places &= places - 1) {
    const size_t place = static_cast<size_t>(std::countr_zero(places));
    if (running_[place] >= share_ || (slow && slow_running_[place] >= share_ - 1)) return false;
  }
  return true;
}

void ReadPool::Count(const Task& task, int by) {
  for (uint64_t places = task.places; places != 0; places &= places - 1) {
    const size_t place = static_cast<size_t>(std::countr_zero(places));
    running_[place] += by;
    if (task.slow) slow_running_[place] += by;
  }
}

bool ReadPool::Push(uint64_t id, uint64_t places, bool slow) {
  {
    MutexLock lock(&mu_);
    if (stopped_ || queued_ >= kMaxQueued) return false;
    Waiting& waiting = waiting_[places];
    (slow ? waiting.slow : waiting.quick).push_back(id);
    ++queued_;
    // All may be held by a database that is silent. Who is idle may already be called for
    // what was queued before.
    if (queued_ > idle_ && threads_.size() < max_threads_ && MayRun(places, slow)) StartOne();
  }
  work_.Signal();
  return true;
}

void ReadPool::Stop() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(&mu_);
    stopped_ = true;
    waiting_.clear();
    queued_ = 0;
    threads.swap(threads_);
  }
  work_.SignalAll();
  for (std::thread& thread : threads) thread.join();
}

// Quick ones first; sets of databases take turns.
bool ReadPool::Next(Task* task) {
  for (const bool slow : {false, true}) {
    auto it = waiting_.upper_bound(last_);
    for (size_t i = 0; i < waiting_.size(); ++i, ++it) {
      if (it == waiting_.end()) it = waiting_.begin();
      std::deque<uint64_t>& queue = slow ? it->second.slow : it->second.quick;
      if (queue.empty() || !MayRun(it->first, slow)) continue;
      *task = {queue.front(), it->first, slow};
      queue.pop_front();
      --queued_;
      last_ = it->first;
      return true;
    }
  }
  return false;
}

std::vector<uint64_t> ReadPool::TakeWaiting(uint64_t silent) {
  std::vector<uint64_t> ids;
  for (auto& [places, waiting] : waiting_) {
    if ((places & silent) == 0) continue;
    for (std::deque<uint64_t>* queue : {&waiting.quick, &waiting.slow}) {
      ids.insert(ids.end(), queue->begin(), queue->end());
      queue->clear();
    }
  }
  queued_ -= ids.size();
  return ids;
}

void ReadPool::Work() {
  mu_.Lock();
  while (!stopped_) {
    Task task;
    if (!Next(&task)) {
      ++idle_;
      work_.Wait(&mu_);
      --idle_;
      continue;
    }
    Count(task, 1);
    mu_.Unlock();
    const auto begin = std::chrono::steady_clock::now();
    const uint64_t silent = callbacks_.run(task.id);
    const bool long_enough = std::chrono::steady_clock::now() - begin >= kSilent;
    mu_.Lock();
    Count(task, -1);
    std::vector<uint64_t> refused;
    if (silent != 0 && long_enough) refused = TakeWaiting(silent);
    // Threads that could not run what is possible now may have gone to sleep.
    if (queued_ > 0) work_.Signal();
    if (refused.empty()) continue;
    mu_.Unlock();
    for (const uint64_t id : refused) callbacks_.refuse(id, silent);
    mu_.Lock();
  }
  mu_.Unlock();
}

}  // namespace api
}  // namespace storage
