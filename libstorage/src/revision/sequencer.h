// Sequencer: hands out the one sequence of revisions and knows how far each
// lane is decided (protocol: take, complete[b], Resolve). Numbers come from
// blocks that the metadata store reserved durably, so a number is never handed
// out twice, whatever happens to this process.
//
// Threads: every method is thread-safe. Take is called by lane threads only,
// with at most one range in flight per lane.
#ifndef LIBSTORAGE_SRC_REVISION_SEQUENCER_H_
#define LIBSTORAGE_SRC_REVISION_SEQUENCER_H_

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
#include "src/base/status.h"

namespace storage {

class Sequencer {
 public:
  struct LaneMark {
    std::string name;
    std::string identity;
    int64_t confirmed = 0;  // head known committed
  };
  static constexpr int64_t kBlock = 1 << 17;

  // rev: highest number handed out so far; reserved: what the store already
  // reserved. lanes: in the order of lane numbers.
  Sequencer(MetadataStore* meta, int64_t rev, int64_t reserved, std::vector<LaneMark> lanes);

  // First of n new numbers for the lane, which is in flight until Decide().
  // Blocks on a durable reservation only when the block ran out.
  absl::StatusOr<int64_t> Take(int lane, int64_t n);
  // Everything taken by the lane is committed or void in the database; head is its head now.
  void Decide(int lane, int64_t head);

  int64_t Rev() const;
  // Every revision at or below is decided in this lane.
  int64_t Complete(int lane) const;
  // Waits until all of the lanes are complete up to rev. On time-out returns the
  // first lane that is not; -1 = all are.
  int WaitComplete(absl::Span<const int> lanes, int64_t rev, absl::Time deadline) const;

  // Reserves ahead when less than half a block is left, and stores confirmed
  // heads that moved when flush_marks is set. Called by housekeeping; wanted()
  // is called (without locks) when it should be called soon: a block runs low,
  // or a confirmed head moved for the first time since the last flush.
  absl::Status ReserveAhead(bool flush_marks);
  void SetWanted(std::function<void()> wanted);  // before the first Take
  // Orderly end: the store remembers Rev() exactly.
  absl::Status Finish();

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

#endif  // LIBSTORAGE_SRC_REVISION_SEQUENCER_H_
