#include "src/backend/postgres/reader_pool.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace storage::postgres {
namespace {

constexpr int64_t kDefaultReaders = 8;

}  // namespace

ReaderPool::ReaderPool(const Site* site, const ConnInfo* info, const PostgresPool& limits)
    : site_(site),
      limits_(limits),
      // One of them all is the lane's.
      max_(limits.max_open > 0 ? std::max<int64_t>(1, limits.max_open - 1) : kDefaultReaders),
      dialer_(site, info, Connection::Role::kReader) {}

bool ReaderPool::TooOld(const Connection& connection, bool idle) const {
  const auto now = Connection::Clock::now();
  const auto past = [&](Connection::Clock::time_point from, int64_t limit_ms) {
    return limit_ms > 0 && now - from > std::chrono::milliseconds(limit_ms);
  };
  return past(connection.born, limits_.max_life_time_ms) ||
         (idle && past(connection.idle_since, limits_.max_idle_life_time_ms));
}

std::unique_ptr<Connection> ReaderPool::TakeIdle() {
  while (!idle_.empty()) {
    std::unique_ptr<Connection> connection = std::move(idle_.back());
    idle_.pop_back();
    if (connection->StillThere() && !TooOld(*connection, true)) return connection;
    --open_;
  }
  return nullptr;
}

absl::StatusOr<ReaderPool::Lease> ReaderPool::Acquire(bool fresh) {
  {
    MutexLock lock(&mutex_);
    const SteadyTime end = SteadyAfter(absl::Milliseconds(kPatienceMs));
    while (true) {
      std::unique_ptr<Connection> idle = fresh ? nullptr : TakeIdle();
      if (idle != nullptr) return Lease(this, std::move(idle), false);
      if (open_ < max_) break;
      if (!idle_.empty()) {  // only when a fresh one is wanted
        idle_.erase(idle_.begin());
        --open_;
        break;
      }
      if (!freed_.WaitUntil(&mutex_, end) && open_ >= max_ && idle_.empty()) {
        return MakeStatus(Code::kBusy,
                          absl::StrCat("all ", max_, " connections that read ", site_->where,
                                       " are busy; raise connectionPool.maxOpen"),
                          site_->name);
      }
    }
    ++open_;
  }
  auto connection = dialer_.Dial();
  if (connection.ok()) return Lease(this, *std::move(connection), true);
  MutexLock lock(&mutex_);
  --open_;
  freed_.Signal();
  return connection.status();
}

void ReaderPool::Release(std::unique_ptr<Connection> connection) {
  std::unique_ptr<Connection> closed;  // after the lock
  MutexLock lock(&mutex_);
  const auto idle = static_cast<int64_t>(idle_.size());
  if (connection->broken() || TooOld(*connection, false) ||
      (limits_.max_idle != 0 && idle >= limits_.max_idle)) {
    closed = std::move(connection);
    --open_;
  } else {
    connection->idle_since = Connection::Clock::now();
    idle_.push_back(std::move(connection));
  }
  freed_.Signal();
}

void ReaderPool::Prune() {
  std::vector<std::unique_ptr<Connection>> closed;  // after the lock
  MutexLock lock(&mutex_);
  for (auto& connection : idle_) {
    if (TooOld(*connection, true)) closed.push_back(std::move(connection));
  }
  idle_.erase(std::remove(idle_.begin(), idle_.end(), nullptr), idle_.end());
  open_ -= static_cast<int64_t>(closed.size());
}

int64_t ReaderPool::open() {
  MutexLock lock(&mutex_);
  return open_;
}

}  // namespace storage::postgres
