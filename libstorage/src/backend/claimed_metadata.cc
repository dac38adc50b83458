#include "src/backend/claimed_metadata.h"

#include <thread>

#include "absl/strings/str_cat.h"

namespace storage {
namespace {

// With the second that passes between two reads of M: how long a server that lost its
// claim without a call of its own takes to notice. Part of kReturnMs of engine/several.cc.
constexpr absl::Duration kKeepEvery = absl::Milliseconds(250);
// Between looks at who came back.
constexpr std::chrono::milliseconds kLookEvery{50};
// Of a process that shares with nobody, and sees that we are there, the lock may be had for
// a moment.
constexpr int64_t kAloneMs = 1000;

}  // namespace

absl::StatusOr<bool> ClaimedMetadata::BecomeOnly(int64_t wait_ms) {
  MutexLock lock(&mutex_);
  absl::Status status = Hold();
  if (!status.ok()) return status;
  if (stage_ == Stage::kRunning) {
    const auto locked = LockStarts(wait_ms);
    if (!locked.ok() || !*locked) return locked;
  }
  const auto only = TakeAlone(wait_ms);
  if (!only.ok()) return only;
  if (!*only) {
    if (stage_ == Stage::kRunning) status = LetOthersIn(false);
    if (!status.ok()) return status;
    return false;
  }
  if (stage_ == Stage::kStarting) {
    joined_ = false;
    status = LoadState();  // whoever was here may have moved on
    if (!status.ok()) return status;
  }
  stage_ = Stage::kStarting;
  return true;
}

// Who comes back needs a share and not the lock of starts, which stays ours: so does a share,
// which keeps out who would be alone.
absl::StatusOr<bool> ClaimedMetadata::AwaitOthers(int64_t wait_ms) {
  MutexLock lock(&mutex_);
  absl::Status status = Hold();
  if (status.ok()) status = ShareAgain();
  if (!status.ok()) return status;
  const SteadyTime until = SteadyAfter(absl::Milliseconds(wait_ms));
  absl::StatusOr<bool> others = OthersThere();
  while (others.ok() && !*others && SteadyAfter(absl::ZeroDuration()) < until) {
    std::this_thread::sleep_for(kLookEvery);  // nobody tells of sessions that begin
    others = OthersThere();
  }
  if (!others.ok()) return others.status();
  joined_ = *others;
  if (!joined_) {
    const absl::StatusOr<bool> only = TakeAlone(kAloneMs);
    if (!only.ok()) return only.status();
    joined_ = !*only;  // one came in this moment
  }
  status = LoadState();
  if (!status.ok()) return status;
  return joined();
}

absl::Status ClaimedMetadata::Admit() {
  MutexLock lock(&mutex_);
  absl::Status status = Hold();
  if (status.ok()) status = LetOthersIn(!joined_);
  if (status.ok()) stage_ = Stage::kRunning;
  return status;
}

void ClaimedMetadata::Resign() {
  MutexLock lock(&mutex_);
  stage_ = Stage::kResigned;
  GiveBack();
}

absl::Status ClaimedMetadata::MayClaimAgain(const std::string& what,
                                            const std::string& backend) const {
  if (stage_ == Stage::kRunning) return absl::OkStatus();
  if (stage_ == Stage::kResigned) {
    return MakeStatus(Code::kUnavailable, "the metadata store was closed", backend);
  }
  return MakeStatus(Code::kUnavailable,
                    absl::StrCat(what,
                                 " was lost during the start, and with it the right to start: "
                                 "start again"),
                    backend);
}

absl::Status ClaimedMetadata::NotBusy(const absl::Status& status) {
  if (CodeOf(status) != Code::kBusy) return status;
  return MakeStatus(Code::kUnavailable, std::string(status.message()), BackendOf(status),
                    DriverCodeOf(status));
}

// Reads do not wait for the take that has the lock, but for this.
void ClaimedMetadata::KeepClaim() {
  const SteadyTime now = SteadyAfter(absl::ZeroDuration());
  SteadyTime seen = claim_seen_.load();
  if (now < seen + absl::ToChronoNanoseconds(kKeepEvery)) return;
  if (!claim_seen_.compare_exchange_strong(seen, now)) return;  // another thread looks
  MutexLock lock(&mutex_);
  if (stage_ == Stage::kRunning) Hold().IgnoreError();  // said by the next write
}

}  // namespace storage
