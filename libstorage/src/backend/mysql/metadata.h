// MetadataStore in tables of a MySQL database.
//
// One session writes and holds a claim, a named lock of the server, as long as it
// lives: another process is refused, and what this one had in flight is over before
// another can have it. Beside that every write names the epoch that it belongs to, in
// the statement itself. When several servers share the store a second session reads.
// Threads: as MetadataStore.
#ifndef LIBSTORAGE_SRC_BACKEND_MYSQL_METADATA_H_
#define LIBSTORAGE_SRC_BACKEND_MYSQL_METADATA_H_

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "src/backend/checks.h"
#include "src/backend/claimed_metadata.h"
#include "src/backend/mysql/connector.h"
#include "src/backend/mysql/mysql_backend.h"

namespace storage::mysql {

using Marks = std::map<std::string, BackendMark>;

class MysqlMetadata : public ClaimedMetadata {
 public:
  MysqlMetadata(const MysqlOptions& options, const Settings& settings, bool several)
      : ClaimedMetadata(several), connector_(options, settings) {}
  ~MysqlMetadata() override;

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
  // The session that holds the claim.
  absl::StatusOr<Connection*> Session() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ClaimAgain(Connection* connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Hold() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return Session().status(); }
  absl::StatusOr<bool> LockStarts(int64_t wait_ms) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> TakeAlone(int64_t wait_ms) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ShareAgain() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> OthersThere() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LetOthersIn(bool only) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveBack() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadState() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return LoadState(connection_.get(), true);
  }
  absl::Status Prepare();
  // locked: waits for what others write, and is no older.
  absl::Status LoadState(Connection* connection, bool locked) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One transaction: the state row, if it is still ours and in our epoch, which grows by
  // starts; then more statements, each with its ';'. Their results are the answer.
  absl::StatusOr<Outcome> Write(int64_t starts, const std::string& set, const std::string& more)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Lost(Connection* connection, const Outcome& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // By the second session: reads wait for no take.
  absl::StatusOr<Result> ReadApart(const std::string& sql) ABSL_LOCKS_EXCLUDED(read_mutex_);

  const Site& site() const { return connector_.site(); }

  const std::string token_ = RandomIdentity();
  Connector connector_;
  std::unique_ptr<Connection> connection_ ABSL_GUARDED_BY(mutex_);
  Mutex read_mutex_;
  std::unique_ptr<Connection> reader_ ABSL_GUARDED_BY(read_mutex_);
};

}  // namespace storage::mysql

#endif  // LIBSTORAGE_SRC_BACKEND_MYSQL_METADATA_H_
