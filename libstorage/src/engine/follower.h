// LaneFollower: keeps the ring of a lane that several servers write. Its thread learns
// of new heads (backend's HeadWatch), reads the events behind them and feeds them. A
// batch of this server goes into the ring at once when nothing is missing between.
//
// Threads: any, but for what says otherwise. Answers come on the follower's thread.
#ifndef LIBSTORAGE_SRC_ENGINE_FOLLOWER_H_
#define LIBSTORAGE_SRC_ENGINE_FOLLOWER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "src/backend/backend.h"
#include "src/base/mutex.h"
#include "src/revision/asks.h"
#include "src/topology/topology.h"
#include "src/watch/hub.h"

namespace storage {

// Callbacks are called without locks and must not block.
struct FollowerEnv {
  int number = 0;
  Backend* backend = nullptr;
  Hub* hub = nullptr;
  std::function<ResourceId(std::string_view key)> resource_of;  // -1 = unknown
  std::function<int64_t()> known;  // head known to be committed (CommitLane::head)
  std::function<absl::Status(int64_t head, int64_t known)> check;  // CommitLane::CheckHead
  std::function<void(int64_t head)> followed;  // the ring has all events up to head
  std::function<void()> foreign;  // others wrote: there may be new expiries; at most once a second
};

class LaneFollower {
 public:
  LaneFollower(FollowerEnv env, std::unique_ptr<HeadWatch> heads)
      : env_(std::move(env)), heads_(std::move(heads)) {}
  ~LaneFollower() { Stop(); }
  void Begin();  // starts the thread
  void Stop();   // idempotent

  // Lane thread: a batch up to head is being committed. Who hears of that head need not
  // read it: Committed tells, or else the next probe. 0 = it is decided.
  void Committing(int64_t head) { committing_.store(head); }
  // Lane thread: a batch, or a void, was committed behind prev_head.
  void Committed(int64_t prev_head, const std::vector<EventPtr>& events, int64_t head);
  void Look();  // read the head now
  // Somebody read the head: this second's look is done, unless it is a new one.
  void Heard(int64_t head);
  // The committed head, read after the call; by then its events are in the ring.
  void FreshHead(Sequencer::Answer answer);

 private:
  void Run();
  absl::StatusOr<int64_t> Read();
  // Feeds the ring up to head, at least.
  absl::Status Feed(int64_t head);
  absl::StatusOr<bool> FeedOnce(int64_t head);  // true: the ring has it
  void TellOfForeign();

  const FollowerEnv env_;
  const std::unique_ptr<HeadWatch> heads_;
  Asks asks_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> look_{false};
  std::atomic<int64_t> committing_{0};
  std::atomic<SteadyTime> heard_{SteadyTime()};
  bool foreign_ = false;  // follower's thread
  SteadyTime told_{};     // follower's thread
  std::thread thread_;    // last
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_FOLLOWER_H_
