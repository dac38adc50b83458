#include "src/backend/mysql/connector.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace storage::mysql {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kFirstPause{50};
constexpr milliseconds kLongestPause{1000};
constexpr milliseconds kPoolWait{2000};
constexpr milliseconds kIdleLife{300000};
constexpr int64_t kMaxOpen = 8;

std::string Where(const MysqlOptions& options) {
  if (!options.socket.empty()) return absl::StrCat(options.socket, "/", options.database);
  return absl::StrCat(options.host, ":", options.port, "/", options.database);
}

}  // namespace

Connector::Connector(const MysqlOptions& options, const Settings& settings)
    : options_(options),
      settings_(settings),
      site_{options.name, Where(options), options.logger, options.slow_sql_ms * 1000} {}

absl::Status Connector::CheckIdentity(Connection* connection) const {
  if (identity_.empty()) return absl::OkStatus();
  auto found = connection->Select("reading the identity",
                                  "SELECT value FROM stg_meta WHERE name = 'identity'");
  if (!found.ok()) return found.status();
  if (found->Next() && found->Bytes(0) == identity_) return absl::OkStatus();
  return MakeStatus(Code::kCorrupt,
                    absl::StrCat("another database answers at ", site_.where,
                                 " than the one that was opened; restart, or bring it back"),
                    site_.name);
}

absl::StatusOr<std::unique_ptr<Connection>> Connector::Connect(Role role) {
  {
    MutexLock lock(&mutex_);
    if (!last_.ok() && steady_clock::now() < not_before_) return last_;
  }
  auto connection = Connection::Open(&site_, options_, settings_, role);
  absl::Status status = connection.status();
  if (status.ok() && role != Role::kMetadata) status = CheckIdentity(connection->get());
  MutexLock lock(&mutex_);
  last_ = status;
  if (status.ok()) {
    pause_ = milliseconds(0);
    return connection;
  }
  pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
  not_before_ = steady_clock::now() + pause_;
  return status;
}

ReadPool::ReadPool(Connector* connector)
    : connector_(connector),
      max_open_(connector->options().pool.max_open > 0 ? connector->options().pool.max_open
                                                       : kMaxOpen),
      // -1 keeps none, 0 as many as are open.
      max_idle_(connector->options().pool.max_idle != 0
                    ? std::clamp<int64_t>(connector->options().pool.max_idle, 0, max_open_)
                    : max_open_) {}

bool ReadPool::TooOld(const Idle& idle, SteadyTime now) const {
  const MysqlOptions::Pool& pool = connector_->options().pool;
  const milliseconds idle_life =
      pool.max_idle_life_time_ms > 0 ? milliseconds(pool.max_idle_life_time_ms) : kIdleLife;
  if (now - idle.since > idle_life) return true;
  return pool.max_life_time_ms > 0 && now - idle.born > milliseconds(pool.max_life_time_ms);
}

bool ReadPool::Take(Idle* idle) {
  const SteadyTime deadline = steady_clock::now() + kPoolWait;
  MutexLock lock(&mutex_);
  while (idle_.empty() && open_ >= max_open_) {
    if (!freed_.WaitUntil(&mutex_, deadline) && idle_.empty() && open_ >= max_open_) return false;
  }
  if (idle_.empty()) {
    ++open_;
  } else {
    *idle = std::move(idle_.back());
    idle_.pop_back();
  }
  return true;
}

absl::StatusOr<ReadPool::Lease> ReadPool::Acquire() {
  Idle idle;
  if (!Take(&idle)) {
    return MakeStatus(Code::kUnavailable,
                      absl::StrCat("all ", max_open_, " reading connections to ",
                                   connector_->site().where, " are in use; raise maxOpen"),
                      connector_->site().name);
  }
  const SteadyTime now = steady_clock::now();
  if (idle.connection != nullptr) {
    const bool alive = !connector_->settings().check_liveness || idle.connection->LooksAlive();
    if (alive && !TooOld(idle, now)) return Lease(this, std::move(idle.connection), idle.born);
  }
  idle.connection.reset();
  auto connection = connector_->Connect(Role::kRead);
  if (connection.ok()) return Lease(this, *std::move(connection), now);
  MutexLock lock(&mutex_);
  --open_;
  freed_.Signal();
  return connection.status();
}

void ReadPool::Release(std::unique_ptr<Connection> connection, SteadyTime born) {
  Idle idle{std::move(connection), born, steady_clock::now()};
  {
    MutexLock lock(&mutex_);
    if (!idle.connection->broken() && !TooOld(idle, idle.since) &&
        static_cast<int64_t>(idle_.size()) < max_idle_) {
      idle_.push_back(std::move(idle));
    } else {
      --open_;
    }
    freed_.Signal();
  }
  // A connection that is not kept closes here, without the lock.
}

void ReadPool::CloseIdle() {
  std::vector<Idle> old;
  const SteadyTime now = steady_clock::now();
  MutexLock lock(&mutex_);
  for (size_t i = 0; i < idle_.size();) {
    if (!TooOld(idle_[i], now)) {
      ++i;
      continue;
    }
    old.push_back(std::move(idle_[i]));
    idle_.erase(idle_.begin() + static_cast<int64_t>(i));
    --open_;
  }
}

int ReadPool::open_for_test() {
  MutexLock lock(&mutex_);
  return static_cast<int>(open_);
}

}  // namespace storage::mysql
