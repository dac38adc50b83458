#include "src/watch/hub.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/watch/hub_watch.h"

namespace storage {

// The handle that a consumer owns.
class HubWatch : public Watch {
 public:
  HubWatch(std::shared_ptr<Hub::Shared> hub, std::shared_ptr<WatchState> state)
      : hub_(std::move(hub)), state_(std::move(state)) {}
  ~HubWatch() override {
    state_->Stop();
    MutexLock lock(&hub_->mu);
    hub_->watches.erase(state_);
  }
  WatchBatch Next(int64_t max_events, int64_t max_bytes) override {
    return state_->Next(max_events, max_bytes);
  }
  void RequestProgress() override { state_->RequestProgress(); }

 private:
  std::shared_ptr<Hub::Shared> hub_;
  std::shared_ptr<WatchState> state_;
};

Hub::Hub(HubEnv env, std::vector<Source> sources, int64_t ring_bytes)
    : shared_(std::make_shared<Shared>()) {
  shared_->env = std::move(env);
  shared_->sources = std::move(sources);
  for (const Source& source : shared_->sources) {
    shared_->rings.push_back(std::make_unique<Ring>(source.head, ring_bytes));
  }
}

Hub::~Hub() { End(MakeStatus(Code::kCancelled, "the engine was closed")); }

void Hub::Publish(int lane, int64_t prev_head, const std::vector<EventPtr>& events, int64_t last,
                  const std::function<void()>& decide) {
  Ring& ring = *shared_->rings[lane];
  const bool gap = ring.Append(prev_head, events, last);
  decide();
  for (const std::shared_ptr<Follower>& follower : ring.ToWake(events, gap)) follower->Wake();
}

bool Hub::Feed(int lane, int64_t prev_head, const std::vector<EventPtr>& events, int64_t last,
               int64_t creations, const std::function<void()>& decide) {
  Ring& ring = *shared_->rings[lane];
  if (!ring.AppendNext(prev_head, events, last, creations)) return false;
  decide();
  for (const std::shared_ptr<Follower>& follower : ring.ToWake(events, false)) follower->Wake();
  return true;
}

int64_t Hub::Tail(int lane) const { return shared_->rings[lane]->head(); }

int64_t Hub::Creations(int lane) const { return shared_->rings[lane]->Creations(); }

void Hub::Advanced(int lane) {
  for (const std::shared_ptr<Follower>& follower : shared_->rings[lane]->ToWake({}, false)) {
    follower->Wake();
  }
}

absl::StatusOr<std::unique_ptr<Watch>> Hub::Start(ResourceId resource, const Range& range,
                                                  const std::vector<int>& lanes, int64_t after,
                                                  std::function<void()> ready) {
  for (int lane : lanes) {
    const int64_t floor = shared_->env.floor(lane);
    if (after < floor) {
      return MakeStatus(Code::kCompacted,
                        absl::StrCat("revision ", after, " is too old: history begins at ", floor));
    }
  }
  auto state =
      std::make_shared<WatchState>(shared_, resource, range, lanes, after, std::move(ready));
  {
    MutexLock lock(&shared_->mu);
    if (!shared_->end.ok()) return shared_->end;
    shared_->watches.insert(state);
  }
  auto watch = std::make_unique<HubWatch>(shared_, state);
  state->Begin();
  return watch;
}

void Hub::End(const absl::Status& status) {
  std::vector<std::shared_ptr<WatchState>> watches;
  {
    MutexLock lock(&shared_->mu);
    if (shared_->end.ok()) shared_->end = status;
    watches.assign(shared_->watches.begin(), shared_->watches.end());
  }
  for (const std::shared_ptr<WatchState>& watch : watches) watch->End(status);
}

Hub::Stats Hub::GetStats() const {
  Stats stats;
  std::vector<std::shared_ptr<WatchState>> watches;
  {
    MutexLock lock(&shared_->mu);
    watches.assign(shared_->watches.begin(), shared_->watches.end());
  }
  const int64_t rev = shared_->env.rev();
  const absl::Time now = absl::Now();
  stats.watches = static_cast<int64_t>(watches.size());
  for (const std::shared_ptr<WatchState>& watch : watches) {
    const auto [revisions, time] = watch->Lag(rev, now);
    stats.lag_max_revisions = std::max(stats.lag_max_revisions, revisions);
    stats.lag_max_seconds = std::max(stats.lag_max_seconds, absl::ToDoubleSeconds(time));
  }
  for (const std::unique_ptr<Ring>& ring : shared_->rings) stats.ring_bytes += ring->bytes();
  return stats;
}

}  // namespace storage
