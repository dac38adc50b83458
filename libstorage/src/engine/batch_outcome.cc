// How a batch ends: commits whose outcome is not known, numbers that must not stay
// undecided, and operations that fail (protocol: "Unknown outcome", "Void").
#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/engine/batch.h"
#include "src/engine/lane.h"

namespace storage {
absl::Status BatchWriter::Settle() {
  if (void_to_ > 0) return Fence();
  return Begin().status();
}

absl::Status BatchWriter::CommitAndResolve(Batch* batch) {
  const SteadyTime began = SteadyAfter(absl::ZeroDuration());
  LaneFollower* const follower = lane_->env_.follower;
  if (follower != nullptr) follower->Committing(batch->last());
  absl::Status status = batch->txn->Commit();
  batch->txn.reset();
  if (status.ok()) {
    void_to_ = 0;
    Publish(*batch);
  }
  if (follower != nullptr) follower->Committing(0);
  if (status.ok()) return status;
  // On etcd another server may have committed the very head that was taken for ours.
  if (follower != nullptr) follower->Look();
  // Fence first: only then does the absence of the token prove anything
  // (counterexample 9).
  const bool unknown = ClassOf(CodeOf(status)) == CodeClass::kMaybeCommitted;
  const bool another_was_faster = CodeOf(status) == Code::kBusy;
  if (another_was_faster && lane_->env_.follower != nullptr) return status;
  if (batch->takes && !unknown) return status;  // nothing was handed out
  // The fence would only wait as long once more, longer than callers do: the janitor's.
  if (CommitLane::SilentSince(began)) return status;
  if (absl::Status fence = Fence(); !fence.ok()) {
    if (!unknown) return status;
    return MakeStatus(Code::kOutcomeUnknown,
                      absl::StrCat("the commit's outcome is not known and could not be resolved: ",
                                   status.message(), "; then: ", fence.message()),
                      lane_->env_.backend->name(), DriverCodeOf(status));
  }
  if (!unknown) return status;
  absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = lane_->env_.backend->OpenSnapshot();
  if (!snapshot.ok()) return status;
  // Of another moment than the fence, or compacted since: absence proves nothing.
  const Lane& row = (*snapshot)->lane();
  if (row.head < lane_->head() || row.floor >= batch->first) return status;
  absl::StatusOr<bool> landed = (*snapshot)->HasToken(batch->token);
  if (!landed.ok()) return status;
  if (*landed) {
    Publish(*batch);
    return absl::OkStatus();
  }
  return MakeStatus(CauseOf(status), absl::StrCat("not committed: ", status.message()),
                    lane_->env_.backend->name(), DriverCodeOf(status));
}

absl::Status BatchWriter::Fence() {
  absl::StatusOr<std::unique_ptr<LaneTxn>> txn = Begin();
  return txn.ok() ? FenceIn(*std::move(txn)) : txn.status();
}

absl::Status BatchWriter::VoidTo(int64_t upto) {
  absl::StatusOr<std::unique_ptr<LaneTxn>> txn = Begin();
  if (!txn.ok()) return txn.status();
  if (void_to_ == 0 && (*txn)->lane().head >= upto) {
    if (lane_->env_.follower != nullptr) lane_->env_.follower->Look();
    return absl::OkStatus();
  }
  void_to_ = std::max(void_to_, upto);
  return FenceIn(*std::move(txn));
}

absl::Status BatchWriter::FenceIn(std::unique_ptr<LaneTxn> txn) {
  const LaneEnv& env = lane_->env_;
  const int64_t prev_head = txn->lane().head;
  absl::Status status = txn->Void(env.owner, void_to_);
  if (status.ok()) status = txn->Commit();
  if (!status.ok()) return status;
  const int64_t head = std::max(prev_head, void_to_);
  void_to_ = 0;
  // A batch had landed without being seen: what expires of it is looked up.
  if (prev_head > lane_->head()) lane_->earliest_expiry_ms_.store(1);
  Tell(prev_head, {}, head);
  return absl::OkStatus();
}

// One poisoned operation must not fail the others: it is looked for by halves. An outage is
// nobody's fault, and a lane with undecided numbers holds readers up: both get the janitor.
void BatchWriter::AfterError(Ops ops, const absl::Status& status) {
  const Code code = CodeOf(status);
  const bool outage = code == Code::kUnavailable || code == Code::kOutcomeUnknown ||
                      code == Code::kReadOnly || code == Code::kCorrupt || code == Code::kBusy;
  if (outage || void_to_ > 0) lane_->SetHealth(status);
  if (outage || ops.size() == 1) return FailAll(ops, status);
  if (code != Code::kNoSpace) {
    const auto half = ops.begin() + static_cast<int64_t>(ops.size() / 2);
    Ops rest(std::make_move_iterator(half), std::make_move_iterator(ops.end()));
    ops.erase(half, ops.end());
    Execute(std::move(ops));
    return Execute(std::move(rest));
  }
  Ops shrinking;
  Ops growing;
  for (std::shared_ptr<WriteOp>& op : ops) {
    (op->grows() ? growing : shrinking).push_back(std::move(op));
  }
  FailAll(growing, status);
  if (growing.empty()) return FailAll(shrinking, status);
  if (!shrinking.empty()) Execute(std::move(shrinking));
}

void BatchWriter::FailAll(const Ops& ops, const absl::Status& status) {
  for (const std::shared_ptr<WriteOp>& op : ops) {
    WriteResult result;
    result.code = CodeOf(status);
    result.error = status;
    lane_->Answer(op.get(), std::move(result));
  }
}

}  // namespace storage
