#include "src/api/watch.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "src/api/codes.h"

namespace {

using storage::EventPtr;
using storage::api::Purpose;
using storage::api::Slab;

static_assert(STG_EVENT_CREATE == static_cast<int>(storage::ChangeKind::kCreate));
static_assert(STG_EVENT_UPDATE == static_cast<int>(storage::ChangeKind::kUpdate));
static_assert(STG_EVENT_DELETE == static_cast<int>(storage::ChangeKind::kDelete));
static_assert(STG_EVENT_EXPIRE == static_cast<int>(storage::ChangeKind::kExpire));

constexpr int64_t kMaxEvents = 4096;
constexpr int64_t kMaxBytes = int64_t{4} << 20;
constexpr int64_t kMinBytes = int64_t{64} << 10;

int64_t Clamp(int64_t value, int64_t most) { return value <= 0 || value > most ? most : value; }

int64_t SizeOf(const storage::Event& event) {
  return static_cast<int64_t>(event.key.size() + event.value.size() + event.prev.size());
}

// Takes what the watch has, calling Next until it is idle: the caller then need
// not read again to find out. A progress mark ends the page, because it counts
// after the events before it and not after those that follow.
storage::WatchBatch Collect(storage::Watch* watch, int64_t max_events, int64_t max_bytes) {
  storage::WatchBatch all = watch->Next(max_events, max_bytes);
  bool idle = all.events.empty() && all.progress == 0 && !all.more;
  int64_t bytes = 0;
  size_t counted = 0;
  while (!idle && all.end.ok() && all.progress == 0) {
    const auto count = static_cast<int64_t>(all.events.size());
    while (counted < all.events.size()) bytes += SizeOf(*all.events[counted++]);
    if (count >= max_events || bytes >= max_bytes) break;
    storage::WatchBatch next = watch->Next(max_events - count, max_bytes - bytes);
    idle = next.events.empty() && next.progress == 0 && !next.more;
    // No progress but more to come: the next Next must not spin here.
    const bool nothing = next.events.empty() && next.progress == 0;
    std::move(next.events.begin(), next.events.end(), std::back_inserter(all.events));
    all.progress = next.progress;
    all.end = std::move(next.end);
    if (nothing) break;
  }
  all.more = !idle && all.end.ok();
  return all;
}

void FillEvents(std::vector<EventPtr>* events, Slab* slab, stg_watch_batch* out) {
  auto* views = static_cast<stg_event*>(slab->Allocate(events->size() * sizeof(stg_event)));
  out->events = views;
  for (EventPtr& event : *events) {
    stg_event& view = views[out->events_len++];
    view = stg_event{};
    view.revision = event->rev;
    view.kind = static_cast<int32_t>(event->kind);
    view.key = slab->View(event->key);
    if (event->value.present()) view.value = slab->View(event->value.view());
    if (event->prev.present()) view.prev = slab->View(event->prev.view());
    // Alone with it: read from the database for this watch, or already out of
    // the engine's ring.
    const bool exclusive = event.use_count() == 1;
    slab->Hold(std::move(event), exclusive);
  }
}

}  // namespace

void stg_watch::Ready() {
  if (announced_.exchange(true)) return;
  storage::api::GuardVoid([this] {
    stg_completion ready = {};
    ready.user = user_;
    ready.kind = STG_COMPLETION_WATCH_READY;
    session_->queue().Push(ready);
  });
}

void stg_watch::FillEnd(stg_watch_batch* out) {
  out->code = storage::api::AbiCode(end_);
  out->driver_code = storage::DriverCodeOf(end_);
  Slab* slab = session_->slabs().New(Purpose::kError);
  out->slab = slab->id();
  out->message = slab->Copy(std::string_view(end_.message().data(), end_.message().size()));
  const std::string backend = storage::BackendOf(end_);
  if (!backend.empty()) out->backend = slab->Copy(backend);
}

void stg_watch::Read(int64_t max_events, int64_t max_bytes, stg_watch_batch* out) {
  if (!end_.ok()) return FillEnd(out);
  storage::api::SlabPool& slabs = session_->slabs();
  announced_.store(false);  // before Next: what comes after it is announced again
  max_bytes = Clamp(max_bytes, kMaxBytes);
  // With the budget used up a watch goes on in small steps: events are mostly
  // the engine's own memory, and stopping would end the watch.
  max_bytes = std::min(max_bytes, std::max(kMinBytes, slabs.budget() - slabs.used()));
  storage::WatchBatch batch = Collect(watch_.get(), Clamp(max_events, kMaxEvents), max_bytes);
  end_ = std::move(batch.end);
  if (!end_.ok() && batch.events.empty()) return FillEnd(out);
  out->progress = batch.progress;
  // An end behind events is told by the next Read.
  if (batch.more || !end_.ok()) out->flags |= STG_WATCH_MORE;
  if (batch.events.empty()) return;
  Slab* slab = slabs.New(Purpose::kEvent);
  out->slab = slab->id();
  FillEvents(&batch.events, slab, out);
}

absl::StatusOr<stg_watch*> stg_engine::OpenWatch(storage::ResourceId resource, uint64_t user,
                                                 const storage::Range& range, int64_t after) {
  Entry entry(this);
  if (!entry.allowed()) {
    return storage::MakeStatus(storage::Code::kCancelled, "the engine is shutting down");
  }
  if (resource < 0 || resource >= resources_.load()) {
    return storage::MakeStatus(storage::Code::kInvalid,
                               absl::StrCat("resource ", resource, " is not registered"));
  }
  if (after < 0) {
    return storage::MakeStatus(storage::Code::kInvalid,
                               absl::StrCat("revision ", after, " is negative"));
  }
  auto watch = std::make_unique<stg_watch>(this, user);
  stg_watch* raw = watch.get();
  auto started = engine_->StartWatch(resource, range, after, [raw] { raw->Ready(); });
  if (!started.ok()) return started.status();
  watch->set_watch(*std::move(started));
  storage::MutexLock lock(&watches_mu_);
  watches_.insert(raw);
  return watch.release();
}

void stg_engine::CloseWatch(stg_watch* watch) {
  {
    storage::MutexLock lock(&watches_mu_);
    if (watches_.erase(watch) == 0) return;  // closed with the engine, or twice
  }
  delete watch;  // waits for a callback that runs: not under the lock
}
