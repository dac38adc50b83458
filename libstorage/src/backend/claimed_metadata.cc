#include "src/backend/claimed_metadata.h"

#include "absl/strings/str_cat.h"

namespace storage {
namespace {

constexpr absl::Duration kKeepEvery = absl::Seconds(1);

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

void ClaimedMetadata::KeepClaim() {
  MutexLock lock(&mutex_);
  const SteadyTime now = SteadyAfter(absl::ZeroDuration());
  if (stage_ != Stage::kRunning || now < claim_seen_ + absl::ToChronoNanoseconds(kKeepEvery)) {
    return;
  }
  claim_seen_ = now;
  Hold().IgnoreError();  // said by the next write
}

}  // namespace storage
