// Hub: joins the rings of all backends into ordered watches. A watch over the
// backends S emits revision r when every backend in S is complete up to r; its
// progress marks follow the same rule and never overtake an event.
//
// Threads: every method is thread-safe. Publish is called by lane threads.
#ifndef LIBSTORAGE_SRC_WATCH_HUB_H_
#define LIBSTORAGE_SRC_WATCH_HUB_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/backend/backend.h"
#include "src/revision/sequencer.h"
#include "src/watch/ring.h"
#include "src/watch/watch.h"

namespace storage {

// What the hub needs of the engine. Callbacks are thread-safe, never block
// (run() queues) and take no hub lock.
struct HubEnv {
  std::function<int64_t(int lane)> complete;        // Sequencer::Complete
  std::function<int64_t(int lane)> complete_alone;  // Sequencer::CompleteAlone
  std::function<int64_t()> rev;                     // Sequencer::Rev
  std::function<int64_t(int lane)> floor;           // published floor of a lane
  std::function<void(std::function<void()>)> run;   // queues a catch-up read
  // With several servers, else null: a revision at least as high as any acknowledged or
  // shown, by whomever, before the call; and that a watch waits for its lanes.
  std::function<void(const std::vector<int>& lanes, Sequencer::Answer answer)> fresh;
  std::function<void()> want;
};

class Hub {
 public:
  struct Source {
    Backend* backend = nullptr;  // outlives the hub
    int64_t head = 0;            // of its lane at start
  };
  Hub(HubEnv env, std::vector<Source> sources, int64_t ring_bytes);
  ~Hub();

  // A batch was committed. Order (each step is needed): events into the ring,
  // decide() tells the sequencer, then watches wake.
  void Publish(int lane, int64_t prev_head, const std::vector<EventPtr>& events, int64_t last,
               const std::function<void()>& decide);

  // With several servers: the same, if the ring ends at prev_head; otherwise false, and
  // nothing happened. creations: Ring::AppendNext.
  bool Feed(int lane, int64_t prev_head, const std::vector<EventPtr>& events, int64_t last,
            int64_t creations, const std::function<void()>& decide);
  int64_t Tail(int lane) const;  // head of its ring
  int64_t Creations(int lane) const;
  // The lane got further without an event: who waits for that is woken.
  void Advanced(int lane);

  // sources: lanes the resource can live in, ascending. COMPACTED below a floor.
  absl::StatusOr<std::unique_ptr<Watch>> Start(ResourceId resource, const Range& range,
                                               const std::vector<int>& lanes, int64_t after,
                                               std::function<void()> ready);
  // Ends every watch with the status; later starts get it too.
  void End(const absl::Status& status);

  struct Stats {
    int64_t watches = 0;
    int64_t ring_bytes = 0;
    int64_t lag_max_revisions = 0;
    double lag_max_seconds = 0;
  };
  Stats GetStats() const;

  struct Shared;  // hub_watch.h

 private:
  std::shared_ptr<Shared> shared_;  // watches and catch-up reads may outlive the hub
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_WATCH_HUB_H_
