#include "src/backend/sqlite/lane_txn.h"

#include "src/backend/checks.h"

namespace storage::sqlite {
namespace {

Query& BindOwner(Query* query, const LaneRow& lane, const LaneOwner& owner) {
  return query->Bind(1, lane.ver).BindText(2, owner.m_id).Bind(3, owner.epoch).Bind(4, owner.gen);
}

Query& BindExpiry(Query* query, int index, int64_t expire_at_ms) {
  // NULL stays out of the expiry index.
  return expire_at_ms == 0 ? query->BindNull(index) : query->Bind(index, expire_at_ms);
}

bool Grows(const Mutation& m) {
  return m.kind == ChangeKind::kCreate || m.kind == ChangeKind::kUpdate;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LaneTxn>> SqliteLaneTxn::Begin(Writer* writer) {
  if (writer->lane_open) {
    return MakeStatus(Code::kBusy, "a lane transaction is open", writer->site().name);
  }
  absl::Status begun = writer->Begin();
  if (!begun.ok()) return begun;
  std::unique_ptr<SqliteLaneTxn> txn(new SqliteLaneTxn(writer));
  writer->lane_open = true;
  Query query(&txn->s_.lane);
  if (query.Step()) {
    ReadLane(query, &txn->lane_);
    txn->seq_ = txn->lane_.seq;
    txn->seq_bytes_ = txn->lane_.seq_bytes;
    return txn;
  }
  const absl::Status status = query.status("reading the lane row");
  if (!status.ok()) return writer->Failed(status);
  return MakeStatus(Code::kCorrupt, writer->site().path + " has no lane row; restore a backup",
                    writer->site().name);
}

SqliteLaneTxn::~SqliteLaneTxn() {
  if (stage_ != Stage::kDone) writer_->Rollback();
  writer_->lane_open = false;
}

// An embedded database has the clock of its process.
int64_t SqliteLaneTxn::NowMs() { return SystemNowMs(); }

absl::Status SqliteLaneTxn::Misused(const char* what) const {
  return MakeStatus(Code::kInternal, what, writer_->site().name);
}

absl::Status SqliteLaneTxn::Read(absl::Span<const std::string_view> keys, absl::Span<Current> out) {
  if (keys.size() != out.size() || stage_ == Stage::kDone)
    return Misused("Read: sizes differ, or too late");
  for (size_t i = 0; i < keys.size(); ++i) {
    Query query(&s_.read);
    query.BindBlob(1, keys[i]);
    out[i] = Current();
    if (query.Step()) {
      out[i].meta = ObjectMeta{query.Int(1), query.Int(0), query.Int(2)};
      out[i].value = Blob(query.Blob(3));
    }
    const absl::Status status = query.status("reading an object");
    if (!status.ok()) return writer_->Failed(status);
  }
  return absl::OkStatus();
}

absl::Status SqliteLaneTxn::Apply(absl::Span<const Mutation> mutations, int64_t token) {
  if (stage_ != Stage::kOpen || moved_) return Misused("Apply comes once, before the guard");
  absl::Status legal = CheckMutations(mutations, lane_.head, writer_->site().name);
  if (!legal.ok()) return legal;
  for (const Mutation& m : mutations) {
    if (!Grows(m)) continue;
    absl::Status room = writer_->ballast().CheckGrowth(writer_->site());
    if (!room.ok()) return room;
    break;
  }
  token_ = token;
  const absl::Status applied = ApplyAll(mutations);
  stage_ = applied.ok() ? Stage::kApplied : Stage::kBroken;
  return writer_->Failed(applied);
}

absl::Status SqliteLaneTxn::ApplyAll(absl::Span<const Mutation> mutations) {
  for (const Mutation& m : mutations) {
    KindDelta* const delta = DeltaOf(m.collection);
    if (!writer_->secure && IsEncrypted(m.value)) encrypted_ = true;
    absl::Status status = m.kind == ChangeKind::kCreate ? Create(m, delta) : Change(m, delta);
    if (!status.ok()) return status;
  }
  if (absl::Status counted = CountAll(); !counted.ok()) return counted;
  if (mutations.empty()) return absl::OkStatus();
  lowest_ = mutations.front().rev;
  highest_ = mutations.back().rev;
  return absl::OkStatus();
}

absl::Status SqliteLaneTxn::CountAll() {
  if (encrypted_) {
    absl::Status secure = writer_->SecureDelete();
    if (!secure.ok()) return secure;
  }
  for (const KindDelta& delta : deltas_) {
    Query query(&s_.kind);
    query.BindBlob(1, delta.collection).Bind(2, delta.objects).Bind(3, delta.bytes);
    absl::Status status = query.Run("counting objects");
    if (!status.ok()) return status;
  }
  deltas_.clear();  // its views end with the batch
  return absl::OkStatus();
}

SqliteLaneTxn::KindDelta* SqliteLaneTxn::DeltaOf(std::string_view collection) {
  for (KindDelta& delta : deltas_) {
    if (delta.collection == collection) return &delta;
  }
  return &deltas_.emplace_back(KindDelta{collection, 0, 0});
}

absl::Status SqliteLaneTxn::Create(const Mutation& m, KindDelta* delta) {
  ++seq_;
  Query event(&s_.create_event);
  event.Bind(1, m.rev).Bind(2, static_cast<int64_t>(m.kind)).Bind(3, token_);
  event.Bind(4, seq_).Bind(5, seq_bytes_).BindBlob(6, m.key);
  absl::Status logged = event.Run("appending an event");
  if (!logged.ok()) return logged;
  Query object(&s_.create);
  BindExpiry(&object.Bind(1, m.rev), 2, m.expire_at_ms);
  object.BindBlob(3, m.key).BindBlob(4, m.attrs).BindBlob(5, m.value);
  delta->objects += 1;
  delta->bytes += static_cast<int64_t>(m.value.size());
  return object.Run("creating an object");
}

// The old row goes into the undo log inside SQLite; only its size is seen here.
absl::Status SqliteLaneTxn::Change(const Mutation& m, KindDelta* delta) {
  int64_t create_rev = m.old_create_rev;
  int64_t old_bytes = m.old_bytes;
  if (create_rev == 0) {
    Query find(&s_.find);
    find.BindBlob(1, m.key);
    if (find.Step()) {
      create_rev = find.Int(0);
      old_bytes = find.Int(1);
    }
    absl::Status found = find.status("finding an object");
    if (!found.ok()) return found;
  }
  if (create_rev == 0) return Misused("Apply: a change of a key that does not exist");
  ++seq_;
  seq_bytes_ += old_bytes;
  Query event(&s_.change_event);
  event.Bind(1, m.rev).Bind(2, static_cast<int64_t>(m.kind)).Bind(3, token_);
  event.Bind(4, seq_).Bind(5, seq_bytes_).Bind(6, create_rev);
  absl::Status logged = event.Run("moving an object into the undo log");
  if (!logged.ok()) return logged;
  if (event.changes() != 1) return Misused("Apply: a change of an object that is not there");
  delta->bytes -= old_bytes;
  if (!Grows(m)) {
    delta->objects -= 1;
    return Query(&s_.remove).Bind(1, create_rev).Run("deleting an object");
  }
  delta->bytes += static_cast<int64_t>(m.value.size());
  Query object(&s_.update);
  BindExpiry(&object.Bind(1, create_rev).Bind(2, m.rev), 3, m.expire_at_ms);
  return object.BindBlob(4, m.attrs).BindBlob(5, m.value).Run("updating an object");
}

absl::Status SqliteLaneTxn::Decide(Query* query, const LaneOwner& owner) {
  absl::Status status = query->Run("writing the lane row");
  if (status.ok() && query->changes() == 1) {
    stage_ = Stage::kDecided;
    return status;
  }
  stage_ = Stage::kBroken;
  if (status.ok()) return GuardRefused(lane_, owner, writer_->site().name);
  return writer_->Failed(status);
}

absl::Status SqliteLaneTxn::Guard(const LaneOwner& owner, int64_t first, int64_t last) {
  const std::string& name = writer_->site().name;
  absl::Status fits = CheckBatchRange(lowest_, highest_, first, last, name);
  if (!fits.ok()) return fits;
  if (stage_ > Stage::kApplied) return Misused("a lane transaction is decided once");
  Query query(&s_.guard);
  BindOwner(&query, lane_, owner).Bind(5, first).Bind(6, last).Bind(7, seq_).Bind(8, seq_bytes_);
  return Decide(&query, owner);
}

absl::Status SqliteLaneTxn::Void(const LaneOwner& owner, int64_t to) {
  if (stage_ != Stage::kOpen) return Misused("a batch needs Guard, not Void");
  Query query(&s_.void_lane);
  BindOwner(&query, lane_, owner).Bind(5, to);
  return Decide(&query, owner);
}

absl::Status SqliteLaneTxn::Adopt(const LaneOwner& owner, int64_t jump_to) {
  if (stage_ != Stage::kOpen) return Misused("Adopt stands alone in its transaction");
  absl::Status legal = CheckJump(lane_, jump_to, writer_->site().name);
  if (!legal.ok()) return legal;
  absl::Status strict = writer_->EndRelaxed();
  if (!strict.ok()) return strict;
  Query query(&s_.adopt);
  BindOwner(&query, lane_, owner);
  query.Bind(5, jump_to > 0 ? jump_to : lane_.head).Bind(6, jump_to > 0 ? jump_to : lane_.floor);
  return Decide(&query, owner);
}

absl::Status SqliteLaneTxn::RaiseFloor(const LaneOwner& owner, int64_t target) {
  if (stage_ != Stage::kOpen) return Misused("a batch needs Guard, not RaiseFloor");
  Query query(&s_.raise_floor);
  BindOwner(&query, lane_, owner).Bind(5, target);
  return Decide(&query, owner);
}

absl::Status SqliteLaneTxn::Commit() {
  if (stage_ != Stage::kDecided) return Misused("Commit without a guard that agreed");
  stage_ = Stage::kDone;
  absl::Status status = writer_->Commit();
  if (status.ok() && encrypted_) writer_->secure = true;
  if (CodeOf(status) == Code::kOutcomeUnknown && highest_ != 0) {
    writer_->unknown().Add(token_, lane_.head);
  }
  return status;
}

}  // namespace storage::sqlite
