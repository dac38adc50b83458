// Ring: the recent events of one backend in memory, per collection (resource),
// and the watches that follow them. The writer appends; watches read by cursor.
//
// A cursor c "is covered" for a collection when every event of it above c is in
// the ring. It stays covered while nothing of its own collection is evicted
// unread, so a quiet watch never falls behind because other kinds are busy.
//
// Threads: every method is thread-safe. No callback runs under the ring's lock.
#ifndef LIBSTORAGE_SRC_WATCH_RING_H_
#define LIBSTORAGE_SRC_WATCH_RING_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "src/backend/backend.h"
#include "src/base/mutex.h"
#include "src/watch/watch.h"

namespace storage {

class Follower;  // a watch as the ring sees it

class Ring {
 public:
  // head: of the lane when the ring starts; events at or below are only in the database.
  Ring(int64_t head, int64_t max_bytes) : base_(head), head_(head), max_bytes_(max_bytes) {}

  // Appends a committed batch. prev_head is the lane's head as read under the
  // lock: when it is not the ring's own, events are missing here, and the ring
  // starts again at prev_head (counterexample 8). last becomes the head. True:
  // there was such a gap, and every follower must look into the database.
  bool Append(int64_t prev_head, absl::Span<const EventPtr> events, int64_t last);

  // With several servers: appends only if prev_head is the ring's head, so that every
  // event between is here, and does nothing otherwise. creations: what Creations() said
  // before the resources of the events were looked up, when some were of no known
  // resource and are left out; such a lookup must be made again when it moved. -1 = none.
  bool AppendNext(int64_t prev_head, absl::Span<const EventPtr> events, int64_t last,
                  int64_t creations);
  int64_t head() const;
  int64_t Creations() const;  // moves when the first watch of a resource comes

  // Events of the resource in the range with after < rev <= upto, at most
  // max_events and about max_bytes. False = not covered: read the database.
  // *truncated is set when there was more.
  bool Read(ResourceId resource, const Range& range, int64_t after, int64_t upto,
            int64_t max_events, int64_t max_bytes, std::vector<EventPtr>* out, bool* truncated);

  void Follow(ResourceId resource, const std::shared_ptr<Follower>& follower);
  void Unfollow(ResourceId resource, Follower* follower);
  // The follower wants a wake when the lane gets further, event or not.
  void Block(const std::shared_ptr<Follower>& follower);
  // Who must be woken for these events, after a gap all followers, and everybody
  // blocked (which is then forgotten).
  std::vector<std::shared_ptr<Follower>> ToWake(absl::Span<const EventPtr> events, bool gap);

  int64_t bytes() const;
  int64_t watches() const;

 private:
  struct Collection {
    int64_t start = 0;  // every event above is in `events`
    std::deque<EventPtr> events;
    std::vector<std::shared_ptr<Follower>> followers;
  };
  Collection& Get(ResourceId resource) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Add(absl::Span<const EventPtr> events, int64_t last) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Clear(int64_t head) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Evict() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable Mutex mu_;
  int64_t base_ ABSL_GUARDED_BY(mu_);  // start of a collection that is new here
  int64_t head_ ABSL_GUARDED_BY(mu_);
  const int64_t max_bytes_;
  int64_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<EventPtr> order_ ABSL_GUARDED_BY(mu_);  // all events, for eviction
  absl::flat_hash_map<ResourceId, std::unique_ptr<Collection>> collections_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<std::shared_ptr<Follower>> blocked_ ABSL_GUARDED_BY(mu_);
};

// Implemented by the hub's watch.
class Follower {
 public:
  virtual ~Follower() = default;
  virtual const Range& range() const = 0;
  virtual void Wake() = 0;  // thread-safe; may call the watch's ready callback
};

bool InRange(const Range& range, std::string_view key);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_WATCH_RING_H_
