#include "src/api/read_pool.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"

namespace storage {
namespace api {
namespace {

bool Several(uint64_t places) { return std::popcount(places) > 1; }

}  // namespace

ReadPool::ReadPool(int share, int databases, Callbacks callbacks)
    : share_(std::max(2, share)),
      max_threads_(static_cast<size_t>(share_) *
                   static_cast<size_t>(std::clamp(databases, 1, 64) +
                                       (databases > 1 ? kSharesOfSeveral : 0))),
      callbacks_(std::move(callbacks)) {
  MutexLock lock(&mu_);
  while (threads_.size() < static_cast<size_t>(share_)) StartOne();
}

void ReadPool::StartOne() {
  threads_.push_back(StartThread(absl::StrCat("stg-read-", threads_.size()), [this] { Work(); }));
}

bool ReadPool::MayRun(uint64_t places, const Set& set, bool slow) const {
  if (Several(places) && several_running_ >= share_ * kSharesOfSeveral) return false;
  return set.running < share_ && (!slow || set.slow_running < share_ - 1);
}

void ReadPool::Count(const Task& task, int by) {
  Set& set = sets_[task.places];
  set.running += by;
  if (task.slow) set.slow_running += by;
  if (Several(task.places)) several_running_ += by;
}

bool ReadPool::Push(uint64_t id, uint64_t places, bool slow) {
  {
    MutexLock lock(&mu_);
    if (stopped_ || queued_ >= kMaxQueued) return false;
    Set& set = sets_[places];
    (slow ? set.slow : set.quick).push_back(id);
    ++queued_;
    // All may be held by a database that is silent. Who is idle may already be called for
    // what was queued before.
    if (queued_ > idle_ && threads_.size() < max_threads_ && MayRun(places, set, slow)) StartOne();
  }
  work_.Signal();
  return true;
}

void ReadPool::Stop() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(&mu_);
    stopped_ = true;
    for (auto& [places, set] : sets_) set.quick.clear(), set.slow.clear();
    queued_ = 0;
    threads.swap(threads_);
  }
  work_.SignalAll();
  for (std::thread& thread : threads) thread.join();
}

// Quick ones first; sets of databases take turns.
bool ReadPool::Next(Task* task) {
  for (const bool slow : {false, true}) {
    auto it = sets_.upper_bound(last_);
    for (size_t i = 0; i < sets_.size(); ++i, ++it) {
      if (it == sets_.end()) it = sets_.begin();
      std::deque<uint64_t>& queue = slow ? it->second.slow : it->second.quick;
      if (queue.empty() || !MayRun(it->first, it->second, slow)) continue;
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
  for (auto& [places, set] : sets_) {
    if ((places & silent) == 0) continue;
    for (std::deque<uint64_t>* queue : {&set.quick, &set.slow}) {
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
