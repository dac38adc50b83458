#include "src/backend/postgres/lane_txn.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "src/backend/checks.h"
#include "src/backend/postgres/batch.h"

namespace storage::postgres {
namespace {

constexpr Statement kExist = {"exist", "SELECT key FROM libstorage.objects WHERE key = ANY($1)"};

// A guard that hits no row divides by zero, which takes COMMIT along.
#define GUARD(set)                                              \
  "WITH hit AS (UPDATE libstorage.lane SET ver = ver + 1, " set \
  " WHERE id = 1 "                                              \
  "AND ver = $1 "
#define OWNED "AND m_id = $2 AND epoch = $3 AND gen = $4 "
#define HIT "RETURNING 1) SELECT 1 / count(*) FROM hit"
constexpr char kNoRow[] = "22012";

#define BATCH                                                                     \
  GUARD(                                                                          \
      "head = $6, seq = seq + $7, seq_bytes = coalesce((SELECT e.seq_bytes FROM " \
      "libstorage.events e WHERE e.rev = $8), seq_bytes)")                        \
  OWNED "AND head < $5 RETURNING 1) SELECT 1 / count(*)"
constexpr Statement kGuard = {"guard", BATCH " FROM hit"};
constexpr Statement kGuardAndNotify = {"guard_and_notify",
                                       BATCH ", pg_notify('libstorage', $9) FROM hit"};
#undef BATCH
constexpr Statement kVoid = {"void", GUARD("head = greatest(head, $5)") OWNED HIT};
constexpr Statement kRaiseFloor = {"raise_floor",
                                   GUARD("floor = greatest(floor, least($5, head))") OWNED HIT};
constexpr Statement kAdopt = {"adopt",
                              GUARD("m_id = $2, epoch = $3, gen = $4, head = $5, floor = $6") HIT};
#undef GUARD
#undef OWNED
#undef HIT

// Whatever the data may lose, numbers that were handed out stay so.
constexpr Statement kSynchronous = {"synchronous", "SET LOCAL synchronous_commit = on"};
// The row of the store is locked from here to COMMIT: who else takes waits as for any take.
constexpr Statement kTake = {
    "take_here",
    "WITH hit AS (UPDATE libstorage_meta.state SET reserved = $4, clean = false WHERE id = 1 "
    "AND m_id = $1 AND epoch = $2 AND reserved = $3 RETURNING 1), "
    "lane AS (UPDATE libstorage_meta.backends SET alloc = $4, "
    "confirmed = greatest(confirmed, $6) WHERE name = $5) SELECT 1 / count(*) FROM hit"};
constexpr Statement kStrict = {"strict", "DELETE FROM libstorage.meta WHERE name = 'relaxed'"};
constexpr Statement kNotify = {"notify", "SELECT pg_notify('libstorage', $1)"};
constexpr Statement kCommit = {"commit", "COMMIT"};

Params Owned(const LaneRow& lane, const LaneOwner& owner) {
  Params params;
  params.Int(lane.ver).Text(owner.m_id).Int(owner.epoch).Int(owner.gen);
  return params;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LaneTxn>> PostgresLaneTxn::Begin(
    LaneSession* session, absl::Span<const std::string_view> keys, absl::Span<Current> out) {
  if (session->lane_open) {
    return MakeStatus(Code::kBusy, "a lane transaction is open", session->site().name);
  }
  std::unique_ptr<PostgresLaneTxn> txn(new PostgresLaneTxn(session));
  LaneSession::Begun begun;
  if (absl::Status status = session->Begin(keys, &begun); !status.ok()) {
    txn->stage_ = Stage::kDone;  // nothing to roll back
    return status;
  }
  txn->lane_ = std::move(begun.lane);
  txn->now_ms_ = begun.now_ms;
  txn->handed_out_ = begun.handed_out;
  session->lane_open = true;
  if (!keys.empty()) txn->Found(*begun.rows, keys, out);
  return txn;
}

PostgresLaneTxn::~PostgresLaneTxn() {
  if (stage_ == Stage::kDone && !session_->lane_open) return;
  if (stage_ != Stage::kDone) session_->Rollback();
  session_->lane_open = false;
}

absl::Status PostgresLaneTxn::Misused(const char* what) const {
  return MakeStatus(Code::kInternal, what, session_->site().name);
}

absl::Status PostgresLaneTxn::Read(absl::Span<const std::string_view> keys,
                                   absl::Span<Current> out) {
  if (keys.size() != out.size() || stage_ != Stage::kOpen || moved_)
    return Misused("Read: sizes differ, or too late");
  session_->QueueRead(keys);
  std::vector<Result> results;
  absl::Status status = session_->connection()->Finish("reading objects", kPatienceMs, &results);
  if (status.ok()) Found(results[0], keys, out);
  return status;
}

void PostgresLaneTxn::Found(const Result& rows, absl::Span<const std::string_view> keys,
                            absl::Span<Current> out) {
  absl::flat_hash_map<std::string_view, int> row_of;
  for (int row = 0; row < rows.rows(); ++row) row_of[rows.Bytes(row, 0)] = row;
  for (size_t i = 0; i < keys.size(); ++i) {
    out[i] = Current();
    const auto it = row_of.find(keys[i]);
    exists_[std::string(keys[i])] = it != row_of.end();
    if (it == row_of.end()) continue;
    const int row = it->second;
    out[i].meta = ObjectMeta{rows.Int(row, 2), rows.Int(row, 1), rows.Int(row, 3)};
    out[i].value = Blob(rows.Bytes(row, 4));
  }
}

// Who has read the keys, as the engine does, pays nothing here.
absl::Status PostgresLaneTxn::CheckExistence(absl::Span<const Mutation> mutations) {
  std::vector<std::string_view> unread;
  for (const Mutation& m : mutations) {
    if (exists_.count(std::string(m.key)) == 0) unread.push_back(m.key);
  }
  if (!unread.empty()) {
    Params params;
    params.BytesArray(unread);
    session_->connection()->Queue(kExist, params);
    std::vector<Result> results;
    absl::Status status =
        session_->connection()->Finish("looking for objects", kPatienceMs, &results);
    if (!status.ok()) return status;
    for (const std::string_view key : unread) exists_[std::string(key)] = false;
    for (int row = 0; row < results[0].rows(); ++row) exists_[results[0].Text(row, 0)] = true;
  }
  for (const Mutation& m : mutations) {
    if (exists_[std::string(m.key)] == (m.kind == ChangeKind::kCreate)) {
      return Misused("Apply: a create of a key that exists, or a change of one that does not");
    }
  }
  return absl::OkStatus();
}

absl::Status PostgresLaneTxn::Apply(absl::Span<const Mutation> mutations, int64_t token) {
  if (stage_ != Stage::kOpen || moved_) return Misused("Apply comes once, before the guard");
  absl::Status legal = CheckMutations(mutations, lane_.head, session_->site().name);
  if (legal.ok()) legal = CheckExistence(mutations);
  if (!legal.ok()) return legal;
  token_ = token;
  stage_ = Stage::kApplied;
  rows_ = static_cast<int64_t>(mutations.size());
  queued_ += QueueBatch(session_->connection(), lane_, mutations, token);
  session_->connection()->Flush();  // the server works while the guard is passed
  if (mutations.empty()) return absl::OkStatus();
  lowest_ = mutations.front().rev;
  highest_ = mutations.back().rev;
  return absl::OkStatus();
}

absl::Status PostgresLaneTxn::CheckOwner(const LaneOwner& owner) const {
  const bool ours = lane_.m_id == owner.m_id && lane_.epoch == owner.epoch;
  if (ours && lane_.gen == owner.gen) return absl::OkStatus();
  return GuardRefused(lane_, owner, session_->site().name);
}

void PostgresLaneTxn::QueueNotice(int64_t head) {
  if (!session_->notify) return;
  const std::string text = std::to_string(head);
  Params params;
  params.Text(text);
  session_->connection()->Queue(kNotify, params);
  ++queued_;
}

absl::Status PostgresLaneTxn::Take(const LaneOwner& owner, int64_t first, int64_t last) {
  if (stage_ > Stage::kApplied || take_ != 0 || handed_out_ == 0 || first != handed_out_ + 1) {
    return Misused("Take comes once, behind Apply, with the numbers that are next");
  }
  if (session_->relaxed_now()) {
    session_->connection()->Queue(kSynchronous);
    ++queued_;
  }
  Params take;
  take.Text(owner.m_id).Int(owner.epoch).Int(handed_out_).Int(last);
  take.Text(session_->lane_in_numbers()).Int(lane_.head);
  session_->connection()->Queue(kTake, take);
  take_ = ++queued_;
  return absl::OkStatus();
}

absl::Status PostgresLaneTxn::Guard(const LaneOwner& owner, int64_t first, int64_t last) {
  const std::string& name = session_->site().name;
  absl::Status fits = CheckBatchRange(lowest_, highest_, first, last, name);
  if (!fits.ok()) return fits;
  if (stage_ > Stage::kApplied) return Misused("a lane transaction is decided once");
  absl::Status owned = CheckOwner(owner);
  if (!owned.ok()) return owned;
  if (lane_.head >= first) return GuardRefused(lane_, owner, name);
  Params params = Owned(lane_, owner);
  params.Int(first).Int(last).Int(rows_).Int(highest_);
  const std::string notice = std::to_string(last);
  if (session_->notify) params.Text(notice);
  session_->connection()->Queue(session_->notify ? kGuardAndNotify : kGuard, params);
  ++queued_;
  owner_ = owner;
  stage_ = Stage::kDecided;
  return absl::OkStatus();
}

absl::Status PostgresLaneTxn::Void(const LaneOwner& owner, int64_t to) {
  if (stage_ != Stage::kOpen) return Misused("a batch needs Guard, not Void");
  absl::Status owned = CheckOwner(owner);
  if (!owned.ok()) return owned;
  QueueNotice(std::max(lane_.head, to));
  Params params = Owned(lane_, owner);
  params.Int(to);
  session_->connection()->Queue(kVoid, params);
  ++queued_;
  owner_ = owner;
  stage_ = Stage::kDecided;
  return absl::OkStatus();
}

absl::Status PostgresLaneTxn::Adopt(const LaneOwner& owner, int64_t jump_to) {
  if (stage_ != Stage::kOpen) return Misused("Adopt stands alone in its transaction");
  absl::Status legal = CheckJump(lane_, jump_to, session_->site().name);
  if (!legal.ok()) return legal;
  if (session_->was_relaxed() && !session_->relaxed_now()) {
    session_->connection()->Queue(kStrict);
    ++queued_;
  }
  Params params = Owned(lane_, owner);
  params.Int(jump_to > 0 ? jump_to : lane_.head).Int(jump_to > 0 ? jump_to : lane_.floor);
  session_->connection()->Queue(kAdopt, params);
  ++queued_;
  owner_ = owner;
  stage_ = Stage::kDecided;
  return absl::OkStatus();
}

absl::Status PostgresLaneTxn::RaiseFloor(const LaneOwner& owner, int64_t target) {
  if (stage_ != Stage::kOpen) return Misused("a batch needs Guard, not RaiseFloor");
  absl::Status owned = CheckOwner(owner);
  if (!owned.ok()) return owned;
  Params params = Owned(lane_, owner);
  params.Int(target);
  session_->connection()->Queue(kRaiseFloor, params);
  ++queued_;
  owner_ = owner;
  stage_ = Stage::kDecided;
  return absl::OkStatus();
}

// Statements are answered in order. An error of one before COMMIT, or an error of
// COMMIT that left the session alive, is a rollback; all else may be a commit.
absl::Status PostgresLaneTxn::CommitFailed(const absl::Status& status, size_t commit) {
  const Connection::Failure& failed = session_->connection()->failed();
  if (failed.state == kNoRow && failed.index + 1 == commit) {
    return GuardRefused(lane_, owner_, session_->site().name);
  }
  if (failed.state == kNoRow && take_ != 0 && failed.index + 1 == take_) {
    return NumbersWentOn(handed_out_, session_->site().name);
  }
  const bool answered = !failed.state.empty();
  if (answered && (failed.index < commit || !failed.fatal)) return status;
  return OutcomeUnknown(failed.state, failed.detail, session_->site());
}

absl::Status PostgresLaneTxn::Commit() {
  if (stage_ != Stage::kDecided) return Misused("Commit without a guard that agreed");
  stage_ = Stage::kDone;
  Connection* const connection = session_->connection();
  // COMMIT was never sent.
  if (!connection->StillThere()) return connection->Finish("writing a batch");
  connection->TakeWarning();
  connection->Queue(kCommit);
  std::vector<Result> results;
  absl::Status status = connection->Finish("committing", kPatienceMs, &results);
  if (!status.ok()) {
    status = CommitFailed(status, queued_);
    session_->Rollback();
  } else if (results.back().tag() != "COMMIT") {
    status = FromSqlState("40000", "committing", "the server rolled back", session_->site());
  } else if (const std::string warning = connection->TakeWarning(); !warning.empty()) {
    // "canceling wait for synchronous replication": committed here, perhaps only here.
    status = OutcomeUnknown("", warning, session_->site());
  }
  if (CodeOf(status) == Code::kOutcomeUnknown && highest_ != 0) {
    session_->unknown().Add(token_, lane_.head);
  }
  return status;
}

}  // namespace storage::postgres
