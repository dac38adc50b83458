// CommitLane: the one writer of one backend. Waiting writes become one
// transaction (group commit); the lane row orders them (protocol: Batch, void).
//
// Threads: Submit, Post and Call from any thread; everything else on the lane's
// own thread (batch.h does the writing, pace.h the upkeep). done() callbacks run
// on the lane's thread without locks.
#ifndef LIBSTORAGE_SRC_ENGINE_LANE_H_
#define LIBSTORAGE_SRC_ENGINE_LANE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "src/backend/backend.h"
#include "src/base/mutex.h"
#include "src/engine/batch.h"
#include "src/engine/engine.h"
#include "src/engine/follower.h"
#include "src/engine/op_times.h"
#include "src/engine/pace.h"
#include "src/revision/sequencer.h"
#include "src/watch/hub.h"

namespace storage {

struct LaneEnv {
  int number = 0;
  Backend* backend = nullptr;
  Sequencer* sequencer = nullptr;
  Hub* hub = nullptr;
  LaneFollower* follower = nullptr;  // with several servers: it feeds the hub
  Logger* logger = nullptr;          // may be null
  LaneOwner owner;
  int64_t head = 0;  // as the start left them
  int64_t floor = 0;
  CompactSettings compact;  // how history is deleted
  // Key prefix of a resource, for Mutation::collection; lives as long as the engine.
  std::function<std::string_view(ResourceId)> collection;
  std::function<void()> failed;  // the lane became unhealthy: Heal() soon; may be null
};

struct LaneStats {
  std::atomic<int64_t> batches{0}, operations{0}, conflicts{0}, failures{0}, commit_us{0};
  OpTimes times;  // of the backend: reads too
};

class CommitLane {
 public:
  using Ops = std::vector<std::shared_ptr<WriteOp>>;

  explicit CommitLane(LaneEnv env);
  ~CommitLane();  // Stop()

  void Submit(std::shared_ptr<WriteOp> op);
  // A step that took this long before it failed waited for a database that is silent.
  static constexpr std::chrono::milliseconds kSilent{1000};
  static bool SilentSince(SteadyTime step_began) {
    return SteadyAfter(absl::ZeroDuration()) - step_began >= kSilent;
  }
  // Raises the floor to min(target, head); OK once committed. Blocks the caller.
  absl::Status RaiseFloor(int64_t target);
  // Commits a void of everything handed out up to there, unless the head is beyond it.
  // VoidTo blocks the caller.
  absl::Status VoidTo(int64_t upto);
  void VoidSoon(int64_t upto);
  // Tries to write again after an outage, also when nobody else does.
  void Heal();
  // Finishes what is queued, then ends the thread. Idempotent.
  void Stop();

  // Highest revision known to be committed here, by whomever.
  int64_t head() const { return head_.load(std::memory_order_acquire); }
  void Saw(int64_t head) { Raise(&head_, head); }
  // The database, asked after `known` was head(), says that this is its head. Less would
  // mean that acknowledged writes are gone (protocol: counterexample 2).
  absl::Status CheckHead(int64_t head, int64_t known);
  // By the last CheckHead. Who reads without seeing the head asks again first.
  bool went_back() const { return went_back_.load(std::memory_order_acquire); }
  int64_t floor() const { return floor_.load(std::memory_order_acquire); }
  // Highest revision that a reader was shown before its batch was published:
  // no later reader may be told less.
  int64_t shown() const { return shown_.load(std::memory_order_acquire); }
  void Show(int64_t rev) { Raise(&shown_, rev); }
  int64_t queued() const;
  // Earliest expiry that this lane wrote since the last call; 0 = none.
  int64_t TakeEarliestExpiry() { return earliest_expiry_ms_.exchange(0); }
  // Others may have written something that expires: it is looked up.
  void LookForExpiries() { earliest_expiry_ms_.store(1); }
  absl::Status Health() const;  // not OK: the lane can't write, with the reason
  const LaneStats& stats() const { return stats_; }
  OpTimes* times() { return &stats_.times; }

 private:
  friend class BatchWriter;

  static void Raise(std::atomic<int64_t>* value, int64_t to);
  absl::Status RunTask(std::function<absl::Status()> body);  // on the lane's thread; waits
  void Run();
  bool WaitForWork(Ops* ops, std::vector<std::function<void()>>* tasks);
  void Answer(WriteOp* op, WriteResult result);
  void RefuseWaiting(SteadyTime step_began);
  void Requeue(Ops ops);  // to the front: keeps the order of operations on one key
  bool Refuse(const WriteOp& op, WriteResult* result) const;  // cancelled or too late
  absl::Status DoRaiseFloor(int64_t target);
  void SetHealth(const absl::Status& status);

  const LaneEnv env_;
  const BatchLimits limits_;
  LaneStats stats_;
  std::atomic<int64_t> head_;
  std::atomic<int64_t> floor_;
  std::atomic<int64_t> shown_{0};
  std::atomic<bool> went_back_{false};
  std::atomic<int64_t> earliest_expiry_ms_{0};
  LanePace pace_;        // lane thread only
  BatchWriter batches_;  // lane thread only

  mutable Mutex mu_;
  CondVar work_;
  std::deque<std::shared_ptr<WriteOp>> queue_ ABSL_GUARDED_BY(mu_);
  std::vector<std::function<void()>> tasks_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status health_ ABSL_GUARDED_BY(mu_);
  Mutex join_mu_;
  std::thread thread_ ABSL_GUARDED_BY(join_mu_);  // last: it uses all of the above
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_LANE_H_
