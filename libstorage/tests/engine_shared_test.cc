// Several servers on one topology, on the sunny path and under load: one history, no
// event lost, reads that see what others acknowledged (protocol.md; ADR 6).
#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/engine/shared.h"
#include "tests/servers/process.h"

namespace storage {
namespace {

using testing::HasSubstr;

class EngineShared : public SharedTest {};

int64_t HeadOf(Engine& engine, ResourceId resource) {
  const auto rev = engine.CurrentRevision(resource);
  EXPECT_TRUE(rev.ok()) << rev.status();
  return rev.value_or(-1);
}

TEST_P(EngineShared, OneServerAddsOneToEachWrite) {
  Server one = Open();
  ASSERT_NE(one.engine, nullptr);
  ReadHeader header;
  EXPECT_EQ(ListAll(*one.engine, one.nodes, kAllNodes, {}, &header).size(), 0u);
  EXPECT_EQ(header.revision, 1);
  EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/a1", "v").revision, 2);
  EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/b1", "v").revision, 3);
  EXPECT_EQ(Put(*one.engine, one.nodes, "/registry/nodes/n", "v").revision, 4);
  EXPECT_EQ(Put(*one.engine, one.nodes, "/registry/nodes/n", "v", 0).code, Code::kExists);
  EXPECT_EQ(Delete(*one.engine, one.nodes, "/registry/nodes/n").revision, 5);
  EXPECT_EQ(HeadOf(*one.engine, one.pods), 5);
  EXPECT_TRUE(one.engine->Close().ok());
}

TEST_P(EngineShared, AServerSeesWhatAnotherAcknowledged) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  for (int i = 0; i < 50; ++i) {
    Server& writer = i % 2 == 0 ? one : two;
    Server& reader = i % 2 == 0 ? two : one;
    const std::string value = std::to_string(i);
    const std::string pod = i % 4 < 2 ? "/registry/pods/a" : "/registry/pods/b";
    const int64_t pod_rev = Put(*writer.engine, writer.pods, pod, value).revision;
    const int64_t node_rev = Put(*writer.engine, writer.nodes, "/registry/nodes/n", value).revision;
    EXPECT_EQ(node_rev, pod_rev + 1);
    std::string got;
    ReadHeader header;
    ASSERT_TRUE(reader.engine
                    ->Get(
                        reader.nodes, "/registry/nodes/n", {},
                        [&](const Row& row) {
                          got.assign(row.value);
                          return true;
                        },
                        &header)
                    .ok());
    EXPECT_EQ(got, value);
    EXPECT_GE(header.revision, node_rev);
    const Pairs pods = ListAll(*reader.engine, reader.pods, kAllPods, {}, &header);
    EXPECT_TRUE(std::find(pods.begin(), pods.end(), std::make_pair(pod, value)) != pods.end());
    EXPECT_GE(header.revision, node_rev) << "pods are spread: their number is everybody's";
    EXPECT_EQ(ListAll(*reader.engine, reader.nodes, kAllNodes, {}, &header),
              (Pairs{{"/registry/nodes/n", value}}));
    EXPECT_EQ(header.revision, node_rev) << "nodes have the numbers of their database";
    EXPECT_GE(HeadOf(*reader.engine, reader.pods), node_rev);
    EXPECT_EQ(HeadOf(*reader.engine, reader.nodes), node_rev);
  }
  EXPECT_TRUE(one.engine->Close().ok());
  EXPECT_TRUE(two.engine->Close().ok());
}

TEST_P(EngineShared, OfTwoWritersOfOneRevisionOneWins) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  int64_t rev = Put(*one.engine, one.nodes, "/registry/nodes/n", "0").revision;
  for (int i = 0; i < 30; ++i) {
    WriteResult a, b;
    std::thread other([&] { b = Put(*two.engine, two.nodes, "/registry/nodes/n", "b", rev); });
    a = Put(*one.engine, one.nodes, "/registry/nodes/n", "a", rev);
    other.join();
    const WriteResult& won = a.code == Code::kOk ? a : b;
    const WriteResult& lost = a.code == Code::kOk ? b : a;
    ASSERT_EQ(won.code, Code::kOk) << a.error << b.error;
    ASSERT_EQ(lost.code, Code::kConflict) << lost.error;
    EXPECT_EQ(lost.current.mod_rev, won.revision);
    EXPECT_EQ(lost.current_value.view(), a.code == Code::kOk ? "a" : "b");
    rev = won.revision;
  }
}

