// How a start begins: decides from what the metadata store and the lanes say
// whether history goes on, starts for the first time, starts afresh above
// everything ever handed out, or must be refused (protocol: "One process",
// "First start", "New epoch with a jump", "Older copies"). A pure function.
#ifndef LIBSTORAGE_SRC_REVISION_EPOCH_H_
#define LIBSTORAGE_SRC_REVISION_EPOCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "src/backend/backend.h"
#include "src/backend/metadata.h"
#include "src/base/status.h"

namespace storage {

struct LaneFacts {
  std::string name;
  std::string place;  // path of the database, for messages
  std::string identity;
  Lane lane;
  bool empty = true;    // no stored key
  bool durable = true;  // Backend::durable()
};

struct StartFacts {
  MetaState meta;
  std::vector<LaneFacts> lanes;
  bool restored = false;  // the operator says: files come from a backup
  int64_t unix_seconds = 0;
};

struct StartPlan {
  bool jump = false;        // new epoch: head = floor = rev in every lane, old revisions answer 410
  std::string reason;       // of the jump, for the log
  int64_t rev = 1;          // highest revision handed out so far
  bool void_lanes = false;  // raise every head to rev before publishing
  std::vector<int64_t> adopt_jump;  // per lane: jump_to of LaneTxn::Adopt
};

// INVALID with the lane's name and the remedy when the start must be refused.
absl::StatusOr<StartPlan> PlanStart(const StartFacts& facts);

// Whether a server may join those that run (SharedMetadata::joined), with the metadata as
// they left it. BUSY: the lane is not theirs, so nobody may run after all. Otherwise as
// PlanStart refuses.
absl::Status CheckJoin(const StartFacts& facts);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_REVISION_EPOCH_H_
