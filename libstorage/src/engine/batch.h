// BatchWriter: turns a batch of writes into one committed lane transaction, or
// says for each why not. Rules: protocol.md, "Batch", "void", "Unknown outcome".
// One thread: the lane's.
#ifndef LIBSTORAGE_SRC_ENGINE_BATCH_H_
#define LIBSTORAGE_SRC_ENGINE_BATCH_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "src/backend/backend.h"
#include "src/base/mutex.h"
#include "src/engine/decide.h"
#include "src/engine/engine.h"

namespace storage {

class CommitLane;

class BatchWriter {
 public:
  using Ops = std::vector<std::shared_ptr<WriteOp>>;

  explicit BatchWriter(CommitLane* lane);
  // Calls done() of every operation once, now or after a requeue.
  void Execute(Ops ops);
  // OK when the lane can be locked and nothing taken is left undecided.
  absl::Status Settle();
  // A committed void up to there, unless the head is already.
  absl::Status VoidTo(int64_t upto);
  void FailAll(const Ops& ops, const absl::Status& status);

 private:
  struct Batch {
    Ops ops;
    std::vector<Current> current;  // before the batch
    std::vector<Decision> decisions;
    std::vector<int> survivors;       // indices into ops
    std::vector<Mutation> mutations;  // of the survivors, same order
    std::unique_ptr<LaneTxn> txn;
    int64_t prev_head = 0;
    int64_t known_rev = 0;  // handed out for certain, before the transaction began
    bool fresh = false;     // nothing is assumed
    bool assumed = false;   // the lane and what was read: LaneTxn::assumed
    bool takes = false;     // its numbers are handed out by its own transaction
    int64_t first = 0;      // revisions first .. first + survivors - 1
    int64_t token = 0;
    int64_t last() const { return first + static_cast<int64_t>(survivors.size()) - 1; }
  };

  absl::Status Try(Batch* batch);
  // Try, again where another server was faster: nothing was committed then.
  absl::Status TryWithOthers(Batch* batch);
  absl::Status Open(Batch* batch);
  absl::Status OpenAndDecide(Batch* batch);
  // The lane, which must still be ours and as new as what we acknowledged.
  absl::StatusOr<std::unique_ptr<LaneTxn>> Begin();
  absl::Status CheckLane(const Lane& row, int64_t known) const;
  absl::Status WriteSurvivors(Batch* batch);
  absl::Status ChooseNumbers(Batch* batch);
  absl::Status CommitAndResolve(Batch* batch);
  // Commits a void of everything taken up to void_to_.
  absl::Status Fence();
  absl::Status FenceIn(std::unique_ptr<LaneTxn> txn);
  // The hub and the sequencer learn of a commit behind prev_head.
  void Tell(int64_t prev_head, const std::vector<EventPtr>& events, int64_t head);
  void Publish(const Batch& batch);
  void Finish(Batch* batch);
  WriteResult ResultOf(const Batch& batch, size_t i) const;
  void AfterError(Ops ops, const absl::Status& status);

  CommitLane* const lane_;
  int64_t next_token_;
  SteadyTime take_apart_until_{};  // others take numbers as well: not in our transactions
  int64_t void_to_ = 0;            // numbers up to here were taken and are not decided; 0 = none
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_BATCH_H_
