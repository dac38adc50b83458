// Decides one batch against the state read under the lane's lock: which writes
// survive, which conflict, which must wait for the next batch because they touch
// a key that this batch changes. Pure: no database, no clock, no revisions yet.
#ifndef LIBSTORAGE_SRC_ENGINE_DECIDE_H_
#define LIBSTORAGE_SRC_ENGINE_DECIDE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "src/backend/backend.h"
#include "src/engine/engine.h"

namespace storage {

enum class Verdict : uint8_t {
  kSurvives,     // becomes a mutation
  kRefused,      // code and current are final
  kRefusedLate,  // conflicts with survivor `on`: true only if the batch commits
  kDeferred,     // next batch
};

struct Decision {
  Verdict verdict = Verdict::kRefused;
  Code code = Code::kOk;
  ChangeKind kind = ChangeKind::kCreate;
  int on = -1;  // index of the operation it conflicts with (kRefusedLate)
};

// Sizes agree; current[i] is the state of ops[i]->key before the batch.
std::vector<Decision> Decide(absl::Span<const std::shared_ptr<WriteOp>> ops,
                             absl::Span<const Current> current);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_DECIDE_H_
