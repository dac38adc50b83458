// FakeEngine: a map behind a lane thread, with knobs, so that the API layer is
// tested without databases and can be made to see every kind of engine.
// Threads: as Engine; knobs may be turned at any time.
#ifndef LIBSTORAGE_TESTS_API_FAKE_ENGINE_H_
#define LIBSTORAGE_TESTS_API_FAKE_ENGINE_H_

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "src/engine/engine.h"

namespace storage {

class FakeEngine : public Engine {
 public:
  std::atomic<bool> fast_get{true};
  std::atomic<bool> throws{false};         // every call throws
  std::atomic<bool> forget_writes{false};  // an engine with a bug: done is never called
  std::atomic<int> writes{0};
  std::atomic<size_t> gets_together{1};
  std::atomic<int> groups{0};  // calls of GetMany

  FakeEngine() : lane_([this] { Lane(); }) {}
  ~FakeEngine() override {
    Close().IgnoreError();
    OpenGate();
  }

  // While closed, reads and the lane wait.
  void CloseGate() { SetGate(false); }
  void OpenGate() { SetGate(true); }

  absl::Status Close() override {
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (closed_) return absl::OkStatus();
      closed_ = true;
      gate_ = true;
    }
    changed_.notify_all();
    lane_.join();
    EndWatches();
    return absl::OkStatus();
  }

  absl::StatusOr<ResourceId> Register(const Resource& resource) override {
    Throw();
    std::lock_guard<std::mutex> lock(mu_);
    auto found =
        resources_.emplace(resource.key_prefix, static_cast<ResourceId>(resources_.size()));
    return found.first->second;
  }

