#include "src/backend/memory/memory.h"

#include <algorithm>
#include <map>
#include <utility>

#include "src/backend/checks.h"
#include "src/base/mutex.h"

namespace storage {
namespace {

struct Object {
  ObjectMeta meta;
  Blob value;
  std::string attrs;
};

struct Event {
  ChangeKind kind = ChangeKind::kCreate;
  int64_t token = 0;
  std::string key;
  Object prev;
};

using Objects = std::map<std::string, Object>;

// The database as one value: a commit copies it when a snapshot still looks.
struct State {
  Lane lane;
  Objects objects;
  std::map<int64_t, Event> events;
  std::map<std::string, KindStats> kinds;

  // The undo log, literally: take back every event after rev, newest first.
  Objects At(int64_t rev) const {
    Objects at = objects;
    for (auto it = events.rbegin(); it != events.rend() && it->first > rev; ++it) {
      if (it->second.prev.meta.mod_rev == 0) {
        at.erase(it->second.key);
      } else {
        at[it->second.key] = it->second.prev;
      }
    }
    return at;
  }
};

bool Contains(const Range& range, const std::string& key) {
  return key >= range.start && (range.end.empty() || key < range.end);
}

Row RowOf(const std::string& key, const Object& object) {
  return Row{key, object.value.view(), object.attrs, object.meta};
}

class MemorySnapshot : public Snapshot {
 public:
  MemorySnapshot(std::string name, std::shared_ptr<const State> state)
      : name_(std::move(name)), state_(std::move(state)) {}

  const Lane& lane() const override { return state_->lane; }

  absl::Status Get(std::string_view key, int64_t rev, const RowSink& sink) override {
    const std::string start(key);
    return List(Range{start, start + '\0'}, rev, 0, sink);
  }

