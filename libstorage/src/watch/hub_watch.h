// Internal to src/watch: the state of one watch and what all watches share.
#ifndef LIBSTORAGE_SRC_WATCH_HUB_WATCH_H_
#define LIBSTORAGE_SRC_WATCH_HUB_WATCH_H_

#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "src/base/mutex.h"
#include "src/watch/hub.h"

namespace storage {

class WatchState;

struct Hub::Shared {
  HubEnv env;
  std::vector<Source> sources;
  std::vector<std::unique_ptr<Ring>> rings;
  mutable Mutex mu;
  absl::flat_hash_set<std::shared_ptr<WatchState>> watches ABSL_GUARDED_BY(mu);
  absl::Status end ABSL_GUARDED_BY(mu);
};

class WatchState : public Follower, public std::enable_shared_from_this<WatchState> {
 public:
  WatchState(std::shared_ptr<Hub::Shared> hub, ResourceId resource, Range range,
             const std::vector<int>& lanes, int64_t after, std::function<void()> ready);

  const Range& range() const override { return range_; }
  void Wake() override;
  void Begin();  // follows the rings and asks for the first Next
  void Stop();   // no ready() after it returns
  void End(const absl::Status& status);
  WatchBatch Next(int64_t max_events, int64_t max_bytes);
  void RequestProgress();
  std::pair<int64_t, absl::Duration> Lag(int64_t rev, absl::Time now) const;

 private:
  // One backend's part of the watch. Everything at or below cursor was delivered.
  struct Part {
    int lane = 0;
    int64_t cursor = 0;
    bool loading = false;         // a catch-up read is queued or running
    std::deque<EventPtr> staged;  // read from the database, not delivered
    int64_t staged_upto = 0;      // all events in (cursor, staged_upto] are in staged
    std::vector<EventPtr> ready;  // of the Next that is running
    int64_t bound = 0;            // ready holds everything up to here
  };
  int64_t Limit() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AskForProgress() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Gather(Part& part, int64_t limit, int64_t max_events, int64_t max_bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Merge(int64_t max_events, WatchBatch* batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Settle(int64_t limit, WatchBatch* batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void QueueLoad(size_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Load(size_t index);  // on an engine thread

  const std::shared_ptr<Hub::Shared> hub_;
  const ResourceId resource_;
  const Range range_;

  mutable Mutex mu_;
  std::vector<Part> parts_ ABSL_GUARDED_BY(mu_);
  bool armed_ ABSL_GUARDED_BY(mu_) = true;   // the last Next was empty: the next Wake calls ready
  bool dirty_ ABSL_GUARDED_BY(mu_) = false;  // woken since Next began
  int64_t bound_ ABSL_GUARDED_BY(mu_) = 0;   // everything up to here was delivered
  int64_t progress_wanted_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Time behind_since_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  absl::Status end_ ABSL_GUARDED_BY(mu_);

  Mutex ready_mu_;  // held around ready_, so that Stop can wait for it
  std::function<void()> ready_ ABSL_GUARDED_BY(ready_mu_);
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_WATCH_HUB_WATCH_H_
