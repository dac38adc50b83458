// Numbers that a batch takes in its own transaction, when the metadata store is in the same
// database (docs/adr/0006-several-servers.md): both or neither, whoever else takes meanwhile.
#include <atomic>

#include "gmock/gmock.h"
#include "tests/engine/shared.h"

namespace storage {
namespace {

constexpr char kNode[] = "/registry/nodes/n";
constexpr char kPod[] = "/registry/pods/a1";  // in the database "a", the store is in "d"

class EngineSharedNumbers : public SharedTest {
 protected:
  void SetReserved(int64_t to) {
    if (!OnEtcd()) {
      Sql("d", absl::StrCat("UPDATE $state SET reserved = ", to));
      return;
    }
    etcd::Stored stored = Stored();
    stored.state.reserved = to;
    Store(stored);
  }
  // Calls body once, at the first `call` on the default database.
  static void Once(Server& server, const std::string& call, std::function<absl::Status()> body) {
    auto done = std::make_shared<std::atomic<bool>>(false);
    server.hooks->Set([=](const std::string& name, const std::string& made) -> absl::Status {
      if (name != "default" || made != call || done->exchange(true)) return absl::OkStatus();
      return body();
    });
  }
  void ExpectAllDecided() {
    EXPECT_EQ(Head("d"), Reserved());
    EXPECT_EQ(Alloc("default"), Reserved());
  }
};

TEST_P(EngineSharedNumbers, OnlyWhereTheStoreIs) {
  Server one = Open();
  ASSERT_NE(one.engine, nullptr);
  std::map<std::string, std::atomic<int>> takes;
  takes["default"] = takes["a"] = 0;
  one.hooks->Set([&](const std::string& name, const std::string& call) -> absl::Status {
    if (call == "take") ++takes[name];
    return absl::OkStatus();
  });
  EXPECT_EQ(Put(*one.engine, one.nodes, kNode, "v").revision, 2);
  ExpectAllDecided();
  EXPECT_EQ(Put(*one.engine, one.pods, kPod, "v").revision, 3);
  EXPECT_EQ(Put(*one.engine, one.nodes, kNode, "w").revision, 4);
  one.hooks->Clear();
  ExpectAllDecided();
  EXPECT_EQ(Alloc("a"), 3);
  EXPECT_EQ(takes["default"], 2);
  EXPECT_EQ(takes["a"], 0);
}

// What another lane and another server took meanwhile is nobody else's.
TEST_P(EngineSharedNumbers, OthersThatTakeMeanwhileAreBefore) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  int64_t between = 0;
  Once(one, "take", [&]() -> absl::Status {
    between = Put(*two.engine, two.pods, kPod, "v").revision;
    return absl::OkStatus();
  });
  const WriteResult result = Put(*one.engine, one.nodes, kNode, "v", 0);
  one.hooks->Clear();
  EXPECT_EQ(result.code, Code::kOk) << result.error;
  EXPECT_EQ(between, 2);
  EXPECT_EQ(result.revision, 3);
  EXPECT_EQ(Alloc("a"), 2);
  ExpectAllDecided();
}

TEST_P(EngineSharedNumbers, WhatDidNotCommitWasHandedToNobody) {
  Server one = Open();
  ASSERT_NE(one.engine, nullptr);
  for (const char* call : {"take", "guard", "commit"}) {
    Once(one, call, [] { return MakeStatus(Code::kUnavailable, "down"); });
    EXPECT_EQ(Put(*one.engine, one.nodes, kNode, "v", 0).code, Code::kUnavailable) << call;
    one.hooks->Clear();
    EXPECT_EQ(Reserved(), 1) << call;
  }
  // The reply to COMMIT is lost and nothing was committed: behind a fence that is known.
  Once(one, "commit", [] { return MakeStatus(Code::kOutcomeUnknown, "the reply was lost"); });
  const WriteResult lost = Put(*one.engine, one.nodes, kNode, "v", 0);
  one.hooks->Clear();
  EXPECT_EQ(lost.code, Code::kUnavailable) << lost.error;
  EXPECT_EQ(Reserved(), 1);
  EXPECT_EQ(Put(*one.engine, one.nodes, kNode, "v", 0).revision, 2);
  ExpectAllDecided();
}

TEST_P(EngineSharedNumbers, ALostReplyOfOneThatCommitted) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  Watcher watcher(*two.engine, two.nodes, kAllNodes, 1);
  Once(one, "committed", [] { return MakeStatus(Code::kOutcomeUnknown, "the reply was lost"); });
  const WriteResult result = Put(*one.engine, one.nodes, kNode, "v", 0);
  one.hooks->Clear();
  EXPECT_EQ(result.code, Code::kOk) << result.error;
  EXPECT_EQ(result.revision, 2);
  EXPECT_EQ(Put(*two.engine, two.nodes, kNode, "w", 2).revision, 3);
  const std::vector<EventPtr> events = watcher.Events(2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0]->rev, 2);
  EXPECT_EQ(events[1]->rev, 3);
  ExpectAllDecided();
}

// Counterexample 2 for the store: numbers that were handed out would be again.
TEST_P(EngineSharedNumbers, AnOlderStoreHandsNothingOut) {
  Server one = Open();
  ASSERT_NE(one.engine, nullptr);
  for (int i = 2; i <= 4; ++i) EXPECT_EQ(Put(*one.engine, one.pods, kPod, "v").revision, i);
  SetReserved(2);
  const WriteResult here = Put(*one.engine, one.nodes, kNode, "v");
  EXPECT_EQ(here.code, Code::kCorrupt) << here.error;
  EXPECT_THAT(std::string(here.error.message()), testing::HasSubstr("older copy"));
  const WriteResult apart = Put(*one.engine, one.pods, kPod, "v");
  EXPECT_EQ(apart.code, Code::kCorrupt) << apart.error;
  ReadHeader header;
  absl::Status status;
  ListAll(*one.engine, one.pods, kAllPods, {}, &header, &status);
  EXPECT_EQ(CodeOf(status), Code::kCorrupt) << "numbers of lists would go down: " << status;
  EXPECT_EQ(Head("d"), 1);
  EXPECT_EQ(Head("a"), 4);
}

// Between the lock of the lane and the commit another server begins an epoch. It has not
// come to the lane yet, so only the store tells.
TEST_P(EngineSharedNumbers, AnEpochThatBeganMeanwhileEndsTheBatch) {
  Server one = Open();
  ASSERT_NE(one.engine, nullptr);
  Once(one, "take", [&]() -> absl::Status {
    BeginAnEpoch();
    return absl::OkStatus();
  });
  const WriteResult result = Put(*one.engine, one.nodes, kNode, "v", 0);
  one.hooks->Clear();
  EXPECT_EQ(result.code, Code::kUnavailable) << CodeName(result.code) << result.error;
  EXPECT_EQ(Head("d"), 1);
  EXPECT_EQ(Reserved(), 1);
}

STG_ON_EACH_METADATA_KIND(EngineSharedNumbers);

}  // namespace
}  // namespace storage