TEST_P(EngineShared, AWatchGetsTheEventsOfAllServersInOrder) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  Watcher pods(*two.engine, two.pods, kAllPods, 1);
  Watcher nodes(*two.engine, two.nodes, kAllNodes, 1);
  std::vector<int64_t> pod_revs, node_revs;
  for (int i = 0; i < 20; ++i) {
    Server& writer = i % 3 == 0 ? two : one;
    const std::string pod = i % 2 == 0 ? "/registry/pods/a" : "/registry/pods/b";
    pod_revs.push_back(Put(*writer.engine, writer.pods, pod + std::to_string(i), "v").revision);
    node_revs.push_back(Put(*writer.engine, writer.nodes, "/registry/nodes/n", "v").revision);
  }
  const auto revs = [](const std::vector<EventPtr>& events) {
    std::vector<int64_t> out;
    for (const EventPtr& event : events) out.push_back(event->rev);
    return out;
  };
  EXPECT_EQ(revs(pods.Events(pod_revs.size())), pod_revs);
  EXPECT_EQ(revs(nodes.Events(node_revs.size())), node_revs);
}

TEST_P(EngineShared, ProgressIsAtLeastWhatAnotherAcknowledged) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  Watcher pods(*two.engine, two.pods, kAllPods, 1);
  Watcher nodes(*two.engine, two.nodes, kAllNodes, 1);
  for (int i = 0; i < 10; ++i) {
    const int64_t node = Put(*one.engine, one.nodes, "/registry/nodes/n", "v").revision;
    const int64_t pod = Put(*one.engine, one.pods, "/registry/pods/a", "v").revision;
    EXPECT_EQ(HeadOf(*two.engine, two.pods), pod);  // two knows that all up to there is decided
    nodes.watch().RequestProgress();
    const auto upto = [](Watcher& watcher) {
      for (;;) {
        const WatchBatch batch = watcher.Next();
        if (batch.progress > 0 || batch.events.empty()) return batch.progress;
      }
    };
    EXPECT_EQ(upto(nodes), node) << "its own numbers, not those of the other database";
    pods.watch().RequestProgress();
    EXPECT_GE(upto(pods), pod) << "spread: everybody's";
  }
}

// By the notification: the probe alone would take half a second in the median.
TEST_P(EngineShared, AWriteOfAnotherServerIsToldAtOnce) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  Watcher nodes(*two.engine, two.nodes, kAllNodes, 1);
  std::vector<absl::Duration> took;
  for (int i = 0; i < 15; ++i) {
    HeadOf(*two.engine, two.pods);  // two has just asked: the next time is in a second
    ASSERT_EQ(Put(*one.engine, one.nodes, "/registry/nodes/n", "v").code, Code::kOk);
    const absl::Time acknowledged = absl::Now();
    ASSERT_EQ(nodes.Events(1).size(), 1u);
    took.push_back(absl::Now() - acknowledged);
  }
  std::sort(took.begin(), took.end());
  EXPECT_LT(took[took.size() / 2], absl::Milliseconds(200));
}

// A kind that only another server knew so far: its events before are in the database.
TEST_P(EngineShared, AKindThatIsRegisteredLaterMissesNothing) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  const ResourceId shirts = Register(*one.engine, "shirts");
  const int64_t first = Put(*one.engine, shirts, "/registry/shirts/1", "v").revision;
  EXPECT_EQ(HeadOf(*two.engine, two.nodes), first);  // its ring is beyond it
  const ResourceId there = Register(*two.engine, "shirts");
  Watcher watcher(*two.engine, there, {"/registry/shirts/", "/registry/shirts0"}, 1);
  const int64_t second = Put(*one.engine, shirts, "/registry/shirts/2", "v").revision;
  const std::vector<EventPtr> events = watcher.Events(2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0]->rev, first);
  EXPECT_EQ(events[1]->rev, second);
}

