#include "src/revision/shared_sequencer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/base/thread.h"

namespace storage {
namespace {

// The janitor and the look for a takeover, when nothing else happens.
constexpr absl::Duration kProbe = absl::Seconds(1);
// Numbers that are not decided for so long may never be: they are voided. A batch that
// is only slow holds the lane's lock, and the void waits for it.
constexpr absl::Duration kLate = absl::Milliseconds(50);
// Watches over several lanes are not worth a read of M for each event.
constexpr absl::Duration kPace = absl::Milliseconds(2);
// Resolves that wait for one lane; between the first and the last they are alike.
constexpr size_t kMostPending = 64;

}  // namespace

absl::Status CheckStoreIsNotOlder(int64_t rev, int64_t known, const std::string& backend) {
  if (rev >= known) return absl::OkStatus();
  return MakeStatus(
      Code::kCorrupt,
      absl::StrCat("the metadata store went back to revision ", rev, ", but revision ", known,
                   " was handed out: an older copy took its place; stop the server and "
                   "bring the newer one back"),
      backend);
}

SharedSequencer::SharedSequencer(SharedSequencerEnv env, int64_t rev, std::vector<LaneMark> lanes)
    : env_(std::move(env)), shared_(env_.metadata->shared()), rev_(rev) {
  for (LaneMark& mark : lanes) {
    LaneState& lane = lanes_.emplace_back();
    lane.followed = mark.confirmed;
    lane.mark = std::move(mark);
  }
}

void SharedSequencer::Begin() {
  thread_ = StartThread("stg-resolve", [this] { Run(); });
}

void SharedSequencer::Stop() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    work_.Signal();
    decided_.SignalAll();
  }
  if (thread_.joinable()) thread_.join();
  asks_.Close();
}

absl::StatusOr<int64_t> SharedSequencer::Take(int lane, int64_t n) {
  Ticket ticket{lane, n};
  MutexLock lock(&mu_);
  tickets_.push_back(&ticket);
  while (!ticket.done) {
    if (taking_) {
      taken_.Wait(&mu_);
    } else {
      TakeAll();
    }
  }
  return ticket.first;
}

void SharedSequencer::TakeAll() {
  std::vector<Ticket*> tickets;
  tickets.swap(tickets_);
  std::vector<TakeWish> wishes;
  wishes.reserve(tickets.size());
  for (const Ticket* ticket : tickets) {
    const LaneMark& mark = lanes_[ticket->lane].mark;
    wishes.push_back({mark.name, ticket->n, mark.confirmed});
  }
  taking_ = true;
  const int64_t known = rev_;
  mu_.Unlock();
  absl::StatusOr<int64_t> first = shared_->Take(wishes);
  if (first.ok()) {
    absl::Status newer = CheckStoreIsNotOlder(*first - 1, known, "metadata");
    if (!newer.ok()) first = newer;
  }
  mu_.Lock();
  taking_ = false;
  int64_t next = first.value_or(0);
  for (Ticket* ticket : tickets) {
    ticket->done = true;
    ticket->first = first.ok() ? absl::StatusOr<int64_t>(next) : first.status();
    next += ticket->n;
  }
  if (first.ok()) rev_ = std::max(rev_, next - 1);
  taken_.SignalAll();
}

void SharedSequencer::Decide(int lane, int64_t head) {
  bool first_move = false;
  {
    MutexLock lock(&mu_);
    LaneMark& mark = lanes_[lane].mark;
    if (head <= mark.confirmed) return;
    mark.confirmed = head;
    first_move = !std::exchange(marks_moved_, true);
  }
  if (first_move && wanted_ != nullptr) wanted_();
}

void SharedSequencer::Followed(int lane, int64_t head) {
  MutexLock lock(&mu_);
  LaneState& state = lanes_[lane];
  state.followed = std::max(state.followed, head);
  rev_ = std::max(rev_, head);
  while (!state.pending.empty() && state.pending.front().alloc <= state.followed) {
    state.resolved = std::max(state.resolved, state.pending.front().rev);
    state.pending.pop_front();
  }
  decided_.SignalAll();
}

int64_t SharedSequencer::Rev() const {
  MutexLock lock(&mu_);
  return rev_;
}

int64_t SharedSequencer::CompleteLocked(int lane) const {
  return std::max(lanes_[lane].followed, lanes_[lane].resolved);
}

int64_t SharedSequencer::Complete(int lane) const {
  MutexLock lock(&mu_);
  return CompleteLocked(lane);
}

int64_t SharedSequencer::CompleteAlone(int lane) const {
  MutexLock lock(&mu_);
  return lanes_[lane].followed;
}

int SharedSequencer::WaitComplete(absl::Span<const int> lanes, int64_t rev, absl::Time deadline) {
  const SteadyTime until = SteadyAfter(deadline - absl::Now());
  MutexLock lock(&mu_);
  for (bool first = true, in_time = true;; first = false) {
    int behind = -1;
    for (int lane : lanes) {
      if (CompleteLocked(lane) < rev) behind = lane;
    }
    if (behind < 0 || !in_time || stopping_) return behind;
    if (first) {
      asked_ = true;
      work_.Signal();
    }
    in_time = decided_.WaitUntil(&mu_, until);
  }
}

