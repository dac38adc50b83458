// MetadataStore in tables of a MySQL database.
//
// One session writes and holds a claim, a named lock of the server, as long as it
// lives: another process is refused, and what this one had in flight is over before
// another can have it. Beside that every write names the epoch that it belongs to, in
// the statement itself. When several servers share the store a second session reads.
// Threads: as MetadataStore.
#ifndef LIBSTORAGE_SRC_BACKEND_MYSQL_METADATA_H_
#define LIBSTORAGE_SRC_BACKEND_MYSQL_METADATA_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "src/backend/checks.h"
#include "src/backend/mysql/connector.h"
#include "src/backend/mysql/mysql_backend.h"
#include "src/base/mutex.h"

namespace storage::mysql {

using Marks = std::map<std::string, BackendMark>;

class MysqlMetadata : public MetadataStore, public SharedMetadata {
 public:
  MysqlMetadata(const MysqlOptions& options, const Settings& settings, bool several)
      : several_(several), connector_(options, settings) {}
  ~MysqlMetadata() override;

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
  enum class Stage : uint8_t {
    kStarting,  // the claim and the lock of starts: it must not be lost
    kRunning,   // the claim, or our share of it
    kResigned,  // nothing
  };

  // The session that holds the claim.
  absl::StatusOr<Connection*> Session() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ClaimAgain(Connection* connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Prepare();
  absl::Status LoadState(Connection* connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One transaction: the state row, if it is still ours and in our epoch, which grows by
  // starts; then more statements, each with its ';'. Their results are the answer.
  absl::StatusOr<Outcome> Write(int64_t starts, const std::string& set, const std::string& more)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Lost(Connection* connection, const Outcome& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Once a second: a session that was lost without a call of ours takes its claim again,
  // before a server that starts finds nobody.
  void KeepClaim() ABSL_LOCKS_EXCLUDED(mutex_);
  // By the second session: reads wait for no take.
  absl::StatusOr<Result> ReadApart(const std::string& sql) ABSL_LOCKS_EXCLUDED(read_mutex_);

  const Site& site() const { return connector_.site(); }

  bool several_;  // constant after Open
  const std::string token_ = RandomIdentity();
  Connector connector_;
  std::atomic<bool> joined_{false};
  Mutex mutex_;
  std::unique_ptr<Connection> connection_ ABSL_GUARDED_BY(mutex_);
  Stage stage_ ABSL_GUARDED_BY(mutex_) = Stage::kRunning;
  SteadyTime claim_seen_ ABSL_GUARDED_BY(mutex_){};
  MetaState found_;                            // constant after Open, but for BecomeOnly
  int64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;  // that the store must be in
  Mutex read_mutex_;
  std::unique_ptr<Connection> reader_ ABSL_GUARDED_BY(read_mutex_);
};

}  // namespace storage::mysql

#endif  // LIBSTORAGE_SRC_BACKEND_MYSQL_METADATA_H_
