// LanePace: when a lane's thread does upkeep: checkpoints, deleting history
// below the floor, giving space back. Small steps; in pauses as fast as it can,
// under load at most a tenth of the time. What a rule says of compaction holds for
// the deleting: compactBatchSize bounds a step, compactTimeout the time that the
// steps after one raise of the floor take together; what is left then waits for
// compactInterval, or for the next raise. One thread.
#ifndef LIBSTORAGE_SRC_ENGINE_PACE_H_
#define LIBSTORAGE_SRC_ENGINE_PACE_H_

#include "absl/time/time.h"
#include "src/backend/backend.h"
#include "src/topology/topology.h"

namespace storage {

class LanePace {
 public:
  LanePace(absl::Duration idle, const CompactSettings& compact);

  void AddDebt();  // the floor was raised
  void Wrote() { maintain_ = true; }
  // How long the lane may wait for work before it takes an idle step.
  absl::Duration MaxWait() const;
  // idle: nothing came within MaxWait().
  absl::Status Step(Backend* backend, bool idle);

 private:
  absl::Status DeleteSome(Backend* backend);
  bool MayDelete(absl::Time now) const { return debt_ && now >= paused_until_; }

  const absl::Duration idle_;
  const int64_t max_rows_;       // of a step
  const absl::Duration budget_;  // of the steps of one compaction
  const absl::Duration pause_;
  bool debt_ = true;  // rows at or below the floor may be left from before
  bool maintain_ = true;
  bool resting_ = false;                         // the last idle step had more to do: go on at once
  int64_t rows_;                                 // of the next deletion; adapts to about 5 ms
  absl::Duration spent_ = absl::ZeroDuration();  // of the budget
  absl::Time paused_until_ = absl::InfinitePast();
  absl::Time next_delete_ = absl::InfinitePast();
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_PACE_H_
