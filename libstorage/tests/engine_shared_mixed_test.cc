// Several servers whose databases are of three kinds: PostgreSQL, which announces heads
// and locks its lane; MariaDB, which is polled; etcd, where who is faster wins.
#include <atomic>
#include <map>
#include <thread>

#include "tests/engine/shared.h"
#include "tests/servers/etcd_server.h"
#include "tests/servers/mariadb_server.h"

namespace storage {
namespace {

// In MariaDB, in etcd, in the default database.
const char* const kPlaces[] = {"/registry/pods/m", "/registry/pods/e", "/registry/pods/p"};

class EngineSharedMixed : public SharedTest {
 protected:
  EngineOptions Mixed() {
    EngineOptions options = Options();
    servers::MariadbServer& maria = servers::MariadbServer::Shared();
    if (database_.empty()) database_ = maria.NewDatabase();
    options.topology_text =
        absl::StrCat("backends:\n- endpoint: \"mysql://", database_, ":", maria.Password(database_),
                     "@tcp(127.0.0.1:", maria.port(), ")/", database_,
                     "\"\n  prefix: {name: maria, prefix: pods/m*}\n- endpoint: \"",
                     servers::EtcdServer::ForPlace(database_).Endpoints(),
                     "\"\n  prefix: {name: etcd, prefix: pods/e*}\n");
    return options;
  }
  std::string database_;
};

// Both servers write to each database at once: every write succeeds, has a number of its
// own, and is told once, in order, on both.
TEST_P(EngineSharedMixed, OneHistoryOverThreeKinds) {
  Server servers[2] = {Open(Mixed()), Open(Mixed())};
  ASSERT_TRUE(servers[0].engine != nullptr && servers[1].engine != nullptr);
  Watcher watchers[2] = {{*servers[0].engine, servers[0].pods, kAllPods, 1},
                         {*servers[1].engine, servers[1].pods, kAllPods, 1}};
  constexpr int kThreads = 4, kWrites = 30;
  Mutex mu;
  std::map<int64_t, std::string> committed;  // revision: "key=value"
  std::vector<std::thread> threads;
  for (int t = 0; t < 2 * kThreads; ++t) {
    threads.emplace_back([&, t] {
      Server& server = servers[t % 2];
      for (int i = 0; i < kWrites; ++i) {
        const std::string key = absl::StrCat(kPlaces[(t + i) % 3], i % 5);
        const std::string value = absl::StrCat(t, ".", i);
        const WriteResult result = Put(*server.engine, server.pods, key, value);
        ASSERT_EQ(result.code, Code::kOk) << key << " " << result.error;
        MutexLock lock(&mu);
        ASSERT_TRUE(committed.emplace(result.revision, absl::StrCat(key, "=", value)).second)
            << "revision " << result.revision << " twice";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::map<std::string, std::string> last;
  for (const auto& [rev, write] : committed) {
    const size_t equals = write.find('=');
    last[write.substr(0, equals)] = write.substr(equals + 1);
  }
  for (int s = 0; s < 2; ++s) {
    const std::vector<EventPtr> events = watchers[s].Events(committed.size());
    ASSERT_EQ(events.size(), committed.size());
    auto next = committed.begin();
    for (const EventPtr& event : events) {
      ASSERT_EQ(event->rev, next->first) << "server " << s;
      EXPECT_EQ(absl::StrCat(event->key, "=", std::string(event->value.view())), next->second);
      ++next;
    }
    ReadHeader header;
    EXPECT_EQ(ListAll(*servers[s].engine, servers[s].pods, kAllPods, {}, &header),
              Pairs(last.begin(), last.end()));
    EXPECT_GE(header.revision, committed.rbegin()->first);
  }
}

// A polled database: first event after a pause within 1.1 s, soon while it is busy.
TEST_P(EngineSharedMixed, APolledDatabaseIsFollowed) {
  Server one = Open(Mixed());
  Server two = Open(Mixed());
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  for (const std::string key : {"/registry/pods/m", "/registry/pods/e"}) {
    Watcher watcher(*two.engine, two.pods, {key, key + "0"}, 1);
    for (int i = 0; i < 5; ++i) {
      const int64_t rev = Put(*one.engine, one.pods, key, "v").revision;
      const std::vector<EventPtr> events = watcher.Events(1);
      ASSERT_EQ(events.size(), 1u);
      EXPECT_EQ(events[0]->rev, rev);
    }
  }
  EXPECT_TRUE(one.engine->Close().ok());
  EXPECT_TRUE(two.engine->Close().ok());
}

STG_ON_EACH_METADATA_KIND(EngineSharedMixed);

}  // namespace
}  // namespace storage