  void Write(std::shared_ptr<WriteOp> op) override {
    Throw();
    writes.fetch_add(1);
    if (forget_writes) return;
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (!closed_) {
        queue_.push_back(std::move(op));
        changed_.notify_all();
        return;
      }
    }
    Finish(*op, Code::kCancelled, 0);
  }

  bool FastGet(ResourceId, std::string_view) const override { return fast_get; }
  uint64_t BackendsOf(ResourceId, std::string_view) const override { return 1; }
  uint64_t BackendsOf(ResourceId, const Range&) const override { return 1; }

  absl::Status Get(ResourceId, std::string_view key, const ReadOptions& options,
                   const RowSink& sink, ReadHeader* header) override {
    return Scan(Range{std::string(key), std::string(key) + '\0'}, options, sink, header);
  }
  size_t GetsTogether(uint64_t) const override { return gets_together; }
  void GetMany(absl::Span<PointGet> gets) override {
    groups.fetch_add(1);
    for (PointGet& get : gets) {
      get.status = Get(get.resource, get.key, ReadOptions(), get.sink, &get.header);
    }
  }
  absl::Status List(ResourceId, const Range& range, const ReadOptions& options, const RowSink& sink,
                    ReadHeader* header) override {
    return Scan(range, options, sink, header);
  }
  absl::StatusOr<int64_t> Count(ResourceId, const Range& range, ReadHeader* header) override {
    int64_t count = 0;
    absl::Status status = Scan(
        range, ReadOptions(), [&count](const Row&) { return ++count > 0; }, header);
    if (!status.ok()) return status;
    return count;
  }
  absl::StatusOr<int64_t> CurrentRevision(ResourceId) override {
    Throw();
    std::lock_guard<std::mutex> lock(mu_);
    return revision_;
  }
  absl::StatusOr<std::unique_ptr<storage::Watch>> StartWatch(ResourceId, const Range&,
                                                             int64_t after,
                                                             std::function<void()> ready) override;
  absl::Status Compact(int64_t) override { return MakeStatus(Code::kReadOnly, "no", "fake", 7); }

  std::vector<std::string> BackendNames() const override { return {"one", "two"}; }
  absl::Status CheckBackend(const std::string& name) override {
    WaitGate();
    if (name == "one") return absl::OkStatus();
    return MakeStatus(Code::kUnavailable, "down", name, 5);
  }
  absl::Status CheckMetadata() override { return absl::OkStatus(); }
  absl::Status CheckEngine() override {
    Throw();
    return absl::OkStatus();
  }
  std::string StatsJson() override { return "{\"fake\":1}"; }
  std::string LayoutJson() override { return "{}"; }

 private:
  struct Object {
    ObjectMeta meta;
    std::string value;
  };
  struct Feed {  // of one watch
    std::mutex mu;
    std::deque<EventPtr> events;
    int64_t progress = 0;
    bool idle = true;
    bool ended = false;
    std::function<void()> ready;
    // Under mu: delivers one ready callback when the watch waits for it.
    void Wake() {
      if (std::exchange(idle, false)) ready();
    }
  };
  class FakeWatch;

  void Throw() const {
    if (throws) throw std::runtime_error("thrown by the fake");
  }
  void SetGate(bool open) {
    {
      std::lock_guard<std::mutex> lock(mu_);
      gate_ = open;
    }
    changed_.notify_all();
  }
  void WaitGate() {
    std::unique_lock<std::mutex> lock(mu_);
    changed_.wait(lock, [this] { return gate_; });
  }

  absl::Status Scan(const Range& range, const ReadOptions& options, const RowSink& sink,
                    ReadHeader* header) {
    Throw();
    WaitGate();
    std::vector<std::pair<std::string, Object>> rows;
    {
      std::lock_guard<std::mutex> lock(mu_);
      header->revision = revision_;
      header->remaining = -1;
      if (options.revision > revision_) return MakeStatus(Code::kFutureRevision, "too high");
      for (auto it = objects_.lower_bound(range.start); it != objects_.end(); ++it) {
        if (!range.end.empty() && it->first >= range.end) break;
        if (options.limit > 0 && static_cast<int64_t>(rows.size()) == options.limit) {
          header->more = true;
          break;
        }
        rows.emplace_back(*it);
      }
    }
    for (const auto& [key, object] : rows) {
      if (!sink(Row{key, object.value, "", object.meta})) break;
    }
    return absl::OkStatus();
  }

  void Finish(WriteOp& op, Code code, int64_t revision) {
    WriteResult result;
    result.code = code;
    result.revision = revision;
    op.done(std::move(result));
  }

  void Lane() {
    std::unique_lock<std::mutex> lock(mu_);
    while (true) {
      changed_.wait(lock, [this] { return closed_ || (gate_ && !queue_.empty()); });
      if (queue_.empty() && closed_) return;
      std::deque<std::shared_ptr<WriteOp>> batch;
      batch.swap(queue_);
      for (auto& op : batch) {
        WriteResult result = Apply(*op);
        lock.unlock();
        op->done(std::move(result));
        op.reset();
        lock.lock();
      }
    }
  }

  WriteResult Apply(WriteOp& op);  // under mu_
  void Publish(EventPtr event);    // under mu_
  void EndWatches();

  std::mutex mu_;
  std::condition_variable changed_;
  bool closed_ = false;
  bool gate_ = true;
  int64_t revision_ = 1;
  std::map<std::string, ResourceId> resources_;
  std::map<std::string, Object> objects_;
  std::deque<std::shared_ptr<WriteOp>> queue_;
  std::set<std::shared_ptr<Feed>> feeds_;
  std::thread lane_;
};

