#include "src/engine/decide.h"

#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace storage {
namespace {

Decision Refuse(Code code) { return {Verdict::kRefused, code, ChangeKind::kCreate, -1}; }

Decision Survive(ChangeKind kind) { return {Verdict::kSurvives, Code::kOk, kind, -1}; }

ChangeKind GoneKind(const WriteOp& op) {
  return op.expected_expiry_ms >= 0 ? ChangeKind::kExpire : ChangeKind::kDelete;
}

Decision AgainstStored(const WriteOp& op, const ObjectMeta& stored) {
  const bool exists = stored.mod_rev != 0;
  const bool is_put = op.verb == WriteOp::Verb::kPut;
  if (is_put && op.expected == 0) {
    return exists ? Refuse(Code::kExists) : Survive(ChangeKind::kCreate);
  }
  if (!exists) {
    const bool put_any = is_put && op.expected == WriteOp::kAnyRevision;
    return put_any ? Survive(ChangeKind::kCreate) : Refuse(Code::kNotFound);
  }
  const bool other_rev = op.expected != WriteOp::kAnyRevision && op.expected != stored.mod_rev;
  const bool other_expiry =
      op.expected_expiry_ms >= 0 && op.expected_expiry_ms != stored.expire_at_ms;
  if (other_rev || other_expiry) return Refuse(Code::kConflict);
  return Survive(is_put ? ChangeKind::kUpdate : GoneKind(op));
}

// An earlier operation of the batch changes the key. Its revision is not known
// to anybody yet, so an expected revision cannot match it.
Decision AgainstPending(const WriteOp& op, const Decision& pending, int on) {
  const bool gone = pending.kind == ChangeKind::kDelete || pending.kind == ChangeKind::kExpire;
  Decision late{Verdict::kRefusedLate, Code::kConflict, ChangeKind::kCreate, on};
  if (op.expected > 0) {
    if (gone) late.code = Code::kNotFound;
    return late;
  }
  if (op.verb == WriteOp::Verb::kPut && op.expected == 0 && !gone) {
    late.code = Code::kExists;
    return late;
  }
  return {Verdict::kDeferred, Code::kOk, ChangeKind::kCreate, -1};
}

}  // namespace

std::vector<Decision> Decide(absl::Span<const std::shared_ptr<WriteOp>> ops,
                             absl::Span<const Current> current) {
  std::vector<Decision> out;
  out.reserve(ops.size());
  if (ops.size() == 1) {
    out.push_back(AgainstStored(*ops[0], current[0].meta));
    return out;
  }
  absl::flat_hash_map<std::string_view, int> pending;
  absl::flat_hash_map<std::string_view, bool> deferred;
  pending.reserve(ops.size());
  for (size_t i = 0; i < ops.size(); ++i) {
    const std::string_view key(ops[i]->key);
    auto found = pending.find(key);
    if (deferred.contains(key)) {
      // Keeps the order of operations on one key.
      out.push_back({Verdict::kDeferred, Code::kOk, ChangeKind::kCreate, -1});
    } else if (found != pending.end()) {
      out.push_back(AgainstPending(*ops[i], out[found->second], found->second));
      if (out.back().verdict == Verdict::kDeferred) deferred[key] = true;
    } else {
      out.push_back(AgainstStored(*ops[i], current[i].meta));
      if (out.back().verdict == Verdict::kSurvives) pending[key] = static_cast<int>(i);
    }
  }
  return out;
}

}  // namespace storage