// The server that wrote it is gone: another one removes what expires.
TEST_P(EngineShared, WhatExpiresIsReapedByAnotherServer) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  Watcher watcher(*two.engine, two.nodes, kAllNodes, 1);
  auto op = MakePut(one.nodes, "/registry/nodes/lease", "v", 0);
  op->ttl_ms = 1500;
  EXPECT_EQ(RunWrite(*one.engine, op).code, Code::kOk);
  one.engine.reset();
  const std::vector<EventPtr> events = watcher.Events(2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1]->kind, ChangeKind::kExpire);
}

// Both servers write and list and watch. Every write is told once, in order, on both,
// and a list at R has what was committed up to R.
TEST_P(EngineShared, OneHistoryUnderLoad) {
  Server servers[2] = {Open(), Open()};
  ASSERT_TRUE(servers[0].engine != nullptr && servers[1].engine != nullptr);
  Watcher watchers[2] = {{*servers[0].engine, servers[0].pods, kAllPods, 1},
                         {*servers[1].engine, servers[1].pods, kAllPods, 1}};
  constexpr int kThreads = 4, kWrites = 60;
  Mutex mu;
  std::map<int64_t, std::string> committed;  // revision: "key=value", "" value = gone
  struct Listed {
    int64_t rev;
    Pairs pairs;
  };
  std::vector<Listed> lists;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2 * kThreads; ++t) {
    threads.emplace_back([&, t] {
      Server& server = servers[t % 2];
      for (int i = 0; i < kWrites; ++i) {
        const std::string key =
            absl::StrCat("/registry/pods/", (t + i) % 2 == 0 ? "a" : "b", i % 7);
        const std::string value = absl::StrCat(t, ".", i);
        const bool gone = i % 5 == 4;
        const absl::Time until = Patience();
        WriteResult result;
        do {
          result = gone ? Delete(*server.engine, server.pods, key)
                        : Put(*server.engine, server.pods, key, value);
        } while (result.code == Code::kUnavailable && absl::Now() < until);
        ASSERT_TRUE(result.code == Code::kOk || (gone && result.code == Code::kNotFound))
            << result.error;
        if (result.code == Code::kOk) {
          MutexLock lock(&mu);
          ASSERT_TRUE(committed.emplace(result.revision, key + "=" + (gone ? "" : value)).second)
              << "revision " << result.revision << " twice";
        }
        if (i % 6 != 0) continue;
        ReadHeader header;
        absl::Status status;
        Pairs pairs;
        do {
          pairs = ListAll(*server.engine, server.pods, kAllPods, {}, &header, &status);
        } while (CodeOf(status) == Code::kUnavailable && absl::Now() < until);
        ASSERT_TRUE(status.ok()) << status;
        MutexLock lock(&mu);
        if (result.code == Code::kOk) {
          EXPECT_GE(header.revision, result.revision);
        }
        lists.push_back({header.revision, pairs});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int s = 0; s < 2; ++s) {
    const std::vector<EventPtr> events = watchers[s].Events(committed.size());
    ASSERT_EQ(events.size(), committed.size());
    auto next = committed.begin();
    for (const EventPtr& event : events) {
      ASSERT_EQ(event->rev, next->first) << "server " << s;
      EXPECT_EQ(absl::StrCat(event->key, "=", std::string(event->value.view())), next->second);
      ++next;
    }
  }
  for (const Listed& list : lists) {
    std::map<std::string, std::string> at;
    for (const auto& [rev, write] : committed) {
      if (rev > list.rev) break;
      const size_t equals = write.find('=');
      at[write.substr(0, equals)] = write.substr(equals + 1);
      if (equals + 1 == write.size()) at.erase(write.substr(0, equals));
    }
    EXPECT_EQ(list.pairs, Pairs(at.begin(), at.end())) << "at " << list.rev;
  }
}

STG_ON_EACH_METADATA_KIND(EngineShared);

}  // namespace
}  // namespace storage