void SharedSequencer::FreshRev(Answer answer) {
  asks_.Add(std::move(answer));
  MutexLock lock(&mu_);
  asked_ = true;
  work_.Signal();
}

void SharedSequencer::Want() {
  MutexLock lock(&mu_);
  if (std::exchange(soon_, true)) return;
  work_.Signal();
}

absl::Status SharedSequencer::Health() const {
  MutexLock lock(&mu_);
  return fenced_;
}

bool SharedSequencer::WaitForWork() {
  MutexLock lock(&mu_);
  const SteadyTime probe = SteadyAfter(kProbe);
  const SteadyTime late = SteadyAfter(kLate);
  for (bool in_time = true; in_time && !stopping_ && !asked_;) {
    SteadyTime until = probe;
    for (const LaneState& lane : lanes_) {
      if (!lane.pending.empty()) until = std::min(until, late);
    }
    if (soon_) until = std::min(until, last_ + absl::ToChronoNanoseconds(kPace));
    in_time = work_.WaitUntil(&mu_, until);
  }
  asked_ = soon_ = false;
  return !stopping_;
}

void SharedSequencer::Run() {
  while (WaitForWork()) {
    Resolve();
    VoidWhatIsLate();
  }
}

void SharedSequencer::Note(const Numbers& numbers, Chores* chores) {
  const SteadyTime now = SteadyAfter(absl::ZeroDuration());
  rev_ = std::max(rev_, numbers.rev);
  for (size_t i = 0; i < lanes_.size(); ++i) {
    LaneState& lane = lanes_[i];
    const auto found = numbers.lanes.find(lane.mark.name);
    const Numbers::Lane in_m = found == numbers.lanes.end() ? Numbers::Lane() : found->second;
    chores->saw.emplace_back(i, in_m.confirmed);
    if (in_m.head >= 0) chores->heard.emplace_back(i, in_m.head);
    if (lane.followed >= in_m.alloc) {
      if (numbers.rev > CompleteLocked(static_cast<int>(i))) chores->advanced.push_back(i);
      lane.resolved = std::max(lane.resolved, numbers.rev);
      continue;
    }
    chores->look.push_back(static_cast<int>(i));
    if (lane.pending.size() >= kMostPending) lane.pending.pop_back();
    lane.pending.push_back({in_m.alloc, numbers.rev, now});
  }
}

void SharedSequencer::Resolve() {
  const Asks::Group group = asks_.Take();
  const int64_t known = Rev();
  absl::StatusOr<Numbers> numbers = shared_->ReadNumbers();
  Chores chores;
  const bool fenced = numbers.ok() && numbers->epoch != env_.epoch;
  // Who starts need not wait for a server that cannot go on.
  if (fenced) shared_->Resign();
  {
    MutexLock lock(&mu_);
    if (fenced) {
      fenced_ = MakeStatus(
          Code::kUnavailable,
          absl::StrCat("another server began a new epoch (", numbers->epoch, ", ours is ",
                       env_.epoch, ") while this one had no connection; it must be started again"),
          "metadata");
      numbers = fenced_;
    }
    if (numbers.ok()) {
      absl::Status newer = CheckStoreIsNotOlder(numbers->rev, known, "metadata");
      if (!newer.ok()) numbers = newer;
    }
    if (numbers.ok()) Note(*numbers, &chores);
    last_ = SteadyAfter(absl::ZeroDuration());
    decided_.SignalAll();
  }
  for (const auto& [lane, head] : chores.saw) env_.saw(lane, head);
  for (const auto& [lane, head] : chores.heard) env_.heard(lane, head);
  for (int lane : chores.look) env_.look(lane);
  for (int lane : chores.advanced) env_.advanced(lane);
  const absl::StatusOr<int64_t> rev =
      numbers.ok() ? absl::StatusOr<int64_t>(numbers->rev) : numbers.status();
  for (const Answer& answer : group) answer(rev);
}

void SharedSequencer::VoidWhatIsLate() {
  std::vector<std::pair<int, int64_t>> late;
  {
    MutexLock lock(&mu_);
    const SteadyTime before = SteadyAfter(-kLate);
    for (size_t i = 0; i < lanes_.size(); ++i) {
      std::deque<Pending>& pending = lanes_[i].pending;
      if (pending.empty() || pending.front().since > before) continue;
      late.emplace_back(i, pending.back().alloc);
      // Not again before the lane had time for it.
      pending.front().since = SteadyAfter(kProbe - kLate);
    }
  }
  for (const auto& [lane, upto] : late) env_.void_lane(lane, upto);
}

absl::Status SharedSequencer::ReserveAhead(bool flush_marks) {
  std::map<std::string, BackendMark> marks;
  {
    MutexLock lock(&mu_);
    if (!flush_marks || !marks_moved_) return absl::OkStatus();
    for (const LaneState& lane : lanes_) {
      marks[lane.mark.name] = {lane.mark.identity, lane.mark.confirmed};
    }
    marks_moved_ = false;
  }
  absl::Status status = env_.metadata->Reserve(0, marks);
  if (!status.ok()) {
    MutexLock lock(&mu_);
    marks_moved_ = true;
  }
  return status;
}

}  // namespace storage
