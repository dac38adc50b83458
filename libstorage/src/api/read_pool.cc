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

ReadPool::ReadPool(int share, int groups, int databases, Callbacks callbacks)
    : share_(std::max(2, share)),
      groups_(std::clamp(groups, 1, share_)),
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

bool ReadPool::MayRun(uint64_t places, const Set& set, Kind kind) const {
  if (Several(places) && several_running_ >= share_ * kSharesOfSeveral) return false;
  if (kind == Kind::kGet && set.groups_running >= groups_) return false;
  return set.running < share_ && (kind != Kind::kSlow || set.slow_running < share_ - 1);
}

void ReadPool::Count(const Task& task, int by) {
  Set& set = sets_[task.places];
  set.running += by;
  if (task.kind == Kind::kGet) set.groups_running += by;
  if (task.kind == Kind::kSlow) set.slow_running += by;
  if (Several(task.places)) several_running_ += by;
}

bool ReadPool::Push(uint64_t id, uint64_t places, Kind kind) {
  {
    MutexLock lock(&mu_);
    if (stopped_ || queued_ >= kMaxQueued) return false;
    Set& set = sets_[places];
    if (set.together == 0) set.together = std::max<size_t>(1, callbacks_.together(places));
    if (kind == Kind::kGet && set.together == 1) kind = Kind::kQuick;
    set.Queue(kind).push_back(id);
    ++queued_;
    if (!MayRun(places, set, kind)) return true;  // who runs one of them takes it then
    // All may be held by a database that is silent. Who is idle may already be called for
    // what was queued before.
    if (queued_ > idle_ && threads_.size() < max_threads_) StartOne();
  }
  work_.Signal();
  return true;
}

void ReadPool::Stop() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(&mu_);
    stopped_ = true;
    for (auto& [places, set] : sets_) set.gets.clear(), set.quick.clear(), set.slow.clear();
    queued_ = 0;
    threads.swap(threads_);
  }
  work_.SignalAll();
  for (std::thread& thread : threads) thread.join();
}

// Slow ones last; sets of databases take turns.
bool ReadPool::Next(Task* task) {
  for (const Kind kind : {Kind::kGet, Kind::kQuick, Kind::kSlow}) {
    auto it = sets_.upper_bound(last_);
    for (size_t i = 0; i < sets_.size(); ++i, ++it) {
      if (it == sets_.end()) it = sets_.begin();
      std::deque<uint64_t>& queue = it->second.Queue(kind);
      if (queue.empty() || !MayRun(it->first, it->second, kind)) continue;
      const size_t most = kind == Kind::kGet ? it->second.together : 1;
      const auto end = queue.begin() + static_cast<ptrdiff_t>(std::min(most, queue.size()));
      *task = {{queue.begin(), end}, it->first, kind};
      queue.erase(queue.begin(), end);
      queued_ -= task->ids.size();
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
    for (std::deque<uint64_t>* queue : {&set.gets, &set.quick, &set.slow}) {
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
    const uint64_t silent = callbacks_.run(task.ids);
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
