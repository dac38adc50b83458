// MetadataStore in a schema of its own of a PostgreSQL database. One session writes and
// holds the claim; a second one reads when several servers share the store.
// Threads: as MetadataStore.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_METADATA_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_METADATA_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "src/backend/checks.h"
#include "src/backend/claimed_metadata.h"
#include "src/backend/postgres/dialer.h"
#include "src/backend/postgres/postgres.h"

namespace storage::postgres {

// A writing transaction of the metadata store begins with one of these: no row
// divides by zero, which takes the rest along. $1 m_id, $2 our epoch.
#define STG_META_OURS(set, answer)                                         \
  "WITH hit AS (UPDATE libstorage_meta.state SET " set                     \
  " WHERE id = 1 AND m_id = $1 AND epoch = $2 RETURNING epoch, reserved) " \
  "SELECT 1 / count(*), coalesce(max(" answer "), 0) FROM hit"

using Marks = std::map<std::string, BackendMark>;

class PostgresMetadata : public ClaimedMetadata {
 public:
  PostgresMetadata(const PostgresOptions& options, ConnInfo info, bool several)
      : ClaimedMetadata(several),
        site_{options.name, info.where, options.logger, options.slow_sql_ms * 1000000},
        info_(std::move(info)),
        dialer_(&site_, &info_, Connection::Role::kMetadata),
        read_dialer_(&site_, &info_, Connection::Role::kMetadata) {}

  absl::Status Open();
  absl::Status Peek();  // instead of Open: fills found() alone

  absl::StatusOr<int64_t> Start() override;
  absl::Status Reserve(int64_t upto, const Marks& marks) override;
  absl::Status SetTopology(int64_t version, const std::string& topo) override;
  absl::Status MarkTime(int64_t unix_s, int64_t rev) override;
  absl::StatusOr<int64_t> RevisionAt(int64_t unix_s) override;
  absl::Status ForgetBefore(int64_t unix_s) override;
  absl::Status Finish(int64_t rev, const Marks& marks) override;
  absl::Status Ping() override;

  // shared_metadata.cc
  absl::StatusOr<NumbersPlace> NumbersAt() override;
  absl::StatusOr<int64_t> Take(absl::Span<const TakeWish> wishes) override;
  absl::StatusOr<Numbers> ReadNumbers() override;
  absl::StatusOr<std::string> ReadTopology() override;
  absl::StatusOr<bool> SwapTopology(const std::string& before, const std::string& after) override;

 private:
  absl::Status Hold() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> LockStarts(int64_t wait_ms) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> TakeAlone(int64_t wait_ms) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ShareAgain() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> OthersThere() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LetOthersIn(bool only) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveBack() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { connection_.reset(); }
  absl::Status ClaimAgain(Connection* connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadState() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One transaction in one round trip: guard with our identity before its own
  // parameters, then what body queues.
  absl::Status Write(const Statement& guard, const Params& own, absl::FunctionRef<void()> body)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TakenOver() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<int64_t> Read(const Statement& statement, const Params& params)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void QueueMarks(const Marks& marks) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // By the second connection: reads wait for no take.
  absl::StatusOr<Result> ReadApart(const Statement& statement) ABSL_LOCKS_EXCLUDED(read_mutex_);

  const Site site_;
  const ConnInfo info_;
  const std::string token_ = RandomIdentity();
  Dialer dialer_;
  std::unique_ptr<Connection> connection_ ABSL_GUARDED_BY(mutex_);
  int64_t answer_ ABSL_GUARDED_BY(mutex_) = 0;  // what the last guard returned
  Mutex read_mutex_;
  Dialer read_dialer_;
  std::unique_ptr<Connection> reader_ ABSL_GUARDED_BY(read_mutex_);
};

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_METADATA_H_
