#include "src/engine/pace.h"

#include <algorithm>

#include "absl/time/clock.h"

namespace storage {
namespace {

constexpr absl::Duration kStep = absl::Milliseconds(5);
constexpr int kShare = 10;  // one part in ten under load
constexpr int64_t kMinRows = 32;
constexpr int64_t kMaxRows = 4096;
constexpr int64_t kFirstRows = 200;
constexpr int64_t kPauseMs = 5 * 60 * 1000;

// Unset and 0 are the same: no bound, and our own interval.
int64_t Or(const std::optional<int64_t>& value, int64_t otherwise) {
  return value.value_or(0) > 0 ? *value : otherwise;
}

}  // namespace

LanePace::LanePace(absl::Duration idle, const CompactSettings& compact)
    : idle_(idle),
      max_rows_(Or(compact.batch_size, kMaxRows)),
      budget_(Or(compact.timeout_ms, 0) > 0 ? absl::Milliseconds(*compact.timeout_ms)
                                            : absl::InfiniteDuration()),
      pause_(absl::Milliseconds(Or(compact.interval_ms, kPauseMs))),
      rows_(std::min(kFirstRows, max_rows_)) {}

void LanePace::AddDebt() {
  debt_ = true;
  spent_ = absl::ZeroDuration();
  paused_until_ = absl::InfinitePast();
}

absl::Duration LanePace::MaxWait() const {
  const absl::Time now = absl::Now();
  if (resting_) return absl::ZeroDuration();
  if (maintain_ || MayDelete(now)) return idle_;
  return debt_ ? std::max(paused_until_ - now, idle_) : absl::InfiniteDuration();
}

absl::Status LanePace::Step(Backend* backend, bool idle) {
  resting_ = false;
  const absl::Time now = absl::Now();
  if (MayDelete(now) && (idle || now >= next_delete_)) {
    if (absl::Status status = DeleteSome(backend); !status.ok()) {
      debt_ = false;  // the next compaction tries again
      return status;
    }
  }
  if (idle || maintain_) {
    absl::StatusOr<bool> more = backend->Maintain(idle);
    if (!more.ok()) {
      maintain_ = false;
      return more.status();
    }
    if (idle) maintain_ = *more;
  }
  resting_ = idle && (maintain_ || MayDelete(absl::Now()));
  return absl::OkStatus();
}

absl::Status LanePace::DeleteSome(Backend* backend) {
  const absl::Time begin = absl::Now();
  absl::StatusOr<int64_t> gone = backend->DeleteHistory(rows_);
  if (!gone.ok()) return gone.status();
  const absl::Duration took = absl::Now() - begin;
  debt_ = *gone >= rows_;
  maintain_ = true;
  next_delete_ = begin + took * kShare;
  rows_ = took > kStep ? std::max(kMinRows, rows_ / 2) : rows_ * 2;
  rows_ = std::min(rows_, max_rows_);
  spent_ += took;
  if (debt_ && spent_ >= budget_) {
    spent_ = absl::ZeroDuration();
    paused_until_ = absl::Now() + pause_;
  }
  return absl::OkStatus();
}

}  // namespace storage
