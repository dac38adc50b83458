// Helpers of the engine's tests: an engine on memory backends, synchronous calls.
#ifndef LIBSTORAGE_TESTS_ENGINE_HARNESS_H_
#define LIBSTORAGE_TESTS_ENGINE_HARNESS_H_

#include <algorithm>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "src/base/mutex.h"
#include "src/engine/engine.h"

namespace storage {

inline const char kThreeBackends[] = R"(
backends:
- endpoint: memory://a
  prefix: {name: a, prefix: pods/a*}
- endpoint: memory://b
  prefix: {name: b, prefix: pods/b*}
- endpoint: memory://secrets
  prefix: {name: secrets, prefix: secrets}
)";

inline std::unique_ptr<Engine> OpenMemory(const std::string& topology = "") {
  EngineOptions options;
  options.topology_text = topology;
  options.default_endpoint = "memory://default";
  options.allow_memory = true;
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(options);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? std::move(*engine) : nullptr;
}

inline ResourceId Register(Engine& engine, const std::string& resource) {
  Resource r;
  r.resource = resource;
  r.root = "/registry/";
  r.key_prefix = "/registry/" + resource + "/";
  r.namespaced = true;
  absl::StatusOr<ResourceId> id = engine.Register(r);
  EXPECT_TRUE(id.ok()) << id.status();
  return id.value_or(-1);
}

inline std::shared_ptr<WriteOp> MakePut(ResourceId resource, std::string key, std::string value,
                                        int64_t expected) {
  auto op = std::make_shared<WriteOp>();
  op->resource = resource;
  op->key = std::move(key);
  op->value = Blob(value);
  op->expected = expected;
  return op;
}

inline WriteResult RunWrite(Engine& engine, const std::shared_ptr<WriteOp>& op) {
  auto promise = std::make_shared<std::promise<WriteResult>>();
  op->done = [promise](WriteResult&& result) { promise->set_value(std::move(result)); };
  engine.Write(op);
  return promise->get_future().get();
}

inline WriteResult Put(Engine& engine, ResourceId resource, const std::string& key,
                       const std::string& value, int64_t expected = WriteOp::kAnyRevision) {
  return RunWrite(engine, MakePut(resource, key, value, expected));
}

inline WriteResult Delete(Engine& engine, ResourceId resource, const std::string& key,
                          int64_t expected = WriteOp::kAnyRevision) {
  auto op = MakePut(resource, key, "", expected);
  op->verb = WriteOp::Verb::kDelete;
  return RunWrite(engine, op);
}

// After an outage: every database answers. None is tried for up to a second after it was
// not there, so that the end of an engine may come too soon for one.
inline bool AllAnswer(Engine& engine) {
  const std::vector<std::string> names = engine.BackendNames();
  return std::all_of(names.begin(), names.end(),
                     [&](const std::string& name) { return engine.CheckBackend(name).ok(); });
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

inline Pairs ListAll(Engine& engine, ResourceId resource, const Range& range,
                     const ReadOptions& options, ReadHeader* header,
                     absl::Status* status = nullptr) {
  Pairs out;
  absl::Status got = engine.List(
      resource, range, options,
      [&](const Row& row) {
        out.emplace_back(std::string(row.key), std::string(row.value));
        return true;
      },
      header);
  if (status != nullptr) {
    *status = got;
  } else {
    EXPECT_TRUE(got.ok()) << got;
  }
  return out;
}

// Waits for the ready callback between empty batches.
class Watcher {
 public:
  Watcher(Engine& engine, ResourceId resource, const Range& range, int64_t after) {
    absl::StatusOr<std::unique_ptr<Watch>> watch =
        engine.StartWatch(resource, range, after, [this] {
          MutexLock lock(&mu_);
          ready_ = true;
          wake_.Signal();
        });
    status = watch.status();
    if (watch.ok()) watch_ = std::move(*watch);
  }
  // A non-empty batch, a progress mark or the end; an empty one after 5 s.
  WatchBatch Next(int64_t max_events = 100) {
    for (;;) {
      WatchBatch batch = watch_->Next(max_events, 1 << 20);
      if (!batch.events.empty() || batch.progress > 0 || !batch.end.ok()) return batch;
      if (batch.more) continue;
      MutexLock lock(&mu_);
      const SteadyTime until = SteadyAfter(absl::Seconds(5));
      while (!ready_) {
        if (!wake_.WaitUntil(&mu_, until)) return batch;
      }
      ready_ = false;
    }
  }
  std::vector<EventPtr> Events(size_t count) {
    std::vector<EventPtr> out;
    while (out.size() < count) {
      WatchBatch batch = Next();
      if (batch.events.empty() && batch.progress == 0) break;
      out.insert(out.end(), batch.events.begin(), batch.events.end());
    }
    return out;
  }
  Watch& watch() { return *watch_; }
  absl::Status status;

 private:
  Mutex mu_;
  CondVar wake_;
  bool ready_ ABSL_GUARDED_BY(mu_) = false;
  std::unique_ptr<Watch> watch_;
};

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_ENGINE_HARNESS_H_
