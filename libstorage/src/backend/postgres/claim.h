// The claim on a metadata store: an advisory lock that lives as long as the session
// of its holder, and a row that names the holder for people. Correctness does not
// rest on it: every writing transaction checks the epoch.
// Threads: functions on one connection each.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_CLAIM_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_CLAIM_H_

#include <string>

#include "src/backend/postgres/connection.h"

namespace storage::postgres {

// Takes the claim for this session alone. token tells holders apart: a session of ours
// that the server still keeps after an outage is ended. BUSY names another holder.
absl::Status Claim(Connection* connection, const std::string& token);

// Several servers share the claim, as locks of their sessions. One at a time starts or
// joins, which a second lock sees to.

// Takes both, the claim alone when nobody has it (*only = true), else shared. Who was
// alone and ends meanwhile is not joined: nobody knows which numbers it used. BUSY names
// the holder who wants to be alone, or who has been starting for too long.
absl::Status ClaimShared(Connection* connection, const std::string& token, bool* only);
// Once more for a session that replaces a lost one, after Admit.
absl::Status ReclaimShared(Connection* connection);
// From shared to alone, both held afterwards; needs the lock of starts. False: others stay.
absl::StatusOr<bool> BecomeOnly(Connection* connection, int64_t wait_ms);
// The lock of starts by itself; false = another server starts.
absl::StatusOr<bool> LockStarts(Connection* connection, int64_t wait_ms);
// From alone to shared, without a moment in between; the lock of starts stays.
absl::Status ShareAgain(Connection* connection);
// Whether another session has its share.
absl::StatusOr<bool> OthersThere(Connection* connection);
// Ends the lock of starts.
absl::Status AdmitOthers(Connection* connection);

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_CLAIM_H_
