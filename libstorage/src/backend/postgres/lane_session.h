// The one connection that writes a database of objects, remade after an outage.
// Threads: the lane thread only, but for what says otherwise.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_LANE_SESSION_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_LANE_SESSION_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
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

  struct Begun {
    LaneRow lane;
    int64_t now_ms = 0;          // the server's clock
    int64_t handed_out = 0;      // by the metadata store, if it is here
    std::optional<Result> rows;  // of the keys
  };
  // BEGIN, the lane row locked in a statement of its own, then what is read behind the
  // lock: one round trip. A connection that the server closed meanwhile is remade once.
  absl::Status Begin(absl::Span<const std::string_view> keys, Begun* begun);
  // Key, revisions, expiry and value of each that is there.
  void QueueRead(absl::Span<const std::string_view> keys);
  // As Backend::ShareNumbers.
  absl::StatusOr<bool> ShareNumbers(const NumbersPlace& place);
  // What the metadata store here calls this lane; "" = it is not here.
  const std::string& lane_in_numbers() const { return lane_in_numbers_; }
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
  absl::Status TryBegin(absl::Span<const std::string_view> keys, Begun* begun, bool* again);
  absl::Status RememberRelaxed();

  const Site* const site_;
  Dialer dialer_;
  std::unique_ptr<Connection> connection_;
  bool fresh_ = false;  // not used yet
  std::string identity_;
  std::string lane_in_numbers_;
  UnknownTokens unknown_;
  std::atomic<bool> was_relaxed_{false};
  std::atomic<int64_t> pruned_{0};
};

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_LANE_SESSION_H_
