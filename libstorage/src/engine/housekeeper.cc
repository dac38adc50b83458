#include "src/engine/housekeeper.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/base/thread.h"

namespace storage {
namespace {

constexpr absl::Duration kFlushAfter = absl::Seconds(1);
constexpr absl::Duration kMarkEvery = absl::Minutes(1);
constexpr absl::Duration kCompactEvery = absl::Minutes(5);
// The size of the history is looked at more often than its age: at full speed
// a backend writes 2 GiB of it in less than two minutes.
// A value that kube-apiserver takes is smaller (3 MiB, encoded and encrypted).
constexpr int64_t kMostBytesOfAChange = 4 << 20;
constexpr absl::Duration kSizeEvery = absl::Seconds(15);
constexpr absl::Duration kRetry = absl::Seconds(1);
constexpr int64_t kReapRows = 1000;

// Servers that start together do not compact together.
absl::Duration NextInterval(const CompactSettings& settings) {
  static thread_local std::minstd_rand random(std::random_device{}());
  return CompactInterval(settings, std::uniform_real_distribution<double>(-1, 1)(random));
}

}  // namespace

absl::Duration CompactInterval(const CompactSettings& settings, double where) {
  absl::Duration interval = kCompactEvery;
  if (settings.interval_ms.has_value()) interval = absl::Milliseconds(*settings.interval_ms);
  if (interval <= absl::ZeroDuration()) return absl::InfiniteDuration();
  return interval * (1 + settings.interval_jitter.value_or(0.1) * where);
}

Housekeeper::Housekeeper(Env env) : env_(std::move(env)), states_(env_.lanes.size()) {
  const absl::Time now = absl::Now();
  for (size_t i = 0; i < states_.size(); ++i) {
    states_[i].next_compact = now + NextInterval(env_.lanes[i].compact);
    states_[i].next_size = now + kSizeEvery;
  }
  thread_ = StartThread("stg-housekeep", [this] { Run(); });
}

void Housekeeper::Stop() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    wake_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

void Housekeeper::Poke() {
  MutexLock lock(&mu_);
  poked_ = true;
  wake_.Signal();
}

void Housekeeper::Warn(const std::string& what, const absl::Status& status) {
  if (env_.logger == nullptr) return;
  env_.logger->Log(LogLevel::kWarning, absl::StrCat(what, ": ", status.message()));
}

void Housekeeper::Run() {
  absl::Time due = absl::InfinitePast();
  for (;;) {
    {
      MutexLock lock(&mu_);
      const SteadyTime until = SteadyAfter(due - absl::Now());
      while (!poked_ && !stopping_) {
        if (!wake_.WaitUntil(&mu_, until)) break;
      }
      if (stopping_) return;
      if (poked_ && flush_at_ == absl::InfiniteFuture()) flush_at_ = absl::Now() + kFlushAfter;
      poked_ = false;
    }
    due = Tick();
  }
}

absl::Time Housekeeper::Tick() {
  const absl::Time now = absl::Now();
  const bool flush = now >= flush_at_;
  if (flush) flush_at_ = absl::InfiniteFuture();
  absl::Status status = env_.sequencer->ReserveAhead(flush);
  if (!status.ok()) {
    if (!failing_) Warn("metadata store: reserving revisions", status);
    flush_at_ = now + kRetry;
  }
  failing_ = !status.ok();
  MarkTime(now);
  absl::Time due = flush_at_;
  for (size_t i = 0; i < states_.size(); ++i) {
    Reap(i, now);
    CompactIfDue(i, now);
    Heal(i, now);
    due = std::min({due, states_[i].next_expiry, states_[i].next_compact, states_[i].next_size,
                    states_[i].next_heal});
  }
  return std::max(due, now + absl::Milliseconds(1));
}

void Housekeeper::MarkTime(absl::Time now) {
  const int64_t rev = env_.sequencer->Rev();
  if (now < next_mark_ || rev == marked_rev_) return;
  next_mark_ = now + kMarkEvery;
  const int64_t unix_s = absl::ToUnixSeconds(now);
  absl::Status status = env_.metadata->MarkTime(unix_s, rev);
  if (status.ok() && env_.history_ms > 0) {
    // One older mark than the window is what RevisionAt answers with.
    status = env_.metadata->ForgetBefore(unix_s - 2 * env_.history_ms / 1000 - 600);
  }
  if (status.ok()) {
    marked_rev_ = rev;
  } else {
    Warn("metadata store: remembering the time", status);
  }
}

void Housekeeper::Reap(size_t i, absl::Time now) {
  State& state = states_[i];
  const Watched& watched = env_.lanes[i];
  if (const int64_t ms = watched.lane->TakeEarliestExpiry(); ms > 0) {
    state.next_expiry = std::min(state.next_expiry, absl::FromUnixMillis(ms));
  }
  if (now < state.next_expiry) return;
  if (state.reaping->load() > 0) {
    state.next_expiry = now + kRetry;
    return;
  }
  absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = watched.backend->OpenSnapshot();
  if (!snapshot.ok()) {
    state.next_expiry = now + kRetry;
    return;
  }
  std::vector<std::shared_ptr<WriteOp>> ops;
  int64_t rows = 0;
  auto sink = [&](const Row& row) {
    ++rows;
    auto op = std::make_shared<WriteOp>();
    op->verb = WriteOp::Verb::kDelete;
    op->resource = env_.resource_of(row.key);
    op->key.assign(row.key);
    op->expected = row.meta.mod_rev;
    op->expected_expiry_ms = row.meta.expire_at_ms;
    // A resource that is not registered yet: its watchers could not be told.
    if (op->resource >= 0) ops.push_back(std::move(op));
    return true;
  };
  if (!(*snapshot)->Expired(absl::ToUnixMillis(now), kReapRows, sink).ok() ||
      (rows > 0 && ops.empty())) {
    state.next_expiry = now + 5 * kRetry;
    return;
  }
  if (rows == 0) {
    absl::StatusOr<int64_t> next = (*snapshot)->NextExpiryMs();
    state.next_expiry = !next.ok()   ? now + kRetry
                        : *next == 0 ? absl::InfiniteFuture()
                                     : absl::FromUnixMillis(*next);
    return;
  }
  state.next_expiry = now + kRetry;  // look again; sooner when the last one is done
  state.reaping->store(static_cast<int>(ops.size()));
  for (std::shared_ptr<WriteOp>& op : ops) {
    op->done = [this, left = state.reaping](WriteResult&&) {
      if (left->fetch_sub(1) == 1) Poke();
    };
    watched.lane->Submit(std::move(op));
  }
}

void Housekeeper::Heal(size_t i, absl::Time now) {
  State& state = states_[i];
  if (env_.lanes[i].lane->Health().ok()) {
    state.next_heal = absl::InfiniteFuture();
    return;
  }
  if (now < state.next_heal && state.next_heal != absl::InfiniteFuture()) return;
  state.next_heal = now + kRetry;
  env_.lanes[i].lane->Heal();
}

// Without asking: by the number of changes since it was asked for.
bool Housekeeper::HistoryMayBeTooLarge(const State& state, const Watched& watched) const {
  if (env_.history_bytes <= 0) return false;
  const int64_t changes = watched.lane->head() - std::max(watched.lane->floor(), state.sized_head);
  return changes > (env_.history_bytes - state.sized_bytes) / kMostBytesOfAChange;
}

absl::StatusOr<int64_t> Housekeeper::Target(size_t i, bool by_age, absl::Time now) {
  State& state = states_[i];
  const Watched& watched = env_.lanes[i];
  const int64_t rev = env_.sequencer->Rev();
  const int64_t floor = watched.lane->floor();
  int64_t target = 0;
  if (by_age && env_.history_ms > 0) {
    absl::StatusOr<int64_t> old =
        env_.metadata->RevisionAt(absl::ToUnixSeconds(now) - env_.history_ms / 1000);
    if (!old.ok()) return old;
    target = *old;
  }
  target = std::min(target, rev - watched.compact.min_retain.value_or(0));
  if (HistoryMayBeTooLarge(state, watched)) {
    const int64_t head = watched.lane->head();
    absl::StatusOr<BackendStats> stats = watched.backend->Stats();
    if (!stats.ok()) return stats.status();
    const int64_t live_bytes = stats->history_bytes;
    state.sized_head = head;
    state.sized_bytes = live_bytes;
    if (live_bytes > env_.history_bytes && stats->debt_rows == 0) {
      const double excess = static_cast<double>(live_bytes - env_.history_bytes) / live_bytes;
      const double span = static_cast<double>(watched.lane->head() - floor);
      target = std::max(target, floor + static_cast<int64_t>(span * std::min(1.0, excess + 0.1)));
    }
  }
  return target;
}

void Housekeeper::CompactIfDue(size_t i, absl::Time now) {
  State& state = states_[i];
  const Watched& watched = env_.lanes[i];
  const bool by_age = now >= state.next_compact;
  const int64_t head = watched.lane->head();
  if (head != state.seen_head) state.next_size = std::min(state.next_size, now + kSizeEvery);
  if (!by_age && now < state.next_size) return;
  state.next_size = now + (head == state.seen_head ? absl::Hours(1) : kSizeEvery);
  if (by_age) state.next_compact = now + NextInterval(watched.compact);
  state.seen_head = head;
  absl::StatusOr<int64_t> target = Target(i, by_age, now);
  absl::Status status = target.status();
  if (target.ok() && *target > watched.lane->floor()) status = watched.lane->RaiseFloor(*target);
  if (!status.ok()) Warn(absl::StrCat("backend ", watched.backend->name(), ": compaction"), status);
}

}  // namespace storage
