// Which number a reader gets, at the moments between a commit and its
// publication and beside compactions (protocol: "Which number a reader gets",
// counterexamples 5, 6 and 7).
#include <future>
#include <limits>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/engine/harness.h"
#include "tests/engine/hooks.h"

namespace storage {
namespace {

const Range kPods{"/registry/pods/", "/registry/pods0"};
const Range kSecrets{"/registry/secrets/", "/registry/secrets0"};

int64_t GetRevision(Engine& engine, ResourceId id, const std::string& key) {
  ReadHeader header;
  absl::Status status = engine.Get(
      id, key, {}, [](const Row&) { return true; }, &header);
  EXPECT_TRUE(status.ok()) << status;
  return header.revision;
}

// Committed and not yet published: who saw the write in a list or by its key
// must find it in whatever is read next, the watch cache too.
TEST(ReadLaw, RevisionsOfAResourceNeverGoDown) {
  Hooks hooks;
  auto engine = OpenHooked(&hooks);
  const ResourceId pods = Register(*engine, "pods");
  for (const bool by_list : {true, false}) {
    const std::string key = absl::StrCat("/registry/pods/", by_list);
    std::vector<int64_t> seen;
    hooks.Set([&](const std::string&, const std::string& call) {
      if (call != "committed") return absl::OkStatus();
      ReadHeader header;
      if (by_list) {
        ListAll(*engine, pods, kPods, {}, &header);
        seen.push_back(header.revision);
      } else {
        seen.push_back(GetRevision(*engine, pods, key));
      }
      seen.push_back(GetRevision(*engine, pods, "/registry/pods/none"));
      seen.push_back(engine->CurrentRevision(pods).value_or(0));
      return absl::OkStatus();
    });
    const int64_t rev = Put(*engine, pods, key, "v", 0).revision;
    hooks.Clear();
    EXPECT_EQ(seen, (std::vector<int64_t>{rev, rev, rev}));
  }
}

// A number in flight in one database: no list over both, and no watch, may
// pass it; lists of the other database need not wait.
// Each of several reads together says what it would say alone.
TEST(ReadLaw, ReadsTogetherSayWhatTheySayAlone) {
  auto engine = OpenMemory(kThreeBackends);
  const ResourceId pods = Register(*engine, "pods"), secrets = Register(*engine, "secrets");
  Put(*engine, pods, "/registry/pods/a", "pod");
  Put(*engine, secrets, "/registry/secrets/a", "secret");
  Delete(*engine, pods, "/registry/pods/gone", 0);
  struct Asked {
    ResourceId resource;
    std::string key;
  };
  const std::vector<Asked> asked = {
      {pods, "/registry/pods/a"},        {secrets, "/registry/secrets/a"},
      {pods, "/registry/pods/none"},     {ResourceId{99}, "/registry/x"},
      {secrets, "/registry/secrets/no"}, {pods, "/registry/pods/a"}};
  std::vector<std::string> together(asked.size());
  std::vector<PointGet> gets;
  for (size_t i = 0; i < asked.size(); ++i) {
    gets.push_back({asked[i].resource, asked[i].key,
                    [&together, i](const Row& row) {
                      together[i] = std::string(row.value);
                      return false;
                    },
                    ReadHeader(), absl::OkStatus()});
  }
  engine->GetMany(absl::MakeSpan(gets));
  for (size_t i = 0; i < asked.size(); ++i) {
    std::string alone;
    ReadHeader header;
    const absl::Status status = engine->Get(
        asked[i].resource, asked[i].key, {},
        [&alone](const Row& row) {
          alone = std::string(row.value);
          return false;
        },
        &header);
    EXPECT_EQ(gets[i].status, status) << asked[i].key;
    EXPECT_EQ(together[i], alone) << asked[i].key;
    EXPECT_EQ(gets[i].header.revision, header.revision) << asked[i].key;
    EXPECT_EQ(gets[i].header.rows, header.rows) << asked[i].key;
  }
  ASSERT_TRUE(engine->Close().ok());
  engine->GetMany(absl::MakeSpan(gets).first(2));
  EXPECT_EQ(CodeOf(gets[0].status), Code::kCancelled);
  EXPECT_EQ(CodeOf(gets[1].status), Code::kCancelled);
}

TEST(ReadLaw, ANumberInFlightHoldsBackExactlyItsReaders) {
  Hooks hooks;
  auto engine = OpenHooked(&hooks, kThreeBackends);
  const ResourceId pods = Register(*engine, "pods");
  const ResourceId secrets = Register(*engine, "secrets");
  Watcher watcher(*engine, pods, kPods, 1);
  int64_t b = 0;
  hooks.Set([&](const std::string& name, const std::string& call) {
    if (name != "a" || call != "commit") return absl::OkStatus();
    b = Put(*engine, pods, "/registry/pods/b1", "v").revision;  // above the one in flight
    EXPECT_TRUE(watcher.watch().Next(10, 1 << 20).events.empty()) << "overtook revision " << b - 1;
    ReadHeader header;
    ReadOptions at_least;
    at_least.revision = b;
    ListAll(*engine, secrets, kSecrets, at_least, &header);
    EXPECT_EQ(header.revision, b);
    return absl::OkStatus();
  });
  const int64_t a = Put(*engine, pods, "/registry/pods/a1", "v").revision;
  hooks.Clear();
  EXPECT_EQ(b, a + 1);
  std::vector<EventPtr> events = watcher.Events(2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0]->rev, a);
  EXPECT_EQ(events[1]->rev, b);
}

TEST(ReadLaw, ANumberInFlightIsShownToNobody) {
  Hooks hooks;
  auto engine = OpenHooked(&hooks);
  const ResourceId pods = Register(*engine, "pods");
  std::vector<int64_t> seen;
  hooks.Set([&](const std::string&, const std::string& call) {
    if (call != "commit") return absl::OkStatus();
    ReadHeader header;
    ListAll(*engine, pods, kPods, {}, &header);
    seen = {header.revision, GetRevision(*engine, pods, "/registry/pods/x"),
            engine->CurrentRevision(pods).value_or(0)};
    return absl::OkStatus();
  });
  const int64_t rev = Put(*engine, pods, "/registry/pods/x", "v", 0).revision;
  hooks.Clear();
  EXPECT_EQ(seen, std::vector<int64_t>(3, rev - 1));
}

// The list begins while one database has a number in flight; its revision is
// above, so it must hold what that number becomes.
TEST(ReadLaw, AListOverDatabasesWaitsForWhatIsInFlight) {
  Hooks hooks;
  auto engine = OpenHooked(&hooks, kThreeBackends);
  const ResourceId pods = Register(*engine, "pods");
  ReadHeader header;
  std::future<Pairs> list;
  hooks.Set([&](const std::string& name, const std::string& call) {
    if (name != "a" || call != "commit") return absl::OkStatus();
    list =
        std::async(std::launch::async, [&] { return ListAll(*engine, pods, kPods, {}, &header); });
    list.wait_for(std::chrono::milliseconds(50));  // time to do it wrong
    return absl::OkStatus();
  });
  const int64_t rev = Put(*engine, pods, "/registry/pods/a1", "v").revision;
  hooks.Clear();
  EXPECT_EQ(list.get(), (Pairs{{"/registry/pods/a1", "v"}}));
  EXPECT_EQ(header.revision, rev);
}

// Counterexample 7: the other database has never seen the revision.
TEST(ReadLaw, ARevisionOfOneDatabaseIsGoodForTheOthers) {
  auto engine = OpenMemory(kThreeBackends);
  const ResourceId pods = Register(*engine, "pods");
  const ResourceId secrets = Register(*engine, "secrets");
  const int64_t rev = Put(*engine, pods, "/registry/pods/a1", "v").revision;
  ReadOptions options;
  ReadHeader header;
  for (const bool exact : {false, true}) {
    options.revision = rev;
    options.exact = exact;
    ListAll(*engine, pods, {"/registry/pods/b", "/registry/pods/c"}, options, &header);
    EXPECT_EQ(header.revision, rev);
    ListAll(*engine, secrets, kSecrets, options, &header);
    EXPECT_EQ(header.revision, rev);
    absl::Status status;
    options.revision = rev + 1;
    ListAll(*engine, secrets, kSecrets, options, &header, &status);
    EXPECT_EQ(CodeOf(status), Code::kFutureRevision);
  }
}

// Counterexample 5: a compaction above the head of a quiet database.
TEST(ReadLaw, AQuietDatabaseSurvivesACompactionAboveItsHead) {
  auto engine = OpenMemory(kThreeBackends);
  const ResourceId pods = Register(*engine, "pods");
  const ResourceId secrets = Register(*engine, "secrets");
  const int64_t old = Put(*engine, secrets, "/registry/secrets/s", "v").revision;
  int64_t rev = 0;
  for (int i = 0; i < 9; ++i) rev = Put(*engine, pods, "/registry/pods/a1", "v").revision;
  ASSERT_TRUE(engine->Compact(rev).ok());
  ReadHeader header;
  EXPECT_EQ(ListAll(*engine, secrets, kSecrets, {}, &header).size(), 1u);
  EXPECT_EQ(header.revision, rev);
  EXPECT_TRUE(Watcher(*engine, secrets, kSecrets, header.revision).status.ok());
  EXPECT_TRUE(Watcher(*engine, secrets, kSecrets, old).status.ok()) << "nothing of it is gone";
  EXPECT_EQ(CodeOf(Watcher(*engine, pods, kPods, rev - 1).status), Code::kCompacted);
}

// A compaction that overtakes a list over several databases makes it start
// again; one that does so always makes it fail, not recurse.
TEST(ReadLaw, AListThatCompactionsOvertakeStartsAgainAndEnds) {
  for (const int times : {3, std::numeric_limits<int>::max()}) {
    Hooks hooks;
    auto engine = OpenHooked(&hooks, kThreeBackends);
    const ResourceId pods = Register(*engine, "pods");
    Put(*engine, pods, "/registry/pods/b1", "v");
    int64_t rev = 0;
    int left = times;
    const std::thread::id us = std::this_thread::get_id();  // housekeeping opens snapshots too
    hooks.Set([&](const std::string& name, const std::string& call) {
      if (std::this_thread::get_id() != us) return absl::OkStatus();
      if (name != "a" || call != "snapshot" || left == 0) return absl::OkStatus();
      --left;
      rev = Put(*engine, pods, "/registry/pods/a1", "v").revision;
      return engine->Compact(rev);
    });
    ReadHeader header;
    absl::Status status;
    const Pairs rows = ListAll(*engine, pods, kPods, {}, &header, &status);
    hooks.Clear();
    if (times == 3) {
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(rows.size(), 2u);
      EXPECT_EQ(header.revision, rev);
    } else {
      EXPECT_EQ(CodeOf(status), Code::kUnavailable) << status;
    }
  }
}

TEST(ReadLaw, TheLargestLimitIsNoOverflow) {
  for (const char* topology : {"", kThreeBackends}) {
    auto engine = OpenMemory(topology);
    const ResourceId pods = Register(*engine, "pods");
    for (const char* key : {"a", "b", "c"}) {
      Put(*engine, pods, absl::StrCat("/registry/pods/", key), "v");
    }
    ReadOptions options;
    options.limit = std::numeric_limits<int64_t>::max();
    ReadHeader header;
    EXPECT_EQ(ListAll(*engine, pods, kPods, options, &header).size(), 3u);
    EXPECT_FALSE(header.more);
  }
}

// Counterexample 12: what is refused takes no number, an impossible key neither.
TEST(ReadLaw, WhatIsRefusedBurnsNoRevision) {
  auto engine = OpenMemory();
  const ResourceId pods = Register(*engine, "pods");
  ASSERT_EQ(Put(*engine, pods, "/registry/pods/x", "v", 0).revision, 2);
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/x", "v", 0).code, Code::kExists);
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/x", "v", 9).code, Code::kConflict);
  EXPECT_EQ(Delete(*engine, pods, "/registry/pods/y").code, Code::kNotFound);
  EXPECT_EQ(Put(*engine, pods, "/registry/secrets/x", "v", 0).code, Code::kInvalid);
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/y", "v", 0).revision, 3);
}

}  // namespace
}  // namespace storage
