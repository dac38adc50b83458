#include "src/backend/mysql/lane_txn.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"

namespace storage::mysql {
namespace {

// The clock is in UTC, so that no time zone and no summer time moves it; SYSDATE
// would be the moment of reading, but may be configured to be NOW.
constexpr char kBegin[] =
    "START TRANSACTION; SELECT m_id, epoch, gen, head, ver, floor, seq, seq_bytes FROM stg_lane "
    "WHERE id = 1 FOR UPDATE; SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', "
    "UTC_TIMESTAMP(3)) DIV 1000";
constexpr char kHandedOut[] = "; SELECT reserved FROM stg_m_state WHERE id = 1";

std::string KeyList(absl::Span<const std::string_view> keys) {
  std::string list = "(";
  for (const std::string_view key : keys) {
    if (list.size() > 1) list.push_back(',');
    AppendBytes(&list, key);
  }
  list.push_back(')');
  return list;
}

std::string ReadSql(absl::Span<const std::string_view> keys) {
  return absl::StrCat(
      "SELECT k, create_rev, mod_rev, expire_ms, value FROM stg_objects WHERE k IN ",
      KeyList(keys));
}

}  // namespace

absl::StatusOr<std::unique_ptr<LaneTxn>> MysqlLaneTxn::Begin(
    LaneSession* session, absl::Span<const std::string_view> keys, absl::Span<Current> out) {
  if (session->lane_open) {
    return MakeStatus(Code::kBusy, "a lane transaction is open", session->site().name);
  }
  // The lock has a statement of its own: what is read after it is as new as the lane row.
  const bool numbers = !session->lane_in_numbers().empty();
  auto begun = session->Begin(
      "locking the lane",
      absl::StrCat(kBegin, numbers ? kHandedOut : "", keys.empty() ? "" : "; " + ReadSql(keys)));
  if (!begun.ok()) return begun.status();
  std::unique_ptr<MysqlLaneTxn> txn(new MysqlLaneTxn(session, session->budget()));
  session->lane_open = true;
  absl::Status read = ReadLane(&begun->results[0], session->site(), &txn->lane_);
  if (!read.ok()) return read;
  txn->begun_ = std::chrono::steady_clock::now();
  if (begun->results[1].Next()) txn->now_ms_ = begun->results[1].Int(0);
  if (numbers && begun->results[2].Next()) txn->handed_out_ = begun->results[2].Int(0);
  txn->seq_ = txn->lane_.seq;
  txn->seq_bytes_ = txn->lane_.seq_bytes;
  if (!keys.empty()) txn->Found(&begun->results.back(), keys, out);
  return txn;
}

MysqlLaneTxn::~MysqlLaneTxn() {
  if (stage_ != Stage::kDone) session_->Rollback();
  session_->lane_open = false;
}

int64_t MysqlLaneTxn::NowMs() {
  const auto since = std::chrono::steady_clock::now() - begun_;
  return now_ms_ + std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

absl::Status MysqlLaneTxn::Misused(const char* what) const {
  return MakeStatus(Code::kInternal, what, session_->site().name);
}

// The server may have rolled back already: nothing more may be sent.
absl::Status MysqlLaneTxn::Failed(absl::Status status) {
  if (!status.ok()) stage_ = Stage::kBroken;
  return status;
}

absl::Status MysqlLaneTxn::Read(absl::Span<const std::string_view> keys, absl::Span<Current> out) {
  if (keys.size() != out.size() || stage_ >= Stage::kDone)
    return Misused("Read: sizes differ, or too late");
  std::fill(out.begin(), out.end(), Current());
  if (keys.empty()) return absl::OkStatus();
  auto rows = session_->connection()->Select("reading objects", ReadSql(keys));
  if (!rows.ok()) return Failed(rows.status());
  Found(&*rows, keys, out);
  return absl::OkStatus();
}

void MysqlLaneTxn::Found(Result* rows, absl::Span<const std::string_view> keys,
                         absl::Span<Current> out) {
  absl::flat_hash_map<std::string, Current> found;
  while (rows->Next()) {
    found[std::string(rows->Bytes(0))] =
        Current{ObjectMeta{rows->Int(2), rows->Int(1), rows->Int(3)}, Blob(rows->Bytes(4))};
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    const std::string key(keys[i]);
    const auto it = found.find(key);
    out[i] = it == found.end() ? Current() : it->second;
    known_[key] = Known{out[i].meta.create_rev, static_cast<int64_t>(out[i].value.size())};
  }
}

// Sizes of what Read was not asked for.
absl::Status MysqlLaneTxn::LookUp(absl::Span<const Mutation> mutations) {
  std::vector<std::string_view> keys;
  for (const Mutation& m : mutations) {
    if (m.old_create_rev == 0 && !known_.contains(std::string(m.key))) keys.push_back(m.key);
  }
  if (keys.empty()) return absl::OkStatus();
  auto rows = session_->connection()->Select(
      "finding objects",
      absl::StrCat("SELECT k, create_rev, LENGTH(value) FROM stg_objects WHERE k IN ",
                   KeyList(keys)));
  if (!rows.ok()) return rows.status();
  for (const std::string_view key : keys) known_[std::string(key)] = Known();
  while (rows->Next()) known_[std::string(rows->Bytes(0))] = Known{rows->Int(1), rows->Int(2)};
  return absl::OkStatus();
}

absl::Status MysqlLaneTxn::Match(absl::Span<const Mutation> mutations, std::vector<Known>* before) {
  for (const Mutation& m : mutations) {
    Known found{m.old_create_rev, m.old_bytes};
    if (m.old_create_rev == 0) found = known_[std::string(m.key)];
    if ((found.create_rev != 0) == (m.kind == ChangeKind::kCreate)) {
      return Misused("Apply: a create of a key that exists, or a change of one that does not");
    }
    if (m.key.size() > kMaxKeyBytes) {
      return MakeStatus(Code::kTooLarge,
                        absl::StrCat("a key has ", m.key.size(), " bytes, and at most ",
                                     kMaxKeyBytes, " are stored"),
                        session_->site().name);
    }
    before->push_back(found);
  }
  return absl::OkStatus();
}

absl::Status MysqlLaneTxn::Apply(absl::Span<const Mutation> mutations, int64_t token) {
  if (stage_ != Stage::kOpen || moved_) return Misused("Apply comes once, before the guard");
  absl::Status legal = CheckMutations(mutations, lane_.head, session_->site().name);
  if (!legal.ok()) return legal;
  absl::Status status = LookUp(mutations);
  std::vector<Known> before;
  before.reserve(mutations.size());
  if (status.ok()) status = Match(mutations, &before);
  token_ = token;
  if (status.ok()) status = WriteAll(mutations, before);
  if (!status.ok()) return Failed(status);
  stage_ = Stage::kApplied;
  if (mutations.empty()) return status;
  events_ = static_cast<int64_t>(mutations.size());
  lowest_ = mutations.front().rev;
  highest_ = mutations.back().rev;
  return status;
}

absl::Status MysqlLaneTxn::CheckOwner(const LaneOwner& owner) const {
  if (lane_.m_id == owner.m_id && lane_.epoch == owner.epoch && lane_.gen == owner.gen) {
    return absl::OkStatus();
  }
  return GuardRefused(lane_, owner, session_->site().name);
}

// In the transaction itself, after everything else: the lane row must still be
// what was read, else head runs out of the range of its type. That error needs no
// SQL mode, and the server runs nothing of the text after it.
absl::Status MysqlLaneTxn::Decide(const LaneOwner& owner, const std::string& condition,
                                  const std::string& head, const std::string& set, bool owned) {
  if (owned) {
    const absl::Status legal = CheckOwner(owner);
    if (!legal.ok()) return Failed(legal);
  }
  std::string sql = absl::StrCat("UPDATE stg_lane SET head = IF(ver = ", lane_.ver);
  if (owned) {
    absl::StrAppend(&sql, " AND m_id = ", Bytes(owner.m_id), " AND epoch = ", owner.epoch,
                    " AND gen = ", owner.gen);
  }
  absl::StrAppend(&sql, condition, ", ", head, ", 9223372036854775807 + ver + 1), ", set,
                  "ver = ver + 1 WHERE id = 1");
  const absl::Status added = script_.Add(sql);
  if (!added.ok()) return Failed(OfTake(added));
  owner_ = owner;
  stage_ = Stage::kDecided;
  return absl::OkStatus();
}

// A store that moved makes the number run out of its type, as the guard does. Its row is
// locked from here to COMMIT: who else takes waits as for any take.
absl::Status MysqlLaneTxn::Take(const LaneOwner& owner, int64_t first, int64_t last) {
  if (stage_ > Stage::kApplied || took_ || handed_out_ == 0 || first != handed_out_ + 1) {
    return Misused("Take comes once, behind Apply, with the numbers that are next");
  }
  took_ = true;
  absl::Status added = script_.Add(
      absl::StrCat("UPDATE stg_m_state SET reserved = IF(reserved = ", handed_out_,
                   " AND m_id = ", Bytes(owner.m_id), " AND epoch = ", owner.epoch, ", ", last,
                   ", 9223372036854775807 + reserved + 1), clean = 0 WHERE id = 1"));
  if (!added.ok()) return Failed(added);
  return Failed(script_.Add(absl::StrCat("UPDATE stg_m_backends SET alloc = ", last,
                                         ", confirmed = GREATEST(confirmed, ", lane_.head,
                                         ") WHERE name = ", Bytes(session_->lane_in_numbers()))));
}

absl::Status MysqlLaneTxn::Guard(const LaneOwner& owner, int64_t first, int64_t last) {
  const std::string& name = session_->site().name;
  absl::Status fits = CheckBatchRange(lowest_, highest_, first, last, name);
  if (!fits.ok()) return fits;
  if (stage_ > Stage::kApplied) return Misused("a lane transaction is decided once");
  if (lane_.head >= first) return Failed(GuardRefused(lane_, owner, name));
  // Every event of the batch is there, the moved ones too.
  std::string condition = absl::StrCat(" AND head < ", first);
  if (events_ > 0) {
    absl::StrAppend(&condition, " AND (SELECT COUNT(*) FROM stg_events WHERE rev BETWEEN ", lowest_,
                    " AND ", highest_, ") = ", events_);
  }
  return Decide(owner, condition, absl::StrCat(last),
                absl::StrCat("seq = ", seq_, ", seq_bytes = ", seq_bytes_, ", "), true);
}

absl::Status MysqlLaneTxn::Void(const LaneOwner& owner, int64_t to) {
  if (stage_ != Stage::kOpen) return Misused("a batch needs Guard, not Void");
  return Decide(owner, "", absl::StrCat("GREATEST(head, ", to, ")"), "", true);
}

absl::Status MysqlLaneTxn::Adopt(const LaneOwner& owner, int64_t jump_to) {
  if (stage_ != Stage::kOpen) return Misused("Adopt stands alone in its transaction");
  absl::Status legal = CheckJump(lane_, jump_to, session_->site().name);
  if (!legal.ok()) return legal;
  const std::string strict = session_->EndRelaxedSql();
  if (!strict.empty()) {
    if (absl::Status added = script_.Add(strict); !added.ok()) return Failed(added);
  }
  std::string set = absl::StrCat("m_id = ", Bytes(owner.m_id), ", epoch = ", owner.epoch,
                                 ", gen = ", owner.gen, ", ");
  if (jump_to > 0) absl::StrAppend(&set, "floor = ", jump_to, ", ");
  return Decide(owner, "", jump_to > 0 ? absl::StrCat(jump_to) : "head", set, false);
}

absl::Status MysqlLaneTxn::RaiseFloor(const LaneOwner& owner, int64_t target) {
  if (stage_ != Stage::kOpen) return Misused("a batch needs Guard, not RaiseFloor");
  return Decide(owner, "", "head",
                absl::StrCat("floor = GREATEST(floor, LEAST(", target, ", head)), "), true);
}

absl::Status MysqlLaneTxn::Commit() {
  if (stage_ != Stage::kDecided) return Misused("Commit without a guard that agreed");
  int statements = 0;
  const auto outcome = script_.Finish("COMMIT", 1, &statements);
  if (!outcome.ok()) return Failed(OfTake(outcome.status()));  // COMMIT was not sent
  stage_ = Stage::kDone;
  if (outcome->error == 0) return absl::OkStatus();
  return CommitFailed(*outcome, statements);
}

absl::Status MysqlLaneTxn::OfTake(absl::Status status) const {
  const bool ran_out = DriverCodeOf(status) == static_cast<int32_t>(kGuardError);
  return took_ && ran_out ? NumbersWentOn(handed_out_, session_->site().name) : status;
}

absl::Status MysqlLaneTxn::CommitFailed(const Outcome& outcome, int statements) {
  const Site& site = session_->site();
  if (outcome.by_server && outcome.done < statements - 1) {  // COMMIT was not reached
    session_->Rollback();
    if (outcome.error == kGuardError && outcome.done == statements - 2) {
      return MakeStatus(Code::kBusy,
                        "lane guard: the lane row, or the batch, is not what was written under "
                        "its lock",
                        site.name, static_cast<int32_t>(outcome.error));
    }
    return OfTake(FromMysql(outcome.error, "writing a batch", outcome.detail, site));
  }
  session_->Drop();
  absl::Status status = FromCommit(outcome.error, outcome.detail, site);
  if (CodeOf(status) == Code::kOutcomeUnknown && highest_ != 0) {
    session_->unknown().Add(token_, lane_.head);
  }
  return status;
}

}  // namespace storage::mysql
