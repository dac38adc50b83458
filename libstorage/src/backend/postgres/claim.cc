#include "src/backend/postgres/claim.h"

#include <unistd.h>

#include <ctime>
#include <vector>

#include "absl/strings/str_cat.h"

namespace storage::postgres {
namespace {

constexpr int64_t kClaimLock = 0x53544d4500000002;
// A holder that was killed a moment ago is gone before that.
constexpr char kWait[] = "SELECT set_config('lock_timeout', '700', true)";

// No command line: everybody who may read the table would see it.
std::string Describe() {
  char host[256] = "?";
  gethostname(host, sizeof(host) - 1);
  const time_t now = time(nullptr);
  struct tm utc {};
  gmtime_r(&now, &utc);
  char since[32];
  strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return absl::StrCat("pid ", getpid(), " on host ", host, " since ", since);
}

absl::Status TryLock(Connection* connection) {
  Params lock;
  lock.Int(kClaimLock);
  connection->QueueOnce("BEGIN");
  connection->QueueOnce(kWait);
  connection->QueueOnce("SELECT pg_advisory_lock($1)", lock);
  connection->QueueOnce("COMMIT");
  absl::Status status = connection->Finish("claiming the metadata store");
  if (!status.ok()) connection->Abandon();
  return status;
}

absl::Status WriteHolder(Connection* connection, const std::string& token) {
  const std::string text = Describe();
  Params params;
  params.Text(token).Text(text);
  connection->QueueOnce(
      "UPDATE libstorage_meta.holder SET token = $1, description = $2, "
      "session = pg_backend_pid() WHERE id = 1",
      params);
  return connection->Finish("claiming the metadata store");
}

}  // namespace

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
