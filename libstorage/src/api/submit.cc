// The operations of a session: validation, the inline path, the two queues.
#include <bit>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "src/api/answer.h"
#include "src/api/codes.h"
#include "src/api/session.h"

using storage::Code;
using storage::MakeStatus;

namespace {

// Larger than any limit an engine can be given, small enough to copy.
constexpr size_t kMaxKeyBytes = 64 << 10;
constexpr size_t kMaxValueBytes = size_t{1} << 30;
constexpr uint32_t kKnownFlags = STG_OP_EXACT | STG_OP_WANT_REMAINING | STG_OP_QUEUE;

bool IsWrite(int32_t verb) { return verb == STG_VERB_PUT || verb == STG_VERB_DELETE; }

int64_t DeadlineMs(const stg_op& op) {
  return op.timeout_ms > 0 ? storage::api::SteadyNowMs() + op.timeout_ms : 0;
}

storage::ReadOptions ReadOptionsOf(const stg_op& op) {
  storage::ReadOptions options;
  options.revision = op.revision;
  options.exact = (op.flags & STG_OP_EXACT) != 0;
  options.limit = op.limit;
  options.want_remaining = (op.flags & STG_OP_WANT_REMAINING) != 0;
  return options;
}

storage::api::ReadPool::Kind KindOf(const stg_op& op) {
  using Kind = storage::api::ReadPool::Kind;
  if (op.verb == STG_VERB_LIST || op.verb == STG_VERB_COMPACT) return Kind::kSlow;
  // At a revision it may wait for commits, and others would wait with it.
  const bool latest = op.revision == 0 && (op.flags & STG_OP_EXACT) == 0;
  return op.verb == STG_VERB_GET && latest ? Kind::kGet : Kind::kQuick;
}

}  // namespace

absl::Status stg_engine::Validate(const Request& request) const {
  const stg_op& op = request.op;
  if (op.verb < STG_VERB_GET || op.verb > STG_VERB_CURRENT_REVISION) {
    return MakeStatus(Code::kInvalid, absl::StrCat("unknown verb ", op.verb));
  }
  if ((op.flags & ~kKnownFlags) != 0) {
    return MakeStatus(Code::kInvalid,
                      absl::StrCat("unknown operation flags ", op.flags & ~kKnownFlags));
  }
  if (op.verb != STG_VERB_COMPACT && (op.resource < 0 || op.resource >= resources_.load())) {
    return MakeStatus(Code::kInvalid, absl::StrCat("resource ", op.resource, " is not registered"));
  }
  if (op.revision < (IsWrite(op.verb) ? storage::WriteOp::kAnyRevision : 0)) {
    return MakeStatus(Code::kInvalid, absl::StrCat("revision ", op.revision, " is negative"));
  }
  if (op.limit < 0 || op.ttl_ms < 0 || op.timeout_ms < 0) {
    return MakeStatus(Code::kInvalid, "limit, ttl_ms and timeout_ms must not be negative");
  }
  if (request.key.size() > kMaxKeyBytes) {
    return MakeStatus(Code::kTooLarge, absl::StrCat("a key of ", request.key.size(),
                                                    " bytes; the limit is ", kMaxKeyBytes));
  }
  if (request.value.size() > kMaxValueBytes || request.attrs.size() > kMaxValueBytes) {
    return MakeStatus(Code::kTooLarge, absl::StrCat("a value of ", request.value.size(),
                                                    " bytes; the limit is ", kMaxValueBytes));
  }
  return absl::OkStatus();
}

uint64_t stg_engine::Submit(const Request& request, stg_completion* done) {
  *done = storage::api::NewCompletion(0, request.op.user);
  Entry entry(this);
  if (!entry.allowed()) {
    storage::api::SetError(MakeStatus(Code::kCancelled, "the engine is shutting down"), &slabs_,
                           done);
    return 0;
  }
  if (absl::Status valid = Validate(request); !valid.ok()) {
    storage::api::SetError(valid, &slabs_, done);
    return 0;
  }
  if (IsWrite(request.op.verb)) return SubmitWrite(request, done);
  if (request.op.verb == STG_VERB_GET && GetInline(request, done)) return 0;
  return SubmitRead(request, done);
}

