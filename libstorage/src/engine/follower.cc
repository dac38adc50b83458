#include "src/engine/follower.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/thread.h"

namespace storage {
namespace {

// How often the head is looked at when nobody announces one: what a lost announcement
// costs at most.
constexpr absl::Duration kProbe = absl::Seconds(1);
constexpr absl::Duration kRetry = absl::Milliseconds(200);
constexpr absl::Duration kTellEvery = absl::Seconds(1);
// What one read brings into memory.
constexpr size_t kMostEvents = 500;
constexpr int64_t kMostBytes = 1 << 20;

bool Gone(ChangeKind kind) { return kind == ChangeKind::kDelete || kind == ChangeKind::kExpire; }

}  // namespace

void LaneFollower::Begin() {
  thread_ = StartThread("stg-follow-" + env_.backend->name(), [this] { Run(); });
}

void LaneFollower::Stop() {
  stopping_.store(true);
  heads_->Interrupt();
  if (thread_.joinable()) thread_.join();
  asks_.Close();
}

void LaneFollower::Look() {
  if (!look_.exchange(true)) heads_->Interrupt();
}

void LaneFollower::Heard(int64_t head) {
  const bool new_or_less = head > env_.hub->Tail(env_.number) || head < env_.known();
  if (new_or_less) return Look();
  heard_.store(SteadyAfter(absl::ZeroDuration()));
}

void LaneFollower::FreshHead(Sequencer::Answer answer) {
  asks_.Add(std::move(answer));
  Look();
}

void LaneFollower::Committed(int64_t prev_head, const std::vector<EventPtr>& events, int64_t head) {
  const bool fed =
      env_.hub->Feed(env_.number, prev_head, events, head, -1, [&] { env_.followed(head); });
  // What others wrote before is missing: it is read, and this batch with it.
  if (!fed) Look();
}

void LaneFollower::Run() {
  absl::Duration wait = absl::ZeroDuration();  // a first look at once
  while (!stopping_.load()) {
    int64_t hint = 0;
    const SteadyTime begin = SteadyAfter(absl::ZeroDuration());
    if (!look_.load() && wait > absl::ZeroDuration()) hint = heads_->Wait(wait);
    if (stopping_.load()) return;
    const bool ours = hint != 0 && hint == committing_.load();
    if (!look_.load() && (ours || (hint == 0 && heard_.load() > begin))) {
      TellOfForeign();
      continue;
    }
    absl::StatusOr<int64_t> head = hint;
    // Before the group is taken: who asks from here on interrupts the next wait.
    look_.store(false);
    const Asks::Group group = asks_.Take();
    if (hint == 0 || !group.empty()) head = Read();
    if (head.ok()) {
      const absl::Status fed = Feed(*head);
      if (!fed.ok()) head = fed;
    }
    for (const Sequencer::Answer& answer : group) answer(head);
    TellOfForeign();
    wait = head.ok() ? kProbe : kRetry;
  }
}

absl::StatusOr<int64_t> LaneFollower::Read() {
  const int64_t known = env_.known();
  absl::StatusOr<int64_t> head = heads_->Read();
  if (!head.ok()) return head;
  const absl::Status status = env_.check(*head, known);
  return status.ok() ? head : status;
}

void LaneFollower::TellOfForeign() {
  const SteadyTime now = SteadyAfter(absl::ZeroDuration());
  if (!foreign_ || now < told_ + absl::ToChronoNanoseconds(kTellEvery)) return;
  foreign_ = false;
  told_ = now;
  env_.foreign();
}

absl::Status LaneFollower::Feed(int64_t head) {
  for (;;) {
    const absl::StatusOr<bool> done = FeedOnce(head);
    if (!done.ok()) return done.status();
    if (*done || stopping_.load()) return absl::OkStatus();
  }
}

absl::StatusOr<bool> LaneFollower::FeedOnce(int64_t head) {
  const int64_t tail = env_.hub->Tail(env_.number);
  if (tail >= head) return true;
  const int64_t creations = env_.hub->Creations(env_.number);
  absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = env_.backend->OpenSnapshot();
  if (!snapshot.ok()) return snapshot.status();
  int64_t upto = (*snapshot)->lane().head;
  if (absl::Status status = env_.check(upto, head); !status.ok()) return status;
  std::vector<EventPtr> events;
  bool unknown = false;
  bool cut = false;
  int64_t bytes = 0;
  int64_t last = tail;
  absl::Status status = (*snapshot)->Events({}, tail, upto, 0, [&](const EventRow& row) {
    cut = events.size() >= kMostEvents || bytes >= kMostBytes;
    if (cut) return false;
    last = row.rev;
    foreign_ |= !Gone(row.kind);
    auto event = std::make_shared<Event>();
    event->resource = env_.resource_of(row.key);
    unknown |= event->resource < 0;
    if (event->resource < 0) return true;
    event->rev = row.rev;
    event->kind = row.kind;
    event->key.assign(row.key);
    if (!Gone(row.kind)) event->value = Blob(row.value);
    if (row.prev.mod_rev != 0) event->prev = Blob(row.prev_value);
    bytes += static_cast<int64_t>(row.value.size() + row.prev_value.size());
    events.push_back(std::move(event));
    return true;
  });
  if (CodeOf(status) == Code::kCompacted) {
    // Too far behind: watches read for themselves, or are told that it is gone.
    env_.hub->Publish(env_.number, upto, {}, upto, [&] { env_.followed(upto); });
    return true;
  }
  if (!status.ok()) return status;
  if (cut) upto = last;
  // False: this server committed meanwhile, or a new kind is watched. Once more.
  const bool fed = env_.hub->Feed(env_.number, tail, events, upto, unknown ? creations : -1,
                                  [&] { env_.followed(upto); });
  return fed && upto >= head;
}

}  // namespace storage
