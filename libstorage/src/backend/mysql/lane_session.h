// LaneSession: the connection that writes, made anew when it broke.
// Threads: the lane thread, but for what says otherwise.
#ifndef LIBSTORAGE_SRC_BACKEND_MYSQL_LANE_SESSION_H_
#define LIBSTORAGE_SRC_BACKEND_MYSQL_LANE_SESSION_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "src/backend/mysql/connector.h"
#include "src/backend/mysql/schema.h"
#include "src/base/mutex.h"

namespace storage::mysql {

// Batches whose COMMIT was not answered, with the head before them: where
// HasToken begins to look. Threads: any.
class UnknownTokens {
 public:
  void Add(int64_t token, int64_t head);
  int64_t HeadBefore(int64_t token);  // 0 = not one of ours

 private:
  Mutex mutex_;
  std::map<int64_t, int64_t> heads_ ABSL_GUARDED_BY(mutex_);
};

class LaneSession {
 public:
  explicit LaneSession(Connector* connector) : connector_(connector) {}

  // A connection outside of any transaction.
  absl::StatusOr<Connection*> Get();
  // Begins with statements that may be repeated: an idle session that the server
  // closed meanwhile costs a second attempt, not an error.
  absl::StatusOr<Outcome> Begin(std::string_view what, const std::string& sql);
  // After an error: what the transaction did is taken back, by closing at the worst.
  void Rollback();
  void Drop() { connection_.reset(); }

  Connection* connection() { return connection_.get(); }
  const Site& site() const { return connector_->site(); }
  UnknownTokens& unknown() { return unknown_; }
  // Bytes that one text of statements may have; needs a connection.
  size_t budget() const;
  // False once a server lost less than it said by its settings. Any thread.
  bool durable() const { return durable_.load(); }
  // Reads the settings of the server that answers, and remembers relaxed ones in
  // the database. At open, and with each new connection.
  absl::Status CheckDurability();
  // As Backend::ShareNumbers.
  absl::StatusOr<bool> ShareNumbers(const NumbersPlace& place);
  // What the metadata store here calls this lane; "" = it is not here.
  const std::string& lane_in_numbers() const { return lane_in_numbers_; }
  // For Adopt: the statement that ends the memory of relaxed settings; "" = nothing to end.
  std::string EndRelaxedSql() const;

  bool lane_open = false;

 private:
  Connector* const connector_;
  std::unique_ptr<Connection> connection_;
  UnknownTokens unknown_;
  std::string lane_in_numbers_;
  std::atomic<bool> durable_{true};
};

// Why an acknowledged write may be lost by a crash of the server; "" = it may not.
std::string RelaxedBecause(const Connection& connection);

}  // namespace storage::mysql

#endif  // LIBSTORAGE_SRC_BACKEND_MYSQL_LANE_SESSION_H_
