// Sequencer: hands out the one sequence of revisions and knows how far each lane is
// decided (protocol: take, complete[b], Resolve). BlockSequencer is that of one server,
// SharedSequencer that of several.
//
// Threads: every method is thread-safe. Take is called by lane threads only, with at
// most one range in flight per lane. Answers are called without locks.
#ifndef LIBSTORAGE_SRC_REVISION_SEQUENCER_H_
#define LIBSTORAGE_SRC_REVISION_SEQUENCER_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "src/base/status.h"

namespace storage {

class Sequencer {
 public:
  struct LaneMark {
    std::string name;
    std::string identity;
    int64_t confirmed = 0;  // head known committed
  };
  using Answer = std::function<void(const absl::StatusOr<int64_t>&)>;

  virtual ~Sequencer() = default;

  // First of n new numbers for the lane, which is in flight until Decide().
  virtual absl::StatusOr<int64_t> Take(int lane, int64_t n) = 0;
  // Everything this process took for the lane is committed or void in the database;
  // head is committed there.
  virtual void Decide(int lane, int64_t head) = 0;

  virtual int64_t Rev() const = 0;  // highest number known to be handed out
  // Every revision at or below is decided in this lane, and its events are in the ring.
  virtual int64_t Complete(int lane) const = 0;
  // The same by the numbers of this lane alone: what readers of a resource go by whose
  // keys all live there. Never above Complete().
  virtual int64_t CompleteAlone(int lane) const { return Complete(lane); }
  // Waits until all of the lanes are complete up to rev. On time-out returns the
  // first lane that is not; -1 = all are.
  virtual int WaitComplete(absl::Span<const int> lanes, int64_t rev, absl::Time deadline) = 0;
  // The highest number handed out to anybody, asked for after the call: at least every
  // revision acknowledged or shown before it. May answer during the call.
  virtual void FreshRev(Answer answer) = 0;

  // Keeps numbers at hand, and stores confirmed heads that moved when flush_marks is
  // set. Called by housekeeping; wanted() is called (without locks) when it should be
  // called soon: numbers run low, or a confirmed head moved for the first time since
  // the last flush.
  virtual absl::Status ReserveAhead(bool flush_marks) = 0;
  virtual void SetWanted(std::function<void()> wanted) = 0;  // before the first Take
  // Orderly end, after the lanes.
  virtual absl::Status Finish() = 0;
  // Not OK: this process may not go on, another one took over.
  virtual absl::Status Health() const { return absl::OkStatus(); }
};

// CORRUPT: the metadata store says that no number above `rev` was handed out, but this
// process knows of `known`. Going on would use numbers twice (protocol: counterexample 2).
absl::Status CheckStoreIsNotOlder(int64_t rev, int64_t known, const std::string& backend);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_REVISION_SEQUENCER_H_
