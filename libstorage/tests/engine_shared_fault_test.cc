// Several servers when something fails: numbers that nobody commits, lost replies,
// lost connections, a dead database (protocol.md: void, "Unknown outcome", Resolve).
#include <atomic>
#include <thread>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/engine/shared.h"
#include "tests/servers/process.h"

namespace storage {
namespace {

absl::Status Lost() { return MakeStatus(Code::kOutcomeUnknown, "the reply was lost"); }
absl::Status Down() { return MakeStatus(Code::kUnavailable, "down"); }

class EngineSharedFault : public SharedTest {
 protected:
  // From the next `call` on, the server cannot lock the lane of the backend: it took
  // numbers which it can neither commit nor void.
  static void Stick(Server& server, const std::string& backend, const std::string& call,
                    const absl::Status& error) {
    auto stuck = std::make_shared<std::atomic<bool>>(false);
    server.hooks->Set([=](const std::string& name, const std::string& made) -> absl::Status {
      if (name != backend) return absl::OkStatus();
      if (made == "begin") return stuck->load() ? Down() : absl::OkStatus();
      if (made != call || stuck->exchange(true)) return absl::OkStatus();
      return error;
    });
  }
};

// Counterexample 1's other half: nobody may wait for ever for numbers that were taken.
TEST_P(EngineSharedFault, NumbersThatNobodyCommitsAreVoidedByAnother) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  Stick(one, "a", "commit", Down());
  EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/a1", "v").code, Code::kUnavailable);
  const int64_t taken = 2;
  const absl::Time begin = absl::Now();
  ReadHeader header;
  EXPECT_EQ(ListAll(*two.engine, two.pods, kAllPods, {}, &header).size(), 0u);
  EXPECT_GE(header.revision, taken);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(2));
  // The numbers are void: whoever took them cannot use them any more, and goes on.
  one.hooks->Clear();
  EXPECT_TRUE(servers::WaitFor(
      [&] { return Put(*one.engine, one.pods, "/registry/pods/a1", "v").code == Code::kOk; },
      absl::Seconds(10)));
  const Pairs pods = ListAll(*two.engine, two.pods, kAllPods, {}, &header);
  EXPECT_EQ(pods, (Pairs{{"/registry/pods/a1", "v"}}));
}

// The janitor: nobody reads, and the server that took the numbers is gone.
TEST_P(EngineSharedFault, TheJanitorVoidsWhatADeadServerTook) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  Stick(one, "a", "commit", Down());
  EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/a1", "v").code, Code::kUnavailable);
  one.hooks->Clear();
  one.engine.reset();
  EXPECT_TRUE(servers::WaitFor([&] { return Head("a") == 2; }, absl::Seconds(10))) << Head("a");
}

// Counterexample 9 with two servers: it landed, the reply and the fence were lost, and
// the other server sees it once.
TEST_P(EngineSharedFault, AWriteOfUnknownOutcomeIsSeenOnceByAll) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  Watcher here(*one.engine, one.pods, kAllPods, 1);
  Watcher there(*two.engine, two.pods, kAllPods, 1);
  Stick(one, "a", "committed", Lost());
  EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/a1", "v", 0).code, Code::kOutcomeUnknown);
  const int64_t next = Put(*two.engine, two.pods, "/registry/pods/a2", "w", 0).revision;
  one.hooks->Clear();
  for (Watcher* watcher : {&here, &there}) {
    const std::vector<EventPtr> events = watcher->Events(2);
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0]->key, "/registry/pods/a1");
    EXPECT_EQ(events[1]->rev, next);
  }
  EXPECT_EQ(Put(*two.engine, two.pods, "/registry/pods/a1", "x", 0).code, Code::kExists);
}

// The same, and its server finds out: acknowledged although the other one wrote between.
TEST_P(EngineSharedFault, ALostReplyIsResolvedBehindAFence) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  Watcher here(*one.engine, one.nodes, kAllNodes, 1);
  std::atomic<bool> done{false};
  one.hooks->Set([&](const std::string& name, const std::string& call) -> absl::Status {
    if (name != "default" || call != "committed" || done.exchange(true)) return absl::OkStatus();
    EXPECT_EQ(Put(*two.engine, two.nodes, "/registry/nodes/between", "w", 0).code, Code::kOk);
    return Lost();
  });
  const WriteResult result = Put(*one.engine, one.nodes, "/registry/nodes/n", "v", 0);
  one.hooks->Clear();
  EXPECT_EQ(result.code, Code::kOk) << result.error;
  const std::vector<EventPtr> events = here.Events(2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0]->rev, result.revision);
  EXPECT_EQ(events[1]->key, "/registry/nodes/between");
}

// A compaction by another server between the fence and the look-up of the token: that
// the token is not there proves nothing then.
TEST_P(EngineSharedFault, ATokenBelowTheFloorProvesNothing) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  std::atomic<int> commits{0};
  one.hooks->Set([&](const std::string& name, const std::string& call) -> absl::Status {
    if (name != "default" || call != "committed") return absl::OkStatus();
    if (++commits == 1) return Lost();
    if (commits == 2) {  // the fence
      EXPECT_EQ(Put(*two.engine, two.nodes, "/registry/nodes/later", "w", 0).code, Code::kOk);
      const auto head = two.engine->CurrentRevision(two.nodes);
      EXPECT_TRUE(head.ok() && two.engine->Compact(*head).ok());
    }
    return absl::OkStatus();
  });
  const WriteResult result = Put(*one.engine, one.nodes, "/registry/nodes/n", "v", 0);
  one.hooks->Clear();
  EXPECT_TRUE(result.code == Code::kOutcomeUnknown) << CodeName(result.code) << result.error;
}