  absl::Status List(const Range& range, int64_t rev, int64_t limit, const RowSink& sink) override {
    absl::Status legal = CheckReadRevision(lane(), rev, name_);
    if (!legal.ok()) return legal;
    const bool latest = rev == 0 || rev == lane().head;
    const Objects at = latest ? Objects() : state_->At(rev);
    const Objects& objects = latest ? state_->objects : at;
    int64_t rows = 0;
    for (auto it = objects.lower_bound(range.start); it != objects.end(); ++it) {
      if (!Contains(range, it->first)) break;
      if (!sink(RowOf(it->first, it->second)) || ++rows == limit) break;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<int64_t> Count(const Range& range, int64_t rev) override {
    int64_t rows = 0;
    absl::Status listed = List(range, rev, 0, [&](const Row&) { return ++rows > 0; });
    if (!listed.ok()) return listed;
    return rows;
  }

  absl::Status Events(const Range& range, int64_t after, int64_t upto, int64_t limit,
                      const EventSink& sink) override {
    absl::Status legal = CheckEventsAfter(lane(), after, name_);
    if (!legal.ok()) return legal;
    // Backwards: the value after an event is what the key's next event found, else the object.
    std::map<std::string, Blob> next;
    std::map<int64_t, Blob> values;
    for (auto it = state_->events.rbegin(); it != state_->events.rend() && it->first > after;
         ++it) {
      const Event& event = it->second;
      const auto object = state_->objects.find(event.key);
      const Blob now = object == state_->objects.end() ? Blob() : object->second.value;
      const auto newer = next.find(event.key);
      values[it->first] = newer == next.end() ? now : newer->second;
      next[event.key] = event.prev.value;
    }
    int64_t rows = 0;
    for (const auto& [rev, value] : values) {
      const Event& event = state_->events.at(rev);
      if (rev > upto) break;
      if (!Contains(range, event.key)) continue;
      const EventRow row{
          rev, event.kind, event.key, value.view(), event.prev.value.view(), event.prev.meta};
      if (!sink(row) || ++rows == limit) break;
    }
    return absl::OkStatus();
  }

  absl::Status Expired(int64_t now_ms, int64_t limit, const RowSink& sink) override {
    std::map<std::pair<int64_t, int64_t>, std::string> due;  // by (expiry, create revision)
    for (const auto& [key, object] : state_->objects) {
      const ObjectMeta& meta = object.meta;
      if (meta.expire_at_ms == 0 || meta.expire_at_ms > now_ms) continue;
      due[{meta.expire_at_ms, meta.create_rev}] = key;
    }
    int64_t rows = 0;
    for (const auto& [when, key] : due) {
      if (!sink(Row{key, "", "", state_->objects.at(key).meta}) || ++rows == limit) break;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<int64_t> NextExpiryMs() override {
    int64_t next = 0;
    for (const auto& [key, object] : state_->objects) {
      const int64_t at = object.meta.expire_at_ms;
      if (at != 0 && (next == 0 || at < next)) next = at;
    }
    return next;
  }

  absl::StatusOr<bool> HasToken(int64_t token) override {
    return std::any_of(state_->events.begin(), state_->events.end(),
                       [&](const auto& entry) { return entry.second.token == token; });
  }

 private:
  const std::string name_;
  const std::shared_ptr<const State> state_;
};

class MemoryBackend;

// Stages; Commit applies.
class MemoryLaneTxn : public LaneTxn {
 public:
  MemoryLaneTxn(MemoryBackend* backend, std::shared_ptr<const State> state)
      : backend_(backend), state_(std::move(state)), lane_(state_->lane), next_(lane_) {}
  ~MemoryLaneTxn() override;

  const Lane& lane() const override { return lane_; }
  int64_t NowMs() override { return SystemNowMs(); }
  absl::Status Read(absl::Span<const std::string_view> keys, absl::Span<Current> out) override;
  absl::Status Apply(absl::Span<const Mutation> mutations, int64_t token) override;
  absl::Status Import(absl::Span<const MovedRow> rows) override;
  absl::Status Discard(absl::Span<const DiscardedRow> rows) override;
  absl::Status Guard(const LaneOwner& owner, int64_t first, int64_t last) override;
  absl::Status Void(const LaneOwner& owner, int64_t to) override;
  absl::Status Adopt(const LaneOwner& owner, int64_t jump_to) override;
  absl::Status RaiseFloor(const LaneOwner& owner, int64_t target) override;
  absl::Status Commit() override;

 private:
  struct Staged {
    ChangeKind kind;
    std::string collection;
    std::string key;
    Object object;
    int64_t rev;
  };

  absl::Status Misused(const char* what) const;
  absl::Status CheckOwner(const LaneOwner& owner) const;
  void ApplyTo(State* state) const;
  MemoryBackend* const backend_;
  std::shared_ptr<const State> state_;  // released before a commit looks for snapshots
  const Lane lane_;
  Lane next_;
  std::vector<Staged> staged_;
  std::vector<Staged> moved_;  // kind: create = comes, delete = goes; rev is not used
  int64_t token_ = 0;
  bool applied_ = false;
  bool decided_ = false;  // one of Guard, Void, Adopt, RaiseFloor agreed
};

class MemoryBackend : public Backend {
 public:
  explicit MemoryBackend(std::string name) : name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  const std::string& identity() const override { return identity_; }
  bool fast_reads() const override { return true; }
  bool durable() const override { return true; }  // it lives as long as its process

  absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLane() override {
    MutexLock lock(&mutex_);
    if (lane_open_) return LaneOpen();
    lane_open_ = true;
    return std::make_unique<MemoryLaneTxn>(this, Hold());
  }

  absl::StatusOr<std::unique_ptr<Snapshot>> OpenSnapshot() override {
    return std::make_unique<MemorySnapshot>(name_, Look());
  }

  absl::Status Get(std::string_view key, const RowSink& sink) override {
    return MemorySnapshot(name_, Look()).Get(key, 0, sink);
  }

  absl::StatusOr<int64_t> DeleteHistory(int64_t max_rows) override {
    MutexLock lock(&mutex_);
    if (lane_open_) return LaneOpen();
    State* const state = Mutable();
    int64_t rows = 0;
    while (rows < max_rows && !state->events.empty() &&
           state->events.begin()->first <= state->lane.floor) {
      state->events.erase(state->events.begin());
      ++rows;
    }
    return rows;
  }

  absl::StatusOr<bool> Maintain(bool idle) override { return false; }

  absl::StatusOr<BackendStats> Stats() override {
    const std::shared_ptr<const State> state = Look();
    BackendStats stats;
    for (const auto& [collection, kind] : state->kinds) stats.kinds.push_back(kind);
    for (const auto& [rev, event] : state->events) {
      ++stats.history_rows;
      stats.history_bytes += static_cast<int64_t>(event.prev.value.size());
      if (rev <= state->lane.floor) ++stats.debt_rows;
    }
    return stats;
  }

  absl::Status Ping() override { return absl::OkStatus(); }

  void EndLane() {
    MutexLock lock(&mutex_);
    lane_open_ = false;
  }

  template <typename Change>
  void Publish(const Change& change) {
    MutexLock lock(&mutex_);
    change(Mutable());
  }

 private:
  absl::Status LaneOpen() const {
    return MakeStatus(Code::kBusy, "a lane transaction is open", name_);
  }

  std::shared_ptr<const State> Look() {
    MutexLock lock(&mutex_);
    return Hold();
  }

  // References come and go under mutex_: Mutable may trust their number.
  std::shared_ptr<const State> Hold() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return {state_.get(), [this, held = state_](const State*) mutable {
              MutexLock lock(&mutex_);
              held.reset();
            }};
  }

  State* Mutable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (state_.use_count() > 1) state_ = std::make_shared<State>(*state_);
    return state_.get();
  }

  const std::string name_;
  const std::string identity_ = RandomIdentity();
  Mutex mutex_;
  std::shared_ptr<State> state_ ABSL_GUARDED_BY(mutex_) = std::make_shared<State>();
  bool lane_open_ ABSL_GUARDED_BY(mutex_) = false;
};

MemoryLaneTxn::~MemoryLaneTxn() { backend_->EndLane(); }

absl::Status MemoryLaneTxn::Misused(const char* what) const {
  return MakeStatus(Code::kInternal, what, backend_->name());
}

absl::Status MemoryLaneTxn::CheckOwner(const LaneOwner& owner) const {
  if (decided_) return Misused("a lane transaction is decided once");
  const bool ours = lane_.m_id == owner.m_id && lane_.epoch == owner.epoch;
  if (ours && lane_.gen == owner.gen) return absl::OkStatus();
  return GuardRefused(lane_, owner, backend_->name());
}

absl::Status MemoryLaneTxn::Read(absl::Span<const std::string_view> keys, absl::Span<Current> out) {
  if (keys.size() != out.size() || state_ == nullptr)
    return Misused("Read: sizes differ, or too late");
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto it = state_->objects.find(std::string(keys[i]));
    out[i] = it == state_->objects.end() ? Current() : Current{it->second.meta, it->second.value};
  }
  return absl::OkStatus();
}

absl::Status MemoryLaneTxn::Apply(absl::Span<const Mutation> mutations, int64_t token) {
  if (applied_ || decided_ || !moved_.empty()) {
    return Misused("Apply comes once, before the guard");
  }
  absl::Status legal = CheckMutations(mutations, lane().head, backend_->name());
  if (!legal.ok()) return legal;
  for (const Mutation& m : mutations) {
    const auto it = state_->objects.find(std::string(m.key));
    const bool exists = it != state_->objects.end();
    if (exists == (m.kind == ChangeKind::kCreate)) {
      return Misused("Apply: a create of a key that exists, or a change of one that does not");
    }
    Object object;
    object.meta.mod_rev = m.rev;
    object.meta.create_rev = exists ? it->second.meta.create_rev : m.rev;
    object.meta.expire_at_ms = m.expire_at_ms;
    object.value = Blob(m.value);
    object.attrs = std::string(m.attrs);
    staged_.push_back(
        Staged{m.kind, std::string(m.collection), std::string(m.key), std::move(object), m.rev});
  }
  token_ = token;
  applied_ = true;
  return absl::OkStatus();
}

absl::Status MemoryLaneTxn::Import(absl::Span<const MovedRow> rows) {
  if (applied_ || decided_) return Misused("Import comes before the lane is decided");
  absl::Status legal = CheckImport(rows, lane(), backend_->name());
  if (!legal.ok()) return legal;
  for (const auto& [collection, row] : rows) {
    if (state_->objects.contains(std::string(row.key))) return Misused("Import: the key exists");
    moved_.push_back(Staged{ChangeKind::kCreate, std::string(collection), std::string(row.key),
                            Object{row.meta, Blob(row.value), std::string(row.attrs)}, 0});
  }
  return legal;
}

absl::Status MemoryLaneTxn::Discard(absl::Span<const DiscardedRow> rows) {
  if (applied_ || decided_) return Misused("Discard comes before the lane is decided");
  absl::Status legal = CheckDiscard(rows, lane(), backend_->name());
  if (!legal.ok()) return legal;
  for (const DiscardedRow& row : rows) {
    if (!state_->objects.contains(std::string(row.key))) return Misused("Discard: no such key");
    moved_.push_back(Staged{ChangeKind::kDelete, std::string(row.collection), std::string(row.key),
                            Object(), 0});
  }
  return legal;
}

absl::Status MemoryLaneTxn::Guard(const LaneOwner& owner, int64_t first, int64_t last) {
  const int64_t lowest = staged_.empty() ? 0 : staged_.front().rev;
  const int64_t highest = staged_.empty() ? 0 : staged_.back().rev;
  absl::Status fits = CheckBatchRange(lowest, highest, first, last, backend_->name());
  if (!fits.ok()) return fits;
  absl::Status owned = CheckOwner(owner);
  if (!owned.ok()) return owned;
  if (lane().head >= first) return GuardRefused(lane(), owner, backend_->name());
  next_.head = last;
  decided_ = true;
  return absl::OkStatus();
}

absl::Status MemoryLaneTxn::Void(const LaneOwner& owner, int64_t to) {
  if (applied_) return Misused("a batch needs Guard, not Void");
  absl::Status owned = CheckOwner(owner);
  if (!owned.ok()) return owned;
  next_.head = std::max(next_.head, to);
  decided_ = true;
  return absl::OkStatus();
}

absl::Status MemoryLaneTxn::Adopt(const LaneOwner& owner, int64_t jump_to) {
  if (applied_ || decided_) return Misused("Adopt stands alone in its transaction");
  absl::Status legal = CheckJump(lane(), jump_to, backend_->name());
  if (!legal.ok()) return legal;
  next_.m_id = owner.m_id;
  next_.epoch = owner.epoch;
  next_.gen = owner.gen;
  if (jump_to > 0) next_.head = next_.floor = jump_to;
  decided_ = true;
  return absl::OkStatus();
}

absl::Status MemoryLaneTxn::RaiseFloor(const LaneOwner& owner, int64_t target) {
  if (applied_) return Misused("a batch needs Guard, not RaiseFloor");
  absl::Status owned = CheckOwner(owner);
  if (!owned.ok()) return owned;
  next_.floor = std::max(next_.floor, std::min(target, next_.head));
  decided_ = true;
  return absl::OkStatus();
}

absl::Status MemoryLaneTxn::Commit() {
  if (!decided_ || state_ == nullptr) return Misused("Commit without a guard that agreed");
  ++next_.ver;
  state_.reset();
  backend_->Publish([this](State* state) { ApplyTo(state); });
  return absl::OkStatus();
}

void MemoryLaneTxn::ApplyTo(State* state) const {
  for (const Staged& staged : staged_) {
    Event event;
    event.kind = staged.kind;
    event.token = token_;
    event.key = staged.key;
    KindStats& kind = state->kinds[staged.collection];
    kind.collection = staged.collection;
    const auto it = state->objects.find(staged.key);
    if (it != state->objects.end()) {
      --kind.objects;
      kind.bytes -= static_cast<int64_t>(it->second.value.size());
      event.prev = it->second;
      state->objects.erase(it);
    }
    if (staged.kind == ChangeKind::kCreate || staged.kind == ChangeKind::kUpdate) {
      ++kind.objects;
      kind.bytes += static_cast<int64_t>(staged.object.value.size());
      state->objects[staged.key] = staged.object;
    }
    state->events[staged.rev] = std::move(event);
  }
  for (const Staged& moved : moved_) {
    KindStats& kind = state->kinds[moved.collection];
    kind.collection = moved.collection;
    const bool comes = moved.kind == ChangeKind::kCreate;
    if (comes) state->objects[moved.key] = moved.object;
    const auto bytes = static_cast<int64_t>(state->objects[moved.key].value.size());
    kind.objects += comes ? 1 : -1;
    kind.bytes += comes ? bytes : -bytes;
    if (!comes) state->objects.erase(moved.key);
  }
  state->lane = next_;
}

}  // namespace

std::unique_ptr<Backend> NewMemoryBackend(const std::string& name) {
  return std::make_unique<MemoryBackend>(name);
}

}  // namespace storage
