// The claim on a metadata store: named locks of the server, which live as long as the
// session of their holder, and rows that name the holders for people. Correctness does
// not rest on it: every writing transaction checks the epoch.
//
// Named locks are exclusive. So a server that shares holds a lock of its own, and who
// wants to be alone holds the claim and then sees that no server holds any. Whoever comes
// second sees the other: each takes its lock before it looks.
// Threads: functions on one connection each.
#ifndef LIBSTORAGE_SRC_BACKEND_MYSQL_CLAIM_H_
#define LIBSTORAGE_SRC_BACKEND_MYSQL_CLAIM_H_

#include <string>

#include "src/backend/mysql/connection.h"

namespace storage::mysql {

// The lock that a server with this token holds while it shares.
std::string ServerLock(const std::string& token);

// Takes the claim for this session alone. BUSY names the holder, or a server that shares.
absl::Status Claim(Connection* connection);

// One server at a time starts or joins, which a lock sees to.

// Takes the lock of starts and that of this server, whose name is token; and the claim
// when nobody else is there (*only = true). BUSY names the holder who wants to be alone,
// or who has been starting for too long.
absl::Status ClaimShared(Connection* connection, const std::string& token, bool* only);
// Once more for a session that replaces a lost one, after the start.
absl::Status ReclaimShared(Connection* connection, const std::string& token);
// From shared to alone; needs the lock of starts. False: others stay.
absl::StatusOr<bool> BecomeOnly(Connection* connection, const std::string& token, int64_t wait_ms);
// The lock of starts by itself; false = another server starts.
absl::StatusOr<bool> LockStarts(Connection* connection, int64_t wait_ms);
// From alone to shared: the claim is given up, the lock of this server stays.
absl::Status ShareAgain(Connection* connection);
// Whether another server has its lock.
absl::StatusOr<bool> OthersThere(Connection* connection, const std::string& token);
// Ends the lock of starts.
absl::Status AdmitOthers(Connection* connection);

// Gives everything back, also after a claim that failed, so that others need not wait until
// the server has noticed that the session ended.
void ReleaseAll(Connection* connection);

}  // namespace storage::mysql

#endif  // LIBSTORAGE_SRC_BACKEND_MYSQL_CLAIM_H_
