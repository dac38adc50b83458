#include "src/revision/block_sequencer.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace storage {

BlockSequencer::BlockSequencer(MetadataStore* meta, int64_t rev, int64_t reserved,
                               std::vector<LaneMark> lanes)
    : meta_(meta), rev_(rev), reserved_(reserved) {
  for (LaneMark& mark : lanes) lanes_.push_back({std::move(mark), 0});
}

void BlockSequencer::SetWanted(std::function<void()> wanted) { wanted_ = std::move(wanted); }

absl::StatusOr<int64_t> BlockSequencer::Take(int lane, int64_t n) {
  bool low = false;
  for (;;) {
    int64_t need = 0;
    {
      MutexLock lock(&mu_);
      if (rev_ + n <= reserved_) {
        const int64_t first = rev_ + 1;
        rev_ += n;
        lanes_[lane].in_flight = first;
        low = reserved_ - rev_ < kBlock / 2;
        if (!low || wanted_ == nullptr) return first;
        need = first;
      }
    }
    if (low) {
      wanted_();
      return need;
    }
    if (absl::Status status = ReserveAhead(false); !status.ok()) return status;
  }
}

void BlockSequencer::Decide(int lane, int64_t head) {
  bool first_move = false;
  {
    MutexLock lock(&mu_);
    lanes_[lane].in_flight = 0;
    if (waiting_ > 0) decided_.SignalAll();
    if (head > lanes_[lane].mark.confirmed) {
      lanes_[lane].mark.confirmed = head;
      first_move = !marks_moved_;
      marks_moved_ = true;
    }
  }
  if (first_move && wanted_ != nullptr) wanted_();
}

int64_t BlockSequencer::Rev() const {
  MutexLock lock(&mu_);
  return rev_;
}

int64_t BlockSequencer::CompleteLocked(int lane) const {
  const int64_t first = lanes_[lane].in_flight;
  return first == 0 ? rev_ : first - 1;
}

int64_t BlockSequencer::Complete(int lane) const {
  MutexLock lock(&mu_);
  return CompleteLocked(lane);
}

int BlockSequencer::WaitComplete(absl::Span<const int> lanes, int64_t rev, absl::Time deadline) {
  int behind = -1;
  const SteadyTime until = SteadyAfter(deadline - absl::Now());
  MutexLock lock(&mu_);
  ++waiting_;
  for (bool in_time = true;; in_time = decided_.WaitUntil(&mu_, until)) {
    behind = -1;
    for (int lane : lanes) {
      if (CompleteLocked(lane) < rev) behind = lane;
    }
    if (behind < 0 || !in_time) break;
  }
  --waiting_;
  return behind;
}

std::map<std::string, BackendMark> BlockSequencer::MarksLocked() const {
  std::map<std::string, BackendMark> marks;
  for (const LaneState& lane : lanes_) {
    marks[lane.mark.name] = {lane.mark.identity, lane.mark.confirmed};
  }
  return marks;
}

absl::Status BlockSequencer::ReserveAhead(bool flush_marks) {
  MutexLock reserve_lock(&reserve_mu_);
  int64_t upto = 0;
  std::map<std::string, BackendMark> marks;
  {
    MutexLock lock(&mu_);
    const bool low = reserved_ - rev_ < kBlock / 2;
    if (!low && !(flush_marks && marks_moved_)) return absl::OkStatus();
    upto = low ? rev_ + kBlock : reserved_;
    marks = MarksLocked();
    marks_moved_ = false;
  }
  absl::Status status = meta_->Reserve(upto, marks);
  MutexLock lock(&mu_);
  if (status.ok()) {
    reserved_ = std::max(reserved_, upto);
  } else {
    marks_moved_ = true;
  }
  return status;
}

absl::Status BlockSequencer::Finish() {
  MutexLock reserve_lock(&reserve_mu_);
  int64_t rev = 0;
  std::map<std::string, BackendMark> marks;
  {
    MutexLock lock(&mu_);
    for (const LaneState& lane : lanes_) {
      // Numbers in flight were neither committed nor voided: not a clean end.
      if (lane.in_flight != 0) {
        return MakeStatus(Code::kUnavailable, "a lane ended with undecided revisions",
                          lane.mark.name);
      }
    }
    rev = rev_;
    marks = MarksLocked();
  }
  return meta_->Finish(rev, marks);
}

}  // namespace storage