// False: not answered, goes to the pool.
bool stg_engine::GetInline(const Request& request, stg_completion* done) {
  if ((request.op.flags & STG_OP_QUEUE) != 0) return false;
  // At a revision it may have to wait for commits in flight, or to read history.
  if (request.op.revision != 0) return false;
  if (!engine_->FastGet(request.op.resource, request.key)) return false;
  bool answered = false;
  if (inline_reads_.fetch_add(1, std::memory_order_relaxed) < max_inline_reads_) {
    size_t need = 0;
    answered = storage::api::AnswerGet(engine_.get(), &slabs_, request.op.resource, request.key,
                                       ReadOptionsOf(request.op), done, &need);
  }
  inline_reads_.fetch_sub(1, std::memory_order_relaxed);
  if (answered) inline_total_.fetch_add(1, std::memory_order_relaxed);
  return answered;
}

uint64_t stg_engine::SubmitRead(const Request& request, stg_completion* done) {
  uint64_t id = 0;
  storage::api::OpTable::Slot* slot = ops_.New(&id);
  if (slot == nullptr) {
    storage::api::SetError(MakeStatus(Code::kBusy, "too many operations in flight"), &slabs_, done);
    return 0;
  }
  slot->user = request.op.user;
  slot->read.verb = request.op.verb;
  slot->read.resource = request.op.resource;
  slot->read.key.assign(request.key);
  slot->read.end.assign(request.value);
  slot->read.options = ReadOptionsOf(request.op);
  slot->read.deadline_ms = DeadlineMs(request.op);
  ops_.Publish(slot, nullptr);
  queued_total_.fetch_add(1, std::memory_order_relaxed);
  if (reads_->Push(id, BackendsOf(request), KindOf(request.op))) return id;
  if (!ops_.Take(id).has_value()) return id;  // cancelled meanwhile: completed over there
  storage::api::SetError(MakeStatus(Code::kBusy, "too many reads are waiting"), &slabs_, done);
  return 0;
}

uint64_t stg_engine::SubmitWrite(const Request& request, stg_completion* done) {
  const bool put = request.op.verb == STG_VERB_PUT;
  auto write = std::make_shared<storage::WriteOp>();
  write->verb = put ? storage::WriteOp::Verb::kPut : storage::WriteOp::Verb::kDelete;
  write->resource = request.op.resource;
  write->key.assign(request.key);
  if (put) {
    write->value = storage::Blob(request.value);
    write->attrs.assign(request.attrs);
    write->ttl_ms = request.op.ttl_ms;
  }
  write->expected = request.op.revision;
  write->deadline_ms = DeadlineMs(request.op);
  uint64_t id = 0;
  storage::api::OpTable::Slot* slot = ops_.New(&id);
  if (slot == nullptr) {
    storage::api::SetError(MakeStatus(Code::kBusy, "too many operations in flight"), &slabs_, done);
    return 0;
  }
  slot->user = request.op.user;
  slot->key.assign(request.key);
  write->done = [this, id](storage::WriteResult&& result) { FinishWrite(id, std::move(result)); };
  ops_.Publish(slot, write);
  queued_total_.fetch_add(1, std::memory_order_relaxed);
  try {
    engine_->Write(std::move(write));
  } catch (...) {
    storage::WriteResult failed;
    failed.error = storage::api::StatusOfCurrentException();
    failed.code = Code::kInternal;
    FinishWrite(id, std::move(failed));
  }
  return id;
}

