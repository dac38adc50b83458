#include "src/backend/mysql/claim.h"

#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "src/backend/claimed_metadata.h"
#include "src/backend/holder.h"

namespace storage::mysql {
namespace {

constexpr char kClaim[] = "CONCAT('stg.meta.', SHA1(DATABASE()))";
constexpr char kStarts[] = "CONCAT('stg.start.', SHA1(DATABASE()))";
// How long a start waits for that of another server, in tries of a second: a session of
// ours must not wait longer for an answer.
constexpr int kStartTries = 20;
// Between looks at servers that may go away.
constexpr std::chrono::milliseconds kLookEvery{50};

std::string LockOf(const std::string& token) { return Bytes(ServerLock(token)); }

// Locks wait in whole seconds.
absl::StatusOr<bool> Lock(Connection* connection, const std::string& name, int seconds) {
  auto locked = connection->Select("claiming the metadata store",
                                   absl::StrCat("SELECT GET_LOCK(", name, ", ", seconds, ")"));
  if (!locked.ok()) return locked.status();
  return locked->Next() && locked->Int(0) == 1;
}

absl::Status Unlock(Connection* connection, const std::string& name) {
  return connection
      ->Select("unlocking the metadata store", absl::StrCat("SELECT RELEASE_LOCK(", name, ")"))
      .status();
}

absl::Status Busy(Connection* connection, const std::string& why) {
  const Site& site = connection->site();
  return MakeStatus(Code::kBusy, absl::StrCat("the metadata store in ", site.where, why),
                    site.name);
}

// BUSY: who has the claim, or the lock that is named, in words and as a session.
absl::Status HeldBy(Connection* connection, const std::string& lock, const std::string& what,
                    const std::string& remedy) {
  auto rows = connection->Select(
      "asking who holds the metadata store",
      absl::StrCat("SELECT holder, IS_USED_LOCK(", lock, ") FROM stg_m_state WHERE id = 1"));
  if (!rows.ok()) return rows.status();
  std::string holder = "another process";
  int64_t session = 0;
  if (rows->Next()) {
    if (!rows->Bytes(0).empty()) holder = std::string(rows->Bytes(0));
    session = rows->Int(1);
  }
  return Busy(connection, absl::StrCat(what, holder, " (session ", session, "); ", remedy,
                                       ", or, when its machine is gone for good, run KILL ",
                                       session, " on the server"));
}

// A server other than token's that has its lock, in words; "" = none.
absl::StatusOr<std::string> AnotherServer(Connection* connection, const std::string& token) {
  auto rows = connection->Select(
      "looking for other servers",
      absl::StrCat("SELECT description FROM stg_m_servers WHERE token <> ", Bytes(token),
                   " AND IS_USED_LOCK(CONCAT('stg.server.', token)) IS NOT NULL LIMIT 1"));
  if (!rows.ok()) return rows.status();
  return rows->Next() ? std::string(rows->Bytes(0)) : "";
}

absl::Status WriteHolder(Connection* connection) {
  return connection
      ->Run("claiming the metadata store", absl::StrCat("UPDATE stg_m_state SET holder = ",
                                                        Bytes(DescribeHolder()), " WHERE id = 1"))
      .status();
}

// The lock of this server; a session of ours that the server still keeps is ended.
absl::Status LockSelf(Connection* connection, const std::string& token) {
  absl::StatusOr<bool> locked = Lock(connection, LockOf(token), 0);
  if (!locked.ok()) return locked.status();
  if (!*locked) {
    auto rows = connection->Select("looking for a session of ours",
                                   absl::StrCat("SELECT IS_USED_LOCK(", LockOf(token), ")"));
    if (!rows.ok()) return rows.status();
    if (rows->Next() && rows->Int(0) > 0) {
      // It may have ended meanwhile: the lock tells.
      connection->Run("ending an old session of ours", absl::StrCat("KILL ", rows->Int(0)))
          .status()
          .IgnoreError();
    }
    locked = Lock(connection, LockOf(token), 1);
    if (!locked.ok()) return locked.status();
    if (!*locked) return Busy(connection, " still keeps a session that this process lost");
  }
  return connection
      ->Run("claiming the metadata store",
            absl::StrCat("INSERT INTO stg_m_servers VALUES(", Bytes(token), ", ",
                         Bytes(DescribeHolder()),
                         ") ON DUPLICATE KEY UPDATE description = VALUES(description)"))
      .status();
}

// Under the lock of starts, which the caller has.
absl::Status ShareOrOwn(Connection* connection, const std::string& token, bool* only) {
  // Servers whose session is gone; one that only lost it writes its row again.
  absl::Status status =
      connection
          ->Run(
              "claiming the metadata store",
              "DELETE FROM stg_m_servers WHERE IS_USED_LOCK(CONCAT('stg.server.', token)) IS NULL")
          .status();
  if (status.ok()) status = LockSelf(connection, token);
  if (!status.ok()) return status;
  // A second, for who was killed a moment ago.
  const absl::StatusOr<bool> alone = Lock(connection, kClaim, 1);
  if (!alone.ok()) return alone.status();
  if (!*alone) {
    return HeldBy(connection, kClaim, absl::StrCat(kUsedAlone, ". It is: "), "stop it first");
  }
  const absl::StatusOr<std::string> other = AnotherServer(connection, token);
  if (!other.ok()) return other.status();
  *only = other->empty();
  if (!*only) status = Unlock(connection, kClaim);
  return status.ok() ? WriteHolder(connection) : status;
}

}  // namespace

std::string ServerLock(const std::string& token) { return "stg.server." + token; }

absl::Status Claim(Connection* connection) {
  const absl::StatusOr<bool> alone = Lock(connection, kClaim, 1);
  if (!alone.ok()) return alone.status();
  if (!*alone) return HeldBy(connection, kClaim, " is in use by ", "stop it");
  const absl::StatusOr<std::string> other = AnotherServer(connection, "");
  if (!other.ok()) return other.status();
  if (other->empty()) return absl::OkStatus();
  return Busy(connection, absl::StrCat(kUsedShared, *other));
}

absl::Status ClaimShared(Connection* connection, const std::string& token, bool* only) {
  for (int tries = 0;; ++tries) {
    const absl::StatusOr<bool> ours = Lock(connection, kStarts, 1);
    if (!ours.ok()) return ours.status();
    if (*ours) break;
    if (tries == kStartTries) {
      return HeldBy(connection, kStarts, kBeingStarted, "stop it");
    }
  }
  return ShareOrOwn(connection, token, only);
}

absl::Status ReclaimShared(Connection* connection, const std::string& token) {
  absl::Status status = LockSelf(connection, token);
  if (!status.ok()) return status;
  auto rows = connection->Select("looking for who is alone",
                                 absl::StrCat("SELECT IS_USED_LOCK(", kClaim, ") IS NOT NULL"));
  if (!rows.ok()) return rows.status();
  if (!rows->Next() || rows->Int(0) == 0) return absl::OkStatus();
  return HeldBy(connection, kClaim, kClaimedMeanwhile, "stop one of the two");
}

absl::StatusOr<bool> LockStarts(Connection* connection, int64_t wait_ms) {
  return Lock(connection, kStarts, wait_ms >= 1000 ? 1 : 0);
}

absl::StatusOr<bool> BecomeOnly(Connection* connection, const std::string& token, int64_t wait_ms) {
  const absl::StatusOr<bool> alone = Lock(connection, kClaim, wait_ms >= 1000 ? 1 : 0);
  if (!alone.ok() || !*alone) return alone;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  while (true) {
    const absl::StatusOr<std::string> other = AnotherServer(connection, token);
    if (!other.ok()) return other.status();
    if (other->empty()) return true;
    if (std::chrono::steady_clock::now() + kLookEvery >= end) break;
    std::this_thread::sleep_for(kLookEvery);  // nobody tells of sessions that end
  }
  absl::Status status = Unlock(connection, kClaim);
  if (!status.ok()) return status;
  return false;
}

absl::Status ShareAgain(Connection* connection) { return Unlock(connection, kClaim); }

absl::StatusOr<bool> OthersThere(Connection* connection, const std::string& token) {
  const absl::StatusOr<std::string> other = AnotherServer(connection, token);
  if (!other.ok()) return other.status();
  return !other->empty();
}

absl::Status AdmitOthers(Connection* connection) { return Unlock(connection, kStarts); }

void ReleaseAll(Connection* connection) {
  connection->Select("unlocking the metadata store", "SELECT RELEASE_ALL_LOCKS()")
      .status()
      .IgnoreError();
}

}  // namespace storage::mysql
