#include "src/backend/postgres/lane_session.h"

#include <utility>

namespace storage::postgres {
namespace {

constexpr Statement kBegin = {"begin", "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"};
// Alone: in one statement with the reads, a wait for the lock would bring the new
// lane row beside old objects (protocol, counterexample 11).
constexpr Statement kLock = {
    "lock", "SELECT " STG_LANE_COLUMNS " FROM libstorage.lane WHERE id = 1 FOR UPDATE"};
constexpr Statement kNow = {"now", "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8"};
constexpr Statement kRead = {
    "read",
    "SELECT key, create_rev, mod_rev, coalesce(expire_ms, 0), value FROM libstorage.objects "
    "WHERE key = ANY($1)"};
constexpr Statement kNowAndNumbers = {
    "now_and_numbers",
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8, "
    "(SELECT reserved FROM libstorage_meta.state WHERE id = 1)"};

constexpr Statement kAsynchronous = {"asynchronous", "SET LOCAL synchronous_commit = off"};
constexpr Statement kDelete = {
    "delete_history",
    "WITH old AS (SELECT rev FROM libstorage.events WHERE rev > $2 AND rev <= "
    "(SELECT floor FROM libstorage.lane WHERE id = 1) ORDER BY rev LIMIT $1), "
    "gone AS (DELETE FROM libstorage.events e USING old WHERE e.rev = old.rev RETURNING e.rev) "
    "SELECT count(*), coalesce(max(rev), 0) FROM gone"};
constexpr Statement kCommit = {"commit_history", "COMMIT"};

}  // namespace

void UnknownTokens::Add(int64_t token, int64_t head) {
  MutexLock lock(&mutex_);
  heads_[token] = head;
}

int64_t UnknownTokens::HeadBefore(int64_t token) {
  MutexLock lock(&mutex_);
  const auto it = heads_.find(token);
  return it == heads_.end() ? 0 : it->second;
}

absl::Status LaneSession::Open() {
  auto connection = dialer_.Dial();
  if (!connection.ok()) return connection.status();
  connection_ = *std::move(connection);
  absl::Status status = PrepareSchema(connection_.get(), SchemaKind::kObjects);
  if (!status.ok()) return status;
  auto identity = ReadIdentity(connection_.get());
  if (!identity.ok()) return identity.status();
  identity_ = *std::move(identity);
  dialer_.Expect(identity_);
  return RememberRelaxed();
}

// On disk before anything that may be lost.
absl::Status LaneSession::RememberRelaxed() {
  std::vector<Result> results;
  connection_->QueueOnce("SELECT count(*) FROM libstorage.meta WHERE name = 'relaxed'");
  absl::Status status = connection_->Finish("reading the table meta", kPatienceMs, &results);
  if (!status.ok()) return status;
  if (results[0].Int(0, 0) > 0) was_relaxed_ = true;
  if (was_relaxed_ || !connection_->relaxed()) return absl::OkStatus();
  Log(*site_, LogLevel::kWarning,
      site_->where +
          " runs with synchronous_commit=off or fsync=off: a crash of the server may "
          "lose acknowledged writes");
  connection_->QueueOnce("BEGIN");
  connection_->QueueOnce("SET LOCAL synchronous_commit = on");
  connection_->QueueOnce(
      "INSERT INTO libstorage.meta VALUES('relaxed', 'on') ON CONFLICT DO NOTHING");
  connection_->QueueOnce("COMMIT");
  status = connection_->Finish("writing the table meta");
  if (status.ok()) was_relaxed_ = true;
  return status;
}

absl::StatusOr<Connection*> LaneSession::Ready() {
  if (connection_ != nullptr && connection_->StillThere()) return connection_.get();
  connection_.reset();
  auto connection = dialer_.Dial();
  if (!connection.ok()) return connection.status();
  connection_ = *std::move(connection);
  fresh_ = true;
  pruned_ = 0;  // what was deleted without a sync may be there again
  absl::Status remembered = RememberRelaxed();
  if (!remembered.ok()) return remembered;
  return connection_.get();
}

void LaneSession::QueueRead(absl::Span<const std::string_view> keys) {
  Params params;
  params.BytesArray(keys);
  connection_->Queue(kRead, params);
}

absl::Status LaneSession::TryBegin(absl::Span<const std::string_view> keys, Begun* begun,
                                   bool* again) {
  const auto ready = Ready();
  if (!ready.ok()) return ready.status();
  Connection* const connection = *ready;
  connection->Queue(kBegin);
  connection->Queue(kLock);
  const bool numbers = !lane_in_numbers_.empty();
  connection->Queue(numbers ? kNowAndNumbers : kNow);
  if (!keys.empty()) QueueRead(keys);
  std::vector<Result> results;
  absl::Status status = connection->Finish("locking the lane", kPatienceMs, &results);
  *again = connection->broken() && !connection->timed_out() && !fresh_;
  fresh_ = false;
  if (!status.ok()) {
    Rollback();
    return status;
  }
  if (results[1].rows() != 1) {
    Rollback();
    return NoLaneRow(*site_);
  }
  begun->lane = ReadLane(results[1]);
  begun->now_ms = results[2].Int(0, 0);
  begun->handed_out = numbers && !results[2].IsNull(0, 1) ? results[2].Int(0, 1) : 0;
  if (!keys.empty()) begun->rows = std::move(results.back());
  return status;
}

absl::Status LaneSession::Begin(absl::Span<const std::string_view> keys, Begun* begun) {
  bool again = false;
  const absl::Status status = TryBegin(keys, begun, &again);
  return again ? TryBegin(keys, begun, &again) : status;
}

// A copy of the database has the same store in it, but not the name that was written a
// moment ago. Whose user may not read it takes its numbers by the store's session.
absl::StatusOr<bool> LaneSession::ShareNumbers(const NumbersPlace& place) {
  const auto ready = Ready();
  if (!ready.ok()) return ready.status();
  if ((*ready)->database_id() != place.place) return false;
  Params params;
  params.Text(place.m_id).Text(place.mark);
  (*ready)->QueueOnce(
      "SELECT count(*) FROM libstorage_meta.state s, libstorage_meta.holder h WHERE s.id = 1 "
      "AND s.m_id = $1 AND h.token = $2 AND "
      "has_table_privilege('libstorage_meta.state', 'UPDATE') AND "
      "has_table_privilege('libstorage_meta.backends', 'UPDATE')",
      params);
  std::vector<Result> results;
  absl::Status status = (*ready)->Finish("looking for the metadata store", kPatienceMs, &results);
  if (!status.ok()) {
    Rollback();
    return (*ready)->broken() ? absl::StatusOr<bool>(status) : false;
  }
  if (results[0].Int(0, 0) != 1) return false;
  lane_in_numbers_ = place.lane;
  return true;
}

void LaneSession::Rollback() {
  if (connection_ != nullptr) connection_->Abandon();
}

absl::StatusOr<int64_t> LaneSession::DeleteHistory(int64_t max_rows) {
  const auto ready = Ready();
  if (!ready.ok()) return ready.status();
  Params params;
  params.Int(max_rows).Int(pruned_);
  (*ready)->Queue(kBegin);
  // Losing it costs nothing: the floor is on disk, and the rows go again.
  (*ready)->Queue(kAsynchronous);
  (*ready)->Queue(kDelete, params);
  (*ready)->Queue(kCommit);
  std::vector<Result> results;
  absl::Status status = (*ready)->Finish("deleting old history", kPatienceMs, &results);
  if (!status.ok()) {
    Rollback();
    return status;
  }
  fresh_ = false;
  if (results[2].Int(0, 0) > 0) pruned_ = results[2].Int(0, 1);
  return results[2].Int(0, 0);
}

}  // namespace storage::postgres