uint64_t stg_engine::BackendsOf(const Request& request) const {
  switch (request.op.verb) {
    case STG_VERB_GET:
      return engine_->BackendsOf(request.op.resource, request.key);
    case STG_VERB_COMPACT:
      return ~uint64_t{0};  // every database
    default:
      return engine_->BackendsOf(request.op.resource, storage::Range{std::string(request.key),
                                                                     std::string(request.value)});
  }
}

// Runs on a pool thread and must not throw.
uint64_t stg_engine::RunReads(const std::vector<uint64_t>& ops) {
  absl::InlinedVector<const storage::api::ReadRequest*, 1> requests;
  absl::InlinedVector<stg_completion, 1> done;
  for (const uint64_t op : ops) {
    const storage::api::OpTable::Slot* const slot = ops_.Start(op);
    if (slot == nullptr) continue;
    requests.push_back(&slot->read);
    done.push_back(storage::api::NewCompletion(op, slot->user));
  }
  std::vector<bool> answered(requests.size(), false);
  if (requests.size() > 1) {
    answered = storage::api::AnswerGets(engine_.get(), &slabs_, requests, absl::MakeSpan(done));
  }
  uint64_t silent = 0;
  for (size_t i = 0; i < done.size(); ++i) {
    if (answered[i]) silent |= HandOver(done[i]);
  }
  for (size_t i = 0; i < done.size(); ++i) {
    if (answered[i]) continue;
    try {
      storage::api::AnswerRead(engine_.get(), &slabs_, *requests[i], &done[i]);
    } catch (...) {
      storage::api::SetError(storage::api::StatusOfCurrentException(), &slabs_, &done[i]);
    }
    silent |= HandOver(done[i]);
  }
  return silent;
}

// Returns whose answer was missing in it.
uint64_t stg_engine::HandOver(const stg_completion& done) {
  const uint64_t silent = SilentIn(done);
  ops_.Take(done.op);  // a running read is taken by its reader only
  queue_.Push(done);   // from here on the slab may be released
  return silent;
}

uint64_t stg_engine::SilentIn(const stg_completion& done) const {
  if (done.code != static_cast<stg_code>(Code::kUnavailable)) return 0;
  uint64_t silent = 0;
  const std::string_view name(reinterpret_cast<const char*>(done.backend.data), done.backend.size);
  for (size_t i = 0; i < backends_.size(); ++i) {
    if (backends_[i] == name) silent |= uint64_t{1} << (i % 64);
  }
  return silent;
}

// Runs on a pool thread and must not throw.
void stg_engine::RefuseRead(uint64_t op, uint64_t silent) {
  const auto taken = ops_.Take(op);
  if (!taken.has_value()) return;
  stg_completion done = storage::api::NewCompletion(op, taken->user);
  const std::string& name = backends_[static_cast<size_t>(std::countr_zero(silent))];
  storage::api::SetError(
      MakeStatus(Code::kUnavailable, "did not answer others that asked before", name), &slabs_,
      &done);
  queue_.Push(done);
}

// Runs on a thread of the engine: no waiting, no exception.
void stg_engine::FinishWrite(uint64_t op, storage::WriteResult&& result) {
  const auto taken = ops_.Take(op);
  if (!taken.has_value()) return;
  stg_completion done = storage::api::NewCompletion(op, taken->user);
  try {
    storage::api::AnswerWrite(taken->key, std::move(result), &slabs_, &done);
  } catch (...) {
    // The write is decided; only its object could not be copied.
    if (done.code == STG_CODE_OK) done.code = STG_CODE_OUTCOME_UNKNOWN;
  }
  queue_.Push(done);
}

void stg_engine::Cancel(uint64_t op) {
  storage::api::OpTable::Taken taken;
  if (ops_.Cancel(op, &taken) != storage::api::OpTable::Cancelled::kTaken) return;
  stg_completion done = storage::api::NewCompletion(op, taken.user);
  storage::api::SetError(MakeStatus(Code::kCancelled, "cancelled before it started"), &slabs_,
                         &done);
  queue_.Push(done);
}
