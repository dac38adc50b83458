// LanePace: when a lane's thread does upkeep: checkpoints, deleting history
// below the floor, giving space back. Small steps; in pauses as fast as it can,
// under load at most a tenth of the time. One thread.
#ifndef LIBSTORAGE_SRC_ENGINE_PACE_H_
#define LIBSTORAGE_SRC_ENGINE_PACE_H_

#include "absl/time/time.h"
#include "src/backend/backend.h"

namespace storage {

class LanePace {
 public:
  explicit LanePace(absl::Duration idle) : idle_(idle) {}

  void AddDebt() { debt_ = true; }
  void Wrote() { maintain_ = true; }
  // How long the lane may wait for work before it takes an idle step.
  absl::Duration MaxWait() const;
  // idle: nothing came within MaxWait().
  absl::Status Step(Backend* backend, bool idle);

 private:
  absl::Status DeleteSome(Backend* backend);

  const absl::Duration idle_;
  bool debt_ = true;  // rows at or below the floor may be left from before
  bool maintain_ = true;
  bool resting_ = false;  // the last idle step had more to do: go on at once
  int64_t rows_ = 200;    // of the next deletion; adapts to about 5 ms
  absl::Time next_delete_ = absl::InfinitePast();
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_PACE_H_
