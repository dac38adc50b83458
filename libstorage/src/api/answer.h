// Answers: how results of the engine become completions with slabs.
// Threads: functions without state of their own.
#ifndef LIBSTORAGE_SRC_API_ANSWER_H_
#define LIBSTORAGE_SRC_API_ANSWER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "libstorage.h"
#include "src/api/op_table.h"
#include "src/api/slab.h"
#include "src/engine/engine.h"

namespace storage {
namespace api {

// A list page ends at about this size, whatever the limit; MORE tells.
inline constexpr size_t kMaxPageBytes = size_t{4} << 20;

// An empty terminal completion: OK, nothing in it, remaining not known.
inline stg_completion NewCompletion(uint64_t op, uint64_t user) {
  stg_completion completion = {};
  completion.op = op;
  completion.user = user;
  completion.kind = STG_COMPLETION_OP;
  return completion;
}

// Sets code, message, backend and driver code; never fails: without memory the
// message is dropped.
void SetError(const absl::Status& status, SlabPool* slabs, stg_completion* out) noexcept;

// A point read. False: the budget had no room for the row and nothing was
// answered; *need says how much it takes.
bool AnswerGet(Engine* engine, SlabPool* slabs, ResourceId resource, std::string_view key,
               const ReadOptions& options, stg_completion* out, size_t* need);

// Any request of the read pool, within its deadline and the budget: waits a
// bounded time for room, then BUSY.
void AnswerRead(Engine* engine, SlabPool* slabs, const ReadRequest& request, stg_completion* out);
// The same for several point reads of the latest state, together. out[i] is of requests[i].
// Returns which are answered. The others found no room: AnswerRead waits for it, once these
// were handed on, which may have it. Does not throw but for want of memory.
std::vector<bool> AnswerGets(Engine* engine, SlabPool* slabs,
                             absl::Span<const ReadRequest* const> requests,
                             absl::Span<stg_completion> out);

// The end of a write of key.
void AnswerWrite(const std::string& key, WriteResult&& result, SlabPool* slabs,
                 stg_completion* out);

int64_t SteadyNowMs();

}  // namespace api
}  // namespace storage

#endif  // LIBSTORAGE_SRC_API_ANSWER_H_
