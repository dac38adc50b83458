#include "src/backend/postgres/claim.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "src/backend/claimed_metadata.h"
#include "src/backend/holder.h"

namespace storage::postgres {
namespace {

constexpr int64_t kClaimLock = 0x53544d4500000002;
constexpr int64_t kStartLock = 0x53544d4500000003;
// A holder that was killed a moment ago is gone before that.
constexpr int64_t kWaitMs = 700;
// How long a start waits for that of another server. One statement may take less
// (kStatementMs): it is tried again until then.
constexpr int64_t kStartWaitMs = 20000;
constexpr int64_t kStartTryMs = 1500;

// For a lock that is free but for a moment.
constexpr int64_t kMomentMs = 1;

constexpr char kAlone[] = "SELECT pg_advisory_lock($1)";
constexpr char kShared[] = "SELECT pg_advisory_lock_shared($1)";
// The key of a lock of 64 bits is in two columns.
constexpr char kHeldByOthers[] =
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND "
    "classid::int8 << 32 | objid::int8 = $1 AND pid <> pg_backend_pid() AND database = "
    "(SELECT oid FROM pg_database WHERE datname = current_database())";

// BUSY when it is not free in time. Locks stay with the session.
absl::Status TryLock(Connection* connection, const char* sql = kAlone, int64_t key = kClaimLock,
                     int64_t wait_ms = kWaitMs) {
  Params lock, wait;
  lock.Int(key);
  const std::string ms = std::to_string(wait_ms);
  wait.Text(ms);
  connection->QueueOnce("BEGIN");
  connection->QueueOnce("SELECT set_config('lock_timeout', $1, true)", wait);
  connection->QueueOnce(sql, lock);
  connection->QueueOnce("COMMIT");
  absl::Status status = connection->Finish("claiming the metadata store");
  if (!status.ok()) connection->Abandon();
  return status;
}

absl::Status WriteHolder(Connection* connection, const std::string& token) {
  const std::string text = DescribeHolder();
  Params params;
  params.Text(token).Text(text);
  connection->QueueOnce(
      "UPDATE libstorage_meta.holder SET token = $1, description = $2, "
      "session = pg_backend_pid() WHERE id = 1",
      params);
  return connection->Finish("claiming the metadata store");
}

absl::Status HeldBy(Connection* connection, const std::string& what) {
  connection->QueueOnce("SELECT description FROM libstorage_meta.holder");
  std::vector<Result> results;
  absl::Status read = connection->Finish("reading the holder", kPatienceMs, &results);
  if (!read.ok()) return read;
  const std::string holder = results[0].rows() == 1 ? results[0].Text(0, 0) : "";
  const Site& site = connection->site();
  return MakeStatus(
      Code::kBusy,
      absl::StrCat("the metadata store in ", site.where, what, holder.empty() ? "unknown" : holder),
      site.name);
}

// With the lock of starts.
absl::Status ShareOrOwn(Connection* connection, bool* only) {
  Params lock;
  lock.Int(kClaimLock);
  connection->QueueOnce("SELECT pg_try_advisory_lock($1)::int::int8", lock);
  std::vector<Result> results;
  absl::Status status = connection->Finish("claiming the metadata store", kPatienceMs, &results);
  if (!status.ok()) return status;
  *only = results[0].Int(0, 0) != 0;
  if (*only) return status;
  status = TryLock(connection, kShared);
  if (CodeOf(status) == Code::kBusy) {
    return HeldBy(connection, absl::StrCat(kUsedAlone, "; stop it first. It is: "));
  }
  if (!status.ok()) return status;
  // It may have been free only because who was alone ended.
  const absl::StatusOr<bool> others = OthersThere(connection);
  if (!others.ok() || *others) return others.status();
  const absl::StatusOr<bool> alone = BecomeOnly(connection, kMomentMs);
  *only = alone.ok() && *alone;
  return alone.status();
}

}  // namespace

absl::Status ClaimShared(Connection* connection, const std::string& token, bool* only) {
  absl::Status status;
  for (int64_t waited = 0; waited < kStartWaitMs; waited += kStartTryMs) {
    status = TryLock(connection, kAlone, kStartLock, kStartTryMs);
    if (CodeOf(status) != Code::kBusy) break;
  }
  if (CodeOf(status) == Code::kBusy) {
    return HeldBy(connection, kBeingStarted);
  }
  if (status.ok()) status = ShareOrOwn(connection, only);
  return status.ok() ? WriteHolder(connection, token) : status;
}

absl::Status ReclaimShared(Connection* connection) {
  absl::Status status = TryLock(connection, kShared);
  return CodeOf(status) == Code::kBusy ? HeldBy(connection, kClaimedMeanwhile) : status;
}

absl::StatusOr<bool> LockStarts(Connection* connection, int64_t wait_ms) {
  absl::Status status = TryLock(connection, kAlone, kStartLock, wait_ms);
  if (status.ok()) return true;
  if (CodeOf(status) == Code::kBusy) return false;
  return status;
}

absl::StatusOr<bool> BecomeOnly(Connection* connection, int64_t wait_ms) {
  absl::Status status = TryLock(connection, kAlone, kClaimLock, wait_ms);
  if (status.ok()) return true;
  if (CodeOf(status) == Code::kBusy) return false;
  return status;
}

// A session may have both locks, and a share more than once: all go with it.
absl::Status ShareAgain(Connection* connection) {
  Params claim;
  claim.Int(kClaimLock);
  connection->QueueOnce(kShared, claim);
  connection->QueueOnce("SELECT pg_advisory_unlock($1)", claim);
  return connection->Finish("sharing the metadata store");
}

absl::StatusOr<bool> OthersThere(Connection* connection) {
  Params claim;
  claim.Int(kClaimLock);
  connection->QueueOnce(kHeldByOthers, claim);
  std::vector<Result> results;
  absl::Status status = connection->Finish("looking for other servers", kPatienceMs, &results);
  if (!status.ok()) return status;
  return results[0].Int(0, 0) > 0;
}

absl::Status AdmitOthers(Connection* connection) {
  Params start;
  start.Int(kStartLock);
  connection->QueueOnce("SELECT pg_advisory_unlock($1)", start);
  return connection->Finish("letting others in");
}

absl::Status Claim(Connection* connection, const std::string& token) {
  absl::Status status = TryLock(connection);
  if (status.ok()) return WriteHolder(connection, token);
  if (CodeOf(status) != Code::kBusy) return status;
  connection->QueueOnce("SELECT token, description, session FROM libstorage_meta.holder");
  std::vector<Result> results;
  absl::Status read = connection->Finish("reading the holder", kPatienceMs, &results);
  if (!read.ok()) return read;
  if (results[0].rows() == 1 && results[0].Bytes(0, 0) == token) {
    Params params;
    params.Int(results[0].Int(0, 2));
    connection->QueueOnce("SELECT pg_terminate_backend($1::int)", params);
    const absl::Status ended = connection->Finish("ending an old session of ours");
    if (ended.ok()) status = TryLock(connection);
    if (status.ok()) return WriteHolder(connection, token);
    return status;
  }
  const Site& site = connection->site();
  const std::string holder = results[0].rows() == 1 ? results[0].Text(0, 1) : "";
  return MakeStatus(
      Code::kBusy,
      absl::StrCat("the metadata store in ", site.where,
                   " is used by another process: ", holder.empty() ? "unknown" : holder,
                   "; stop it, or give this one a metadata store of its own"),
      site.name);
}

}  // namespace storage::postgres
