// What every backend checks in the same way before it touches its database,
// with the same codes and messages. Pure functions: thread-safe.
#ifndef LIBSTORAGE_SRC_BACKEND_CHECKS_H_
#define LIBSTORAGE_SRC_BACKEND_CHECKS_H_

#include <string>

#include "absl/types/span.h"
#include "src/backend/backend.h"

namespace storage {

// INVALID unless revisions ascend above head, no key occurs twice, and every
// key and collection is not empty, the collection a prefix of the key.
absl::Status CheckMutations(absl::Span<const Mutation> mutations, int64_t head,
                            const std::string& backend);

// INVALID unless [first, last] covers the mutations of the batch, whose lowest
// and highest revisions are given (0 = there are none).
absl::Status CheckBatchRange(int64_t lowest, int64_t highest, int64_t first, int64_t last,
                             const std::string& backend);

// INVALID unless the floor is at the head, no key occurs twice, every collection is
// a prefix of its key, and the revisions of what comes are not above the head.
absl::Status CheckImport(absl::Span<const MovedRow> rows, const Lane& lane,
                         const std::string& backend);
absl::Status CheckDiscard(absl::Span<const DiscardedRow> rows, const Lane& lane,
                          const std::string& backend);

// COMPACTED when rev is below the floor, INVALID when it is above head; 0 is latest.
absl::Status CheckReadRevision(const Lane& lane, int64_t rev, const std::string& backend);
absl::Status CheckEventsAfter(const Lane& lane, int64_t after, const std::string& backend);

absl::Status CheckJump(const Lane& lane, int64_t jump_to, const std::string& backend);

// BUSY, naming what the guard found instead of what it expected.
absl::Status GuardRefused(const Lane& found, const LaneOwner& owner, const std::string& backend);

// BUSY: after `handed_out` the metadata store handed numbers to others.
absl::Status NumbersWentOn(int64_t handed_out, const std::string& backend);

// Unix milliseconds: the clock of a database that has none of its own.
int64_t SystemNowMs();

// 16 random bytes as hex: identities of backends and metadata stores.
std::string RandomIdentity();

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BACKEND_CHECKS_H_