// Sessions that the server ends, the listening one too: nothing is lost for a watch.
TEST_P(EngineSharedFault, LostConnectionsLoseNoEvent) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  Watcher watcher(*two.engine, two.pods, kAllPods, 1);
  std::vector<int64_t> revs;
  for (int i = 0; i < 6; ++i) {
    if (i % 2 == 1) EndSessions();
    WriteResult result;
    EXPECT_TRUE(servers::WaitFor(
        [&] {
          result = Put(*one.engine, one.pods, "/registry/pods/a" + std::to_string(i), "v");
          return result.code == Code::kOk;
        },
        absl::Seconds(20)))
        << result.error;
    revs.push_back(result.revision);
  }
  // Tries that were not acknowledged may have landed: each acknowledged one is there.
  std::vector<int64_t> seen;
  while (seen.empty() || seen.back() < revs.back()) {
    const std::vector<EventPtr> events = watcher.Events(1);
    ASSERT_FALSE(events.empty());
    for (const EventPtr& event : events) {
      EXPECT_TRUE(seen.empty() || event->rev > seen.back());
      seen.push_back(event->rev);
    }
  }
  for (int64_t rev : revs) EXPECT_THAT(seen, testing::Contains(rev));
}

// One database is gone: kinds that cannot be there are served, of spread ones what is
// elsewhere; no list is partial, and the answer comes in time.
TEST_P(EngineSharedFault, ADeadDatabaseHoldsUpOnlyWhatMayBeThere) {
  auto started = PostgresServer::Start();
  ASSERT_TRUE(started.ok()) << started.status();
  EngineOptions options = Options();
  options.topology_text = absl::StrCat("backends:\n- endpoint: \"", (*started)->Uri("dead"),
                                       "\"\n  prefix: {name: a, prefix: pods/a*}\n");
  Server one = Open(options);
  Server two = Open(options);
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/a1", "v").code, Code::kOk);
  EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/b1", "v").code, Code::kOk);
  (*started)->Kill();
  Watcher nodes(*two.engine, two.nodes, kAllNodes, 3);
  const int64_t rev = Put(*one.engine, one.nodes, "/registry/nodes/n", "v").revision;
  EXPECT_GT(rev, 0);
  EXPECT_EQ(nodes.Events(1).size(), 1u);
  EXPECT_EQ(Put(*two.engine, two.pods, "/registry/pods/b1", "w").code, Code::kOk);
  ReadHeader header;
  absl::Status status;
  const absl::Time begin = absl::Now();
  ListAll(*two.engine, two.pods, kAllPods, {}, &header, &status);
  EXPECT_EQ(CodeOf(status), Code::kUnavailable) << status;
  EXPECT_LT(absl::Now() - begin, absl::Seconds(3));
  EXPECT_EQ(ListAll(*two.engine, two.nodes, kAllNodes, {}, &header).size(), 1u);
  EXPECT_FALSE(two.engine->CheckBackend("a").ok());
  EXPECT_TRUE(two.engine->CheckBackend("default").ok());
  EXPECT_TRUE(two.engine->CheckEngine().ok());
  ASSERT_TRUE((*started)->Restart().ok());
  EXPECT_TRUE(servers::WaitFor(
      [&] {
        const Pairs pods = ListAll(*two.engine, two.pods, kAllPods, {}, &header, &status);
        return status.ok() && pods.size() == 2;
      },
      absl::Seconds(20)))
      << status;
}

// Counterexample 2 with several servers: acknowledged writes are gone from a lane. No
// server repairs that.
TEST_P(EngineSharedFault, ALaneThatWentBackIsNotVoided) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  EXPECT_EQ(Put(*one.engine, one.nodes, "/registry/nodes/n", "v").revision, 2);
  EXPECT_EQ(Put(*one.engine, one.nodes, "/registry/nodes/n", "w").revision, 3);
  EXPECT_EQ(*two.engine->CurrentRevision(two.nodes), 3);
  SetHead("d", 2);
  for (Server* server : {&one, &two}) {
    const WriteResult result = Put(*server->engine, server->nodes, "/registry/nodes/m", "v");
    EXPECT_EQ(result.code, Code::kCorrupt) << result.error;
  }
  EXPECT_EQ(Head("d"), 2);
}

// A number of another database, as a minimum: the answer says it, and no server says
// less of this kind afterwards.
TEST_P(EngineSharedFault, AMinimumAboveTheHeadRaisesIt) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/a1", "v").revision, 2);
  EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/a1", "v").revision, 3);
  ReadOptions minimum;
  minimum.revision = 3;
  ReadHeader header;
  ListAll(*one.engine, one.nodes, kAllNodes, minimum, &header);
  EXPECT_EQ(header.revision, 3);
  ListAll(*two.engine, two.nodes, kAllNodes, {}, &header);
  EXPECT_EQ(header.revision, 3);
  minimum.revision = 4;
  absl::Status status;
  ListAll(*two.engine, two.nodes, kAllNodes, minimum, &header, &status);
  EXPECT_EQ(CodeOf(status), Code::kFutureRevision) << status;
}

STG_ON_EACH_METADATA_KIND(EngineSharedFault);

}  // namespace
}  // namespace storage
