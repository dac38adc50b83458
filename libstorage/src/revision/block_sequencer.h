// BlockSequencer: the sequencer of the one server that writes a topology. Numbers come
// from blocks that the metadata store reserved durably, so a number is never handed
// out twice, whatever happens to this process; what is decided is known in memory.
//
// Threads: as Sequencer.
#ifndef LIBSTORAGE_SRC_REVISION_BLOCK_SEQUENCER_H_
#define LIBSTORAGE_SRC_REVISION_BLOCK_SEQUENCER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "src/backend/metadata.h"
#include "src/base/mutex.h"
#include "src/revision/sequencer.h"

namespace storage {

class BlockSequencer : public Sequencer {
 public:
  static constexpr int64_t kBlock = 1 << 17;

  // rev: highest number handed out so far; reserved: what the store already
  // reserved. lanes: in the order of lane numbers.
  BlockSequencer(MetadataStore* meta, int64_t rev, int64_t reserved, std::vector<LaneMark> lanes);

  // Blocks on a durable reservation only when the block ran out.
  absl::StatusOr<int64_t> Take(int lane, int64_t n) override;
  void Decide(int lane, int64_t head) override;
  int64_t Rev() const override;
  int64_t Complete(int lane) const override;
  int WaitComplete(absl::Span<const int> lanes, int64_t rev, absl::Time deadline) override;
  void FreshRev(Answer answer) override { answer(Rev()); }
  // Reserves when less than half a block is left.
  absl::Status ReserveAhead(bool flush_marks) override;
  void SetWanted(std::function<void()> wanted) override;
  // The store remembers Rev() exactly.
  absl::Status Finish() override;

 private:
  struct LaneState {
    LaneMark mark;
    int64_t in_flight = 0;  // first number in flight; 0 = none
  };
  int64_t CompleteLocked(int lane) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::map<std::string, BackendMark> MarksLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  MetadataStore* const meta_;
  Mutex reserve_mu_ ABSL_ACQUIRED_BEFORE(mu_);  // one reservation at a time
  mutable Mutex mu_;
  mutable CondVar decided_;  // signalled when a lane gets further and somebody waits
  mutable int waiting_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t rev_ ABSL_GUARDED_BY(mu_);
  int64_t reserved_ ABSL_GUARDED_BY(mu_);
  bool marks_moved_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<LaneState> lanes_ ABSL_GUARDED_BY(mu_);
  std::function<void()> wanted_;
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_REVISION_BLOCK_SEQUENCER_H_
