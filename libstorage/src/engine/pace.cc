#include "src/engine/pace.h"

#include <algorithm>

#include "absl/time/clock.h"

namespace storage {
namespace {

constexpr absl::Duration kStep = absl::Milliseconds(5);
constexpr int kShare = 10;  // one part in ten under load
constexpr int64_t kMinRows = 32;
constexpr int64_t kMaxRows = 4096;

}  // namespace

absl::Duration LanePace::MaxWait() const {
  if (resting_) return absl::ZeroDuration();
  return debt_ || maintain_ ? idle_ : absl::InfiniteDuration();
}

absl::Status LanePace::Step(Backend* backend, bool idle) {
  resting_ = false;
  if (debt_ && (idle || absl::Now() >= next_delete_)) {
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
  resting_ = idle && (debt_ || maintain_);
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
  rows_ = took > kStep ? std::max(kMinRows, rows_ / 2) : std::min(kMaxRows, rows_ * 2);
  return absl::OkStatus();
}

}  // namespace storage
