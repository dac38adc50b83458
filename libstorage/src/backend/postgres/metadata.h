// MetadataStore in a schema of its own of a PostgreSQL database. One session writes and
// holds the claim; a second one reads when several servers share the store.
// Threads: as MetadataStore.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_METADATA_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_METADATA_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "src/backend/checks.h"
#include "src/backend/postgres/dialer.h"
#include "src/backend/postgres/postgres.h"
#include "src/base/mutex.h"

namespace storage::postgres {

// A writing transaction of the metadata store begins with one of these: no row
// divides by zero, which takes the rest along. $1 m_id, $2 our epoch.
#define STG_META_OURS(set, answer)                                         \
  "WITH hit AS (UPDATE libstorage_meta.state SET " set                     \
  " WHERE id = 1 AND m_id = $1 AND epoch = $2 RETURNING epoch, reserved) " \
  "SELECT 1 / count(*), coalesce(max(" answer "), 0) FROM hit"

using Marks = std::map<std::string, BackendMark>;

class PostgresMetadata : public MetadataStore, public SharedMetadata {
 public:
  PostgresMetadata(const PostgresOptions& options, ConnInfo info, bool several)
      : site_{options.name, info.where, options.logger, options.slow_sql_ms * 1000000},
        info_(std::move(info)),
        several_(several),
        dialer_(&site_, &info_, Connection::Role::kMetadata),
        read_dialer_(&site_, &info_, Connection::Role::kMetadata) {}

  absl::Status Open();

  const MetaState& found() const override { return found_; }
  absl::StatusOr<int64_t> Start() override;
  absl::Status Reserve(int64_t upto, const Marks& marks) override;
  absl::Status SetTopology(int64_t version, const std::string& topo) override;
  absl::Status MarkTime(int64_t unix_s, int64_t rev) override;
  absl::StatusOr<int64_t> RevisionAt(int64_t unix_s) override;
  absl::Status ForgetBefore(int64_t unix_s) override;
  absl::Status Finish(int64_t rev, const Marks& marks) override;
  absl::Status Ping() override;

  // shared_metadata.cc
  SharedMetadata* shared() override { return several_ ? this : nullptr; }
  bool joined() const override { return joined_.load(); }
  absl::StatusOr<bool> BecomeOnly(int64_t wait_ms) override;
  absl::Status Admit() override;
  void Resign() override;
  absl::StatusOr<int64_t> Take(absl::Span<const TakeWish> wishes) override;
  absl::StatusOr<Numbers> ReadNumbers() override;
  absl::StatusOr<std::string> ReadTopology() override;
  absl::StatusOr<bool> SwapTopology(const std::string& before, const std::string& after) override;

 private:
  // What a session of ours has to hold.
  enum class Stage {
    kStarting,  // the claim and the lock of starts: it must not be lost
    kRunning,   // the claim, or our share of it
    kResigned,  // nothing
  };
  absl::Status Connect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ClaimAgain(Connection* connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadState() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One transaction in one round trip: guard with our identity before its own
  // parameters, then what body queues.
  absl::Status Write(const Statement& guard, const Params& own, absl::FunctionRef<void()> body)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TakenOver() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<int64_t> Read(const Statement& statement, const Params& params)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void QueueMarks(const Marks& marks) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Once a second: a session that was lost without a call of ours takes its claim again,
  // before a server that starts finds nobody.
  void KeepClaim();
  // By the second connection: reads wait for no take.
  absl::StatusOr<Result> ReadApart(const Statement& statement) ABSL_LOCKS_EXCLUDED(read_mutex_);

  const Site site_;
  const ConnInfo info_;
  const bool several_;
  const std::string token_ = RandomIdentity();
  std::atomic<bool> joined_{false};
  Mutex mutex_;
  Dialer dialer_;
  std::unique_ptr<Connection> connection_ ABSL_GUARDED_BY(mutex_);
  Stage stage_ ABSL_GUARDED_BY(mutex_) = Stage::kRunning;
  MetaState found_;                             // constant after Open, but for BecomeOnly
  int64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;   // ours: as found, then of Start()
  int64_t answer_ ABSL_GUARDED_BY(mutex_) = 0;  // what the last guard returned
  Mutex read_mutex_;
  Dialer read_dialer_;
  std::unique_ptr<Connection> reader_ ABSL_GUARDED_BY(read_mutex_);
  SteadyTime claim_seen_ ABSL_GUARDED_BY(mutex_){};
};

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_METADATA_H_