class FakeEngine::FakeWatch : public storage::Watch {
 public:
  FakeWatch(FakeEngine* engine, std::shared_ptr<Feed> feed)
      : engine_(engine), feed_(std::move(feed)) {}
  ~FakeWatch() override {
    {
      std::lock_guard<std::mutex> lock(engine_->mu_);
      engine_->feeds_.erase(feed_);
    }
    std::lock_guard<std::mutex> lock(feed_->mu);  // a callback that runs ends first
    feed_->ready = [] {};
  }
  WatchBatch Next(int64_t max_events, int64_t max_bytes) override {
    WatchBatch batch;
    std::lock_guard<std::mutex> lock(feed_->mu);
    int64_t bytes = 0;
    while (!feed_->events.empty() && static_cast<int64_t>(batch.events.size()) < max_events &&
           (bytes == 0 || bytes < max_bytes)) {
      bytes += static_cast<int64_t>(feed_->events.front()->value.size() + 1);
      batch.events.push_back(std::move(feed_->events.front()));
      feed_->events.pop_front();
    }
    batch.more = !feed_->events.empty();
    if (batch.more) return batch;
    batch.progress = std::exchange(feed_->progress, 0);
    if (feed_->ended) batch.end = MakeStatus(Code::kCancelled, "the engine closed", "fake", 3);
    feed_->idle = batch.events.empty() && batch.progress == 0;
    return batch;
  }
  void RequestProgress() override {
    int64_t revision;
    {
      std::lock_guard<std::mutex> lock(engine_->mu_);
      revision = engine_->revision_;
    }
    std::lock_guard<std::mutex> lock(feed_->mu);
    feed_->progress = revision;
    feed_->Wake();
  }

 private:
  FakeEngine* const engine_;
  const std::shared_ptr<Feed> feed_;
};

inline absl::StatusOr<std::unique_ptr<storage::Watch>> FakeEngine::StartWatch(
    ResourceId, const Range&, int64_t after, std::function<void()> ready) {
  Throw();
  if (after == 666) return MakeStatus(Code::kCompacted, "compacted", "fake");
  auto feed = std::make_shared<Feed>();
  feed->ready = std::move(ready);
  std::lock_guard<std::mutex> lock(mu_);
  feeds_.insert(feed);
  return std::make_unique<FakeWatch>(this, feed);
}

inline void FakeEngine::Publish(EventPtr event) {
  for (const auto& feed : feeds_) {
    std::lock_guard<std::mutex> lock(feed->mu);
    feed->events.push_back(event);
    feed->Wake();
  }
}

inline void FakeEngine::EndWatches() {
  std::lock_guard<std::mutex> lock(mu_);
  for (const auto& feed : feeds_) {
    std::lock_guard<std::mutex> feed_lock(feed->mu);
    feed->ended = true;
    feed->Wake();
  }
}

inline WriteResult FakeEngine::Apply(WriteOp& op) {
  WriteResult result;
  if (op.cancelled) {
    result.code = Code::kCancelled;
    return result;
  }
  auto found = objects_.find(op.key);
  const int64_t current = found == objects_.end() ? 0 : found->second.meta.mod_rev;
  const bool put = op.verb == WriteOp::Verb::kPut;
  result.revision = revision_;
  if (current == 0 && (op.expected > 0 || !put)) {
    result.code = Code::kNotFound;
    return result;
  }
  if (current != 0) {
    result.current = found->second.meta;
    result.current_value = Blob(found->second.value);
  }
  if (op.expected != WriteOp::kAnyRevision && op.expected != current) {
    result.code = op.expected == 0 ? Code::kExists : Code::kConflict;
    return result;
  }
  auto event = std::make_shared<Event>();
  event->rev = ++revision_;
  event->kind = !put           ? ChangeKind::kDelete
                : current == 0 ? ChangeKind::kCreate
                               : ChangeKind::kUpdate;
  event->key = op.key;
  event->prev = result.current_value;
  if (put) {
    event->value = op.value;
    Object& object = objects_[op.key];
    object.value = std::string(op.value.view());
    object.meta.mod_rev = revision_;
    if (current == 0) object.meta.create_rev = revision_;
    result.current = ObjectMeta();
    result.current_value = Blob();
  } else {
    objects_.erase(found);
  }
  result.code = Code::kOk;
  result.revision = revision_;
  Publish(std::move(event));
  return result;
}

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_API_FAKE_ENGINE_H_
