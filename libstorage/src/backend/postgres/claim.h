// The claim on a metadata store: an advisory lock that lives as long as the session
// of its holder, and a row that names the holder for people. Correctness does not
// rest on it: every writing transaction checks the epoch.
// Threads: functions on one connection each.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_CLAIM_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_CLAIM_H_

#include <string>

#include "src/backend/postgres/connection.h"

namespace storage::postgres {

// Takes the claim for this session. token tells holders apart: a session of ours
// that the server still keeps after an outage is ended. BUSY names another holder.
absl::Status Claim(Connection* connection, const std::string& token);

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_CLAIM_H_
