#include "src/watch/hub_watch.h"

#include <algorithm>
#include <limits>

#include "absl/time/clock.h"

namespace storage {
namespace {

// A catch-up read brings at most this much into memory at a time.
constexpr int64_t kLoadEvents = 500;
constexpr int64_t kLoadBytes = 1 << 20;

}  // namespace

WatchState::WatchState(std::shared_ptr<Hub::Shared> hub, ResourceId resource, Range range,
                       const std::vector<int>& lanes, int64_t after, std::function<void()> ready)
    : hub_(std::move(hub)),
      resource_(resource),
      range_(std::move(range)),
      bound_(after),
      ready_(std::move(ready)) {
  for (int lane : lanes) {
    Part part;
    part.lane = lane;
    part.cursor = after;
    parts_.push_back(std::move(part));
  }
}

void WatchState::Begin() {
  std::vector<int> lanes;
  {
    MutexLock lock(&mu_);
    for (const Part& part : parts_) lanes.push_back(part.lane);
  }
  for (int lane : lanes) hub_->rings[lane]->Follow(resource_, shared_from_this());
  Wake();
}

void WatchState::Stop() {
  {
    MutexLock lock(&ready_mu_);
    ready_ = nullptr;
  }
  End(MakeStatus(Code::kCancelled, "the watch was closed"));
  std::vector<int> lanes;
  {
    MutexLock lock(&mu_);
    for (const Part& part : parts_) lanes.push_back(part.lane);
  }
  for (int lane : lanes) hub_->rings[lane]->Unfollow(resource_, this);
}

void WatchState::End(const absl::Status& status) {
  {
    MutexLock lock(&mu_);
    if (end_.ok()) end_ = status;
  }
  Wake();
}

void WatchState::Wake() {
  {
    MutexLock lock(&mu_);
    dirty_ = true;
    if (!armed_) return;
    armed_ = false;
    behind_since_ = absl::Now();
  }
  MutexLock lock(&ready_mu_);
  if (ready_ != nullptr) ready_();
}

void WatchState::RequestProgress() {
  {
    MutexLock lock(&mu_);
    if (!end_.ok()) return;  // the engine may be gone
    if (hub_->env.fresh != nullptr) return AskForProgress();
    progress_wanted_ = std::max(progress_wanted_, hub_->env.rev());
  }
  Wake();
}

// Without an answer there is no mark: who waits for one asks again. The lock keeps the
// engine alive; only an error is answered during the call.
void WatchState::AskForProgress() {
  std::vector<int> lanes;
  for (const Part& part : parts_) lanes.push_back(part.lane);
  hub_->env.fresh(lanes, [self = shared_from_this()](const absl::StatusOr<int64_t>& rev) {
    if (!rev.ok()) return;
    {
      MutexLock lock(&self->mu_);
      self->progress_wanted_ = std::max(self->progress_wanted_, *rev);
    }
    self->Wake();
  });
}

int64_t WatchState::Limit() const {
  if (parts_.size() == 1) return hub_->env.complete_alone(parts_[0].lane);
  int64_t limit = std::numeric_limits<int64_t>::max();
  for (const Part& part : parts_) limit = std::min(limit, hub_->env.complete(part.lane));
  return limit;
}

WatchBatch WatchState::Next(int64_t max_events, int64_t max_bytes) {
  WatchBatch batch;
  MutexLock lock(&mu_);
  if (!end_.ok()) {
    batch.end = end_;
    return batch;
  }
  dirty_ = false;
  max_events = std::max<int64_t>(1, max_events);
  max_bytes = std::max<int64_t>(1, max_bytes);
  // Read before the rings: every event at or below is in its ring by now.
  const int64_t limit = Limit();
  for (Part& part : parts_) Gather(part, limit, max_events, max_bytes);
  Merge(max_events, &batch);
  Settle(limit, &batch);
  return batch;
}

void WatchState::Gather(Part& part, int64_t limit, int64_t max_events, int64_t max_bytes) {
  part.ready.clear();
  part.bound = part.cursor;
  if (part.staged_upto > part.cursor) {
    part.bound = std::min(limit, part.staged_upto);
    for (const EventPtr& event : part.staged) {
      if (event->rev > part.bound) break;
      if (static_cast<int64_t>(part.ready.size()) >= max_events) {
        part.bound = part.ready.back()->rev;
        break;
      }
      part.ready.push_back(event);
    }
    return;
  }
  bool truncated = false;
  if (!hub_->rings[part.lane]->Read(resource_, range_, part.cursor, limit, max_events, max_bytes,
                                    &part.ready, &truncated)) {
    if (!part.loading) QueueLoad(&part - parts_.data());
    return;
  }
  part.bound = truncated ? part.ready.back()->rev : std::max(limit, part.cursor);
}

void WatchState::Merge(int64_t max_events, WatchBatch* batch) {
  int64_t bound = std::numeric_limits<int64_t>::max();
  for (const Part& part : parts_) bound = std::min(bound, part.bound);
  for (Part& part : parts_) {
    for (EventPtr& event : part.ready) {
      if (event->rev <= bound) batch->events.push_back(std::move(event));
    }
    part.ready.clear();
  }
  if (parts_.size() > 1) {
    auto earlier = [](const EventPtr& a, const EventPtr& b) { return a->rev < b->rev; };
    std::sort(batch->events.begin(), batch->events.end(), earlier);
    if (static_cast<int64_t>(batch->events.size()) > max_events) {
      batch->events.resize(max_events);
      bound = batch->events.back()->rev;
    }
  }
  bound_ = std::max(bound_, bound);
  for (Part& part : parts_) {
    part.cursor = std::max(part.cursor, bound);
    while (!part.staged.empty() && part.staged.front()->rev <= bound) part.staged.pop_front();
  }
}

// Decides whether the caller waits, and what wakes it.
void WatchState::Settle(int64_t limit, WatchBatch* batch) {
  // Above the limit is a watch that started in the future.
  const bool all_delivered = bound_ == limit;
  if (progress_wanted_ > 0 && all_delivered && limit >= progress_wanted_) {
    batch->progress = bound_;
    progress_wanted_ = 0;
  }
  if (!batch->events.empty() || batch->progress > 0) {
    batch->more = true;
    return;
  }
  bool loading = false;
  bool staged = false;
  for (const Part& part : parts_) {
    loading |= part.loading;
    staged |= part.staged_upto > part.cursor && part.cursor < limit;
  }
  // Events of one lane may wait for another lane to be decided, and a progress
  // mark for its own: such a watch wakes when the lane gets further.
  const bool wait_for_lane = progress_wanted_ > 0 || (parts_.size() > 1 && limit < hub_->env.rev());
  if (wait_for_lane) {
    for (const Part& part : parts_) hub_->rings[part.lane]->Block(shared_from_this());
  }
  if (wait_for_lane && parts_.size() > 1 && hub_->env.want != nullptr) hub_->env.want();
  const bool moved = wait_for_lane && Limit() > limit;
  if (dirty_ || moved || (staged && !loading)) {
    batch->more = true;
    return;
  }
  armed_ = true;
  behind_since_ = absl::InfiniteFuture();
}

void WatchState::QueueLoad(size_t index) {
  parts_[index].loading = true;
  std::shared_ptr<WatchState> self = shared_from_this();
  hub_->env.run([self, index] { self->Load(index); });
}

void WatchState::Load(size_t index) {
  int lane = 0;
  int64_t after = 0;
  {
    MutexLock lock(&mu_);
    if (!end_.ok()) return;
    lane = parts_[index].lane;
    after = parts_[index].cursor;
  }
  std::deque<EventPtr> staged;
  int64_t upto = after;
  absl::Status status;
  absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = hub_->sources[lane].backend->OpenSnapshot();
  if (snapshot.ok()) {
    int64_t bytes = 0;
    bool cut = false;
    upto = std::max(after, (*snapshot)->lane().head);
    auto sink = [&](const EventRow& row) {
      cut = static_cast<int64_t>(staged.size()) >= kLoadEvents || bytes >= kLoadBytes;
      if (cut) return false;
      auto event = std::make_shared<Event>();
      event->rev = row.rev;
      event->kind = row.kind;
      event->resource = resource_;
      event->key.assign(row.key);
      const bool gone = row.kind == ChangeKind::kDelete || row.kind == ChangeKind::kExpire;
      if (!gone) event->value = Blob(row.value);
      if (row.prev.mod_rev != 0) event->prev = Blob(row.prev_value);
      bytes += static_cast<int64_t>(row.value.size() + row.prev_value.size());
      staged.push_back(std::move(event));
      return true;
    };
    status = (*snapshot)->Events(range_, after, upto, 0, sink);
    if (cut) upto = staged.back()->rev;
  } else {
    status = snapshot.status();
  }
  {
    MutexLock lock(&mu_);
    Part& part = parts_[index];
    part.loading = false;
    if (!status.ok() && end_.ok()) end_ = status;
    // The ring may have served them meanwhile.
    while (!staged.empty() && staged.front()->rev <= part.cursor) staged.pop_front();
    part.staged = std::move(staged);
    part.staged_upto = upto;
  }
  Wake();
}

std::pair<int64_t, absl::Duration> WatchState::Lag(int64_t rev, absl::Time now) const {
  MutexLock lock(&mu_);
  const bool behind = behind_since_ != absl::InfiniteFuture();
  return {behind ? std::max<int64_t>(0, rev - bound_) : 0,
          behind ? now - behind_since_ : absl::ZeroDuration()};
}

}  // namespace storage
