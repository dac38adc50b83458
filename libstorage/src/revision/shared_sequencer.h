// SharedSequencer: the sequencer of a server that shares its topology with others
// (protocol: take, Resolve, void). Numbers come from the metadata store, a take for each
// batch, and a take serves all lanes of this process that wait. How far a lane is
// decided is known from its head, once the lane's follower has fed the ring up to it,
// and beyond that from a resolve: M says at one moment that `rev` was handed out and
// `alloc` of it to the lane; when the head is at alloc, all up to rev is decided.
//
// One thread reads M: for those who ask, for watches that wait, and once a second. It is
// the janitor as well: numbers that nobody commits are voided.
//
// Threads: as Sequencer; Followed is called by followers and lanes.
#ifndef LIBSTORAGE_SRC_REVISION_SHARED_SEQUENCER_H_
#define LIBSTORAGE_SRC_REVISION_SHARED_SEQUENCER_H_

#include <deque>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "src/backend/metadata.h"
#include "src/base/mutex.h"
#include "src/revision/asks.h"
#include "src/revision/sequencer.h"

namespace storage {

// What it needs of the engine. Called without locks; none may block.
struct SharedSequencerEnv {
  MetadataStore* metadata = nullptr;                      // with shared()
  int64_t epoch = 0;                                      // ours: another one in M is a takeover
  std::function<void(int lane)> look;                     // the follower reads the head now
  std::function<void(int lane, int64_t upto)> void_lane;  // a committed void up to there
  std::function<void(int lane, int64_t head)> saw;        // head is known committed
  std::function<void(int lane, int64_t head)> heard;      // the database's head, just read
  std::function<void(int lane)> advanced;                 // Complete(lane) moved: wake watches
};

class SharedSequencer : public Sequencer {
 public:
  // rev: handed out at the start; lanes: with their heads as the rings begin.
  SharedSequencer(SharedSequencerEnv env, int64_t rev, std::vector<LaneMark> lanes);
  ~SharedSequencer() override { Stop(); }
  void Begin();  // starts the thread, when what env calls is there
  void Stop();   // idempotent

  absl::StatusOr<int64_t> Take(int lane, int64_t n) override;
  void Decide(int lane, int64_t head) override;
  // The ring of the lane has every event up to head.
  void Followed(int lane, int64_t head);
  int64_t Rev() const override;
  int64_t Complete(int lane) const override;
  int64_t CompleteAlone(int lane) const override;
  int WaitComplete(absl::Span<const int> lanes, int64_t rev, absl::Time deadline) override;
  void FreshRev(Answer answer) override;
  // A watch waits for lanes to be complete: resolves, soon and not too often.
  void Want();
  absl::Status ReserveAhead(bool flush_marks) override;
  void SetWanted(std::function<void()> wanted) override { wanted_ = std::move(wanted); }
  absl::Status Finish() override { return ReserveAhead(true); }
  absl::Status Health() const override;

 private:
  // A resolve that waits for its lane: complete up to rev when the head is at alloc.
  struct Pending {
    int64_t alloc = 0;
    int64_t rev = 0;
    SteadyTime since;
  };
  struct LaneState {
    LaneMark mark;
    int64_t followed = 0;
    int64_t resolved = 0;
    std::deque<Pending> pending;  // both numbers ascend
  };
  struct Ticket {
    int lane = 0;
    int64_t n = 0;
    bool done = false;
    absl::StatusOr<int64_t> first = 0;
  };
  struct Chores {  // of one resolve, done without the lock
    std::vector<int> look, advanced;
    std::vector<std::pair<int, int64_t>> saw, heard;
  };

  void Run();
  bool WaitForWork();  // false = stop
  void Resolve();
  void Note(const Numbers& numbers, Chores* chores) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void VoidWhatIsLate();
  void TakeAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);  // gives it up meanwhile
  int64_t CompleteLocked(int lane) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const SharedSequencerEnv env_;
  SharedMetadata* const shared_;
  Asks asks_;
  std::function<void()> wanted_;

  mutable Mutex mu_;
  CondVar work_, decided_, taken_;
  std::vector<LaneState> lanes_ ABSL_GUARDED_BY(mu_);
  int64_t rev_ ABSL_GUARDED_BY(mu_);
  std::vector<Ticket*> tickets_ ABSL_GUARDED_BY(mu_);
  bool taking_ ABSL_GUARDED_BY(mu_) = false;
  bool asked_ ABSL_GUARDED_BY(mu_) = false;
  bool soon_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool marks_moved_ ABSL_GUARDED_BY(mu_) = false;
  SteadyTime last_ ABSL_GUARDED_BY(mu_);  // when the last resolve ended
  absl::Status fenced_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_REVISION_SHARED_SEQUENCER_H_
