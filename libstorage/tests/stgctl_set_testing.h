// A set of three SQLite files under one topology, as an engine has it.
#ifndef LIBSTORAGE_TESTS_STGCTL_SET_TESTING_H_
#define LIBSTORAGE_TESTS_STGCTL_SET_TESTING_H_

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "src/backend/sqlite/sqlite.h"
#include "src/engine/engine.h"
#include "tests/stgctl_testing.h"
#include "tests/topology_testing.h"

namespace storage {

class StgctlSetTest : public StgctlTest {
 protected:
  void SetUp() override {
    StgctlTest::SetUp();
    Write("topology.yaml", Topology());
  }

  std::string Topology() const {
    return "backends:\n"
           "- {name: pods, endpoint: 'sqlite://" +
           Path("pods.db") +
           "', prefix: {prefix: pods}}\n"
           "- {name: system, endpoint: 'sqlite://" +
           Path("system.db") + "', namespace: {namespace: kube-system}}\n";
  }

  // Every command takes the same places.
  std::vector<std::string> WithPlaces(std::vector<std::string> args) const {
    args.insert(args.end(), {"--topology", Path("topology.yaml"), "--default",
                             "sqlite://" + Path("default.db")});
    return args;
  }

  absl::StatusOr<std::unique_ptr<Engine>> OpenEngine(bool restored = false) const {
    EngineOptions options;
    options.topology_path = Path("topology.yaml");
    options.default_endpoint = "sqlite://" + Path("default.db");
    options.restored = restored;
    absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(options);
    if (!engine.ok()) return engine;
    // Ids: 0 = pods, 1 = secrets.
    EXPECT_EQ(*(*engine)->Register(Namespaced("pods")), 0);
    EXPECT_EQ(*(*engine)->Register(Namespaced("secrets")), 1);
    return engine;
  }

  static ResourceId ResourceOf(const std::string& key) {
    return key.rfind("/registry/pods/", 0) == 0 ? 0 : 1;
  }

  // value == nullptr deletes. Waits for the result.
  static WriteResult WriteKey(Engine* engine, const std::string& key, const std::string* value) {
    std::mutex mutex;
    std::condition_variable ready;
    bool done = false;
    WriteResult result;
    auto op = std::make_shared<WriteOp>();
    op->verb = value == nullptr ? WriteOp::Verb::kDelete : WriteOp::Verb::kPut;
    op->resource = ResourceOf(key);
    op->key = key;
    if (value != nullptr) op->value = Blob(*value);
    op->expected = WriteOp::kAnyRevision;
    op->done = [&](WriteResult&& r) {
      std::lock_guard<std::mutex> lock(mutex);
      result = std::move(r);
      done = true;
      ready.notify_one();
    };
    engine->Write(op);
    std::unique_lock<std::mutex> lock(mutex);
    ready.wait(lock, [&] { return done; });
    return result;
  }

  static int64_t MustPut(Engine* engine, const std::string& key, const std::string& value) {
    WriteResult result = WriteKey(engine, key, &value);
    EXPECT_EQ(result.code, Code::kOk) << key << ": " << result.error;
    return result.revision;
  }

  // key -> (mod revision, value) of a file that nobody writes.
  using Contents = std::map<std::string, std::pair<int64_t, std::string>>;
  static Contents ReadFile(const std::string& path) {
    SqliteOptions options;
    options.path = path;
    options.read_only = true;
    Contents out;
    absl::StatusOr<std::unique_ptr<Backend>> backend = OpenSqliteBackend(options);
    EXPECT_TRUE(backend.ok()) << backend.status();
    if (!backend.ok()) return out;
    auto snapshot = (*backend)->OpenSnapshot();
    EXPECT_TRUE(snapshot.ok());
    absl::Status status = (*snapshot)->List({"", ""}, 0, 0, [&](const Row& row) {
      out[std::string(row.key)] = {row.meta.mod_rev, std::string(row.value)};
      return true;
    });
    EXPECT_TRUE(status.ok()) << status;
    return out;
  }

  static Contents ReadEngine(Engine* engine) {
    Contents out;
    for (ResourceId id : {0, 1}) {
      ReadHeader header;
      const std::string start = id == 0 ? "/registry/pods/" : "/registry/secrets/";
      const std::string end = id == 0 ? "/registry/pods0" : "/registry/secrets0";
      absl::Status status = engine->List(
          id, {start, end}, {},
          [&](const Row& row) {
            out[std::string(row.key)] = {row.meta.mod_rev, std::string(row.value)};
            return true;
          },
          &header);
      EXPECT_TRUE(status.ok()) << status;
    }
    return out;
  }
};

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_STGCTL_SET_TESTING_H_
