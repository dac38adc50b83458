// The one connection that writes a database of objects, remade after an outage.
// Threads: the lane thread only, but for what says otherwise.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_LANE_SESSION_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_LANE_SESSION_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "src/backend/postgres/dialer.h"
#include "src/backend/postgres/schema.h"
#include "src/base/mutex.h"

namespace storage::postgres {

// Batches whose COMMIT was not answered, and the head before each: the rows of
// such a batch can only lie above it. Threads: any.
class UnknownTokens {
 public:
  void Add(int64_t token, int64_t head);
  int64_t HeadBefore(int64_t token);  // 0 when the token is not known here

 private:
  Mutex mutex_;
  std::map<int64_t, int64_t> heads_ ABSL_GUARDED_BY(mutex_);
};

class LaneSession {
 public:
  LaneSession(const Site* site, const ConnInfo* info, bool with_notify)
      : notify(with_notify), site_(site), dialer_(site, info, Connection::Role::kLane) {}

  // Connects, makes the schema, reads what the database remembers.
  absl::Status Open();

  // BEGIN, the lane row locked in a statement of its own, the server's clock: one
  // round trip. A connection that the server closed meanwhile is remade once.
  absl::Status Begin(LaneRow* lane, int64_t* now_ms);
  // The connection in good order, made anew when it has to be.
  absl::StatusOr<Connection*> Ready();
  Connection* connection() { return connection_.get(); }
  // Ends what a transaction without a commit left.
  void Rollback();

  // Deletes at most max_rows events at or below the floor.
  absl::StatusOr<int64_t> DeleteHistory(int64_t max_rows);

  const std::string& identity() const { return identity_; }
  const Site& site() const { return *site_; }
  UnknownTokens& unknown() { return unknown_; }
  // Not every commit so far survives a crash of the server. Any thread.
  bool was_relaxed() const { return was_relaxed_.load(); }
  bool relaxed_now() const { return connection_ != nullptr && connection_->relaxed(); }
  // Events at or below are gone, as far as this process knows. Any thread.
  int64_t pruned() const { return pruned_.load(); }

  const bool notify;
  bool lane_open = false;

 private:
  absl::Status TryBegin(LaneRow* lane, int64_t* now_ms, bool* again);
  absl::Status RememberRelaxed();

  const Site* const site_;
  Dialer dialer_;
  std::unique_ptr<Connection> connection_;
  bool fresh_ = false;  // not used yet
  std::string identity_;
  UnknownTokens unknown_;
  std::atomic<bool> was_relaxed_{false};
  std::atomic<int64_t> pruned_{0};
};

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_LANE_SESSION_H_
