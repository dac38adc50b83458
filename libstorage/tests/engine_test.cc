// The engine on memory backends: revisions, lists at a revision, watches, one
// history over several backends.
#include "src/engine/engine.h"

#include <algorithm>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/engine/harness.h"

namespace storage {
namespace {

const Range kPods{"/registry/pods/", "/registry/pods0"};

TEST(Engine, EmptyStoreIsAtOneAndEachWriteAddsOne) {
  auto engine = OpenMemory();
  const ResourceId pods = Register(*engine, "pods");
  EXPECT_EQ(engine->CurrentRevision(pods).value(), 1);
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/x", "1", 0).revision, 2);
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/x", "2", 2).revision, 3);
  EXPECT_EQ(Delete(*engine, pods, "/registry/pods/x", 3).revision, 4);
  EXPECT_EQ(engine->CurrentRevision(pods).value(), 4);
}

TEST(Engine, ConflictsCarryTheCurrentObjectAndBurnNoRevision) {
  auto engine = OpenMemory();
  const ResourceId pods = Register(*engine, "pods");
  const std::string key = "/registry/pods/x";
  ASSERT_EQ(Put(*engine, pods, key, "one", 0).code, Code::kOk);
  WriteResult exists = Put(*engine, pods, key, "two", 0);
  EXPECT_EQ(exists.code, Code::kExists);
  EXPECT_EQ(exists.current.mod_rev, 2);
  EXPECT_EQ(exists.current_value.view(), "one");
  WriteResult conflict = Put(*engine, pods, key, "two", 99);
  EXPECT_EQ(conflict.code, Code::kConflict);
  EXPECT_EQ(conflict.current_value.view(), "one");
  EXPECT_EQ(Delete(*engine, pods, "/registry/pods/none", 5).code, Code::kNotFound);
  EXPECT_EQ(Delete(*engine, pods, key, 7).code, Code::kConflict);
  EXPECT_EQ(engine->CurrentRevision(pods).value(), 2);
  WriteResult gone = Delete(*engine, pods, key, 2);
  EXPECT_EQ(gone.code, Code::kOk);
  EXPECT_EQ(gone.current_value.view(), "one");
}

TEST(Engine, LimitsNameTheLimit) {
  auto engine = OpenMemory();
  const ResourceId pods = Register(*engine, "pods");
  WriteResult big = Put(*engine, pods, "/registry/pods/x", std::string(1536 * 1024 + 1, 'v'));
  EXPECT_EQ(big.code, Code::kTooLarge);
  EXPECT_EQ(
      big.error.message(),
      "the object at /registry/pods/x has 1572865 bytes as it is stored; the limit is 1572864: "
      "split it, or keep its large part elsewhere");
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/x", std::string(1536 * 1024, 'v')).code, Code::kOk);
  const std::string longest = "/registry/pods/" + std::string(1009, 'k');
  EXPECT_EQ(Put(*engine, pods, longest, "v").code, Code::kOk);
  WriteResult key = Put(*engine, pods, longest + "k", "v");
  EXPECT_EQ(key.code, Code::kTooLarge);
  EXPECT_EQ(key.error.message(), "the key " + longest.substr(0, 100) +
                                     "... has 1025 bytes; the limit is 1024: shorten its names or "
                                     "--etcd-prefix");
  EXPECT_EQ(Put(*engine, pods, "", "v").code, Code::kInvalid);
}

// As a custom resource definition that is deleted and made again.
TEST(Engine, AKindThatComesBackWithAnotherScope) {
  Resource shirts;
  shirts.resource = "shirts";
  shirts.root = "/registry/";
  shirts.key_prefix = "/registry/example.com/shirts/";
  shirts.namespaced = true;
  shirts.custom = true;
  auto engine = OpenMemory();
  const ResourceId id = engine->Register(shirts).value();
  EXPECT_EQ(Put(*engine, id, shirts.key_prefix + "default/one", "1").code, Code::kOk);
  EXPECT_EQ(Delete(*engine, id, shirts.key_prefix + "default/one").code, Code::kOk);
  shirts.namespaced = false;
  ASSERT_EQ(engine->Register(shirts).value_or(-1), id);
  EXPECT_EQ(Put(*engine, id, shirts.key_prefix + "one", "2").code, Code::kOk);
  ReadHeader header;
  EXPECT_EQ(ListAll(*engine, id, {shirts.key_prefix, "/registry/example.com/shirts0"}, {}, &header),
            (Pairs{{shirts.key_prefix + "one", "2"}}));
  // Where the scope decides the database it stays with the routes of this start.
  auto split = OpenMemory(
      "backends:\n- {name: system, endpoint: 'memory://system', "
      "namespace: {namespace: kube-system}}\n");
  shirts.custom = false;
  ASSERT_TRUE(split->Register(shirts).ok());
  shirts.namespaced = true;
  EXPECT_NE(split->Register(shirts).status().message().find("restart the API server"),
            std::string::npos);
}

// Any byte may stand in a key; a message shows it in a printable way.
TEST(Engine, KeysOfAnyBytes) {
  auto engine = OpenMemory(kThreeBackends);
  const ResourceId pods = Register(*engine, "pods");
  Pairs want;
  for (const std::string& name :
       {std::string("a\0b", 3), std::string("a\n"), std::string("b\xff\xfe"), std::string("c d"),
        std::string("\xef\xbc\xa1"), std::string("\xff")}) {
    want.emplace_back("/registry/pods/" + name, name);
    EXPECT_EQ(Put(*engine, pods, want.back().first, name).code, Code::kOk);
  }
  ReadHeader header;
  EXPECT_EQ(ListAll(*engine, pods, kPods, {}, &header), want);
  WriteResult big = Put(*engine, pods, std::string("/registry/pods/a\0\n", 18),
                        std::string(1536 * 1024 + 1, 'v'));
  EXPECT_NE(big.error.message().find("at /registry/pods/a\\x00\\n has"), std::string::npos)
      << big.error;
}

TEST(Engine, ListsAtARevision) {
  auto engine = OpenMemory(kThreeBackends);
  const ResourceId pods = Register(*engine, "pods");
  Put(*engine, pods, "/registry/pods/a1", "1");
  Put(*engine, pods, "/registry/pods/b1", "1");
  const int64_t rev = Put(*engine, pods, "/registry/pods/c1", "1").revision;
  Put(*engine, pods, "/registry/pods/a1", "2");
  Delete(*engine, pods, "/registry/pods/b1");
  Put(*engine, pods, "/registry/pods/a0", "2");
  ReadHeader header;
  ReadOptions at;
  at.revision = rev;
  at.exact = true;
  const Pairs before{
      {"/registry/pods/a1", "1"}, {"/registry/pods/b1", "1"}, {"/registry/pods/c1", "1"}};
  EXPECT_EQ(ListAll(*engine, pods, kPods, at, &header), before);
  EXPECT_EQ(header.revision, rev);
  const Pairs now{
      {"/registry/pods/a0", "2"}, {"/registry/pods/a1", "2"}, {"/registry/pods/c1", "1"}};
  EXPECT_EQ(ListAll(*engine, pods, kPods, {}, &header), now);
  EXPECT_EQ(header.revision, rev + 3);
}

TEST(Engine, PagesSayWhatFollows) {
  auto engine = OpenMemory(kThreeBackends);
  const ResourceId pods = Register(*engine, "pods");
  for (int i = 0; i < 10; ++i) {
    Put(*engine, pods, absl::StrCat("/registry/pods/", i % 2 == 0 ? "a" : "b", i), "v");
  }
  ReadOptions page;
  page.limit = 4;
  page.want_remaining = true;
  ReadHeader header;
  Pairs rows = ListAll(*engine, pods, kPods, page, &header);
  EXPECT_EQ(rows.size(), 4u);
  EXPECT_TRUE(header.more);
  EXPECT_EQ(header.remaining, 6);
  EXPECT_EQ(engine->Count(pods, kPods, &header).value(), 10);
  page.limit = 10;
  rows = ListAll(*engine, pods, kPods, page, &header);
  EXPECT_EQ(rows.size(), 10u);
  EXPECT_FALSE(header.more);
}

TEST(Engine, FutureAndCompactedRevisions) {
  auto engine = OpenMemory();
  const ResourceId pods = Register(*engine, "pods");
  for (int i = 0; i < 5; ++i) Put(*engine, pods, "/registry/pods/x", absl::StrCat(i));
  ReadHeader header;
  absl::Status status;
  ReadOptions options;
  options.revision = 100;
  ListAll(*engine, pods, kPods, options, &header, &status);
  EXPECT_EQ(CodeOf(status), Code::kFutureRevision);
  EXPECT_EQ(header.revision, 6);
  ASSERT_TRUE(engine->Compact(4).ok());
  options.exact = true;
  options.revision = 3;
  ListAll(*engine, pods, kPods, options, &header, &status);
  EXPECT_EQ(CodeOf(status), Code::kCompacted);
  EXPECT_EQ(header.floor, 4);
  options.revision = 4;
  EXPECT_EQ(ListAll(*engine, pods, kPods, options, &header), (Pairs{{"/registry/pods/x", "2"}}));
  EXPECT_EQ(CodeOf(Watcher(*engine, pods, kPods, 3).status), Code::kCompacted);
  EXPECT_TRUE(Watcher(*engine, pods, kPods, 4).status.ok());
  EXPECT_EQ(CodeOf(engine->Compact(100)), Code::kFutureRevision);
}

TEST(Engine, WatchFromTheRingAndFromTheDatabase) {
  EngineOptions options;
  options.default_endpoint = "memory://default";
  options.allow_memory = true;
  options.ring_bytes = 2000;  // holds only the last few events
  auto engine = std::move(Engine::Open(options)).value();
  const ResourceId pods = Register(*engine, "pods");
  Watcher from_start(*engine, pods, kPods, 1);
  for (int i = 0; i < 1200; ++i) {
    Put(*engine, pods, absl::StrCat("/registry/pods/", i % 7), absl::StrCat(i));
  }
  Watcher late(*engine, pods, kPods, 1);
  for (Watcher* watcher : {&from_start, &late}) {
    std::vector<EventPtr> events = watcher->Events(1200);
    ASSERT_EQ(events.size(), 1200u);
    for (int i = 0; i < 1200; ++i) {
      EXPECT_EQ(events[i]->rev, i + 2);
      EXPECT_EQ(events[i]->value.view(), absl::StrCat(i));
      EXPECT_EQ(events[i]->prev.present(), i >= 7);
      EXPECT_EQ(events[i]->prev.view(), i >= 7 ? absl::StrCat(i - 7) : "");
    }
  }
}

TEST(Engine, QuietWatchStaysGoodWhenOtherKindsFillTheRingAndHistoryGoes) {
  EngineOptions options;
  options.default_endpoint = "memory://default";
  options.allow_memory = true;
  options.ring_bytes = 2000;
  auto engine = std::move(Engine::Open(options)).value();
  const ResourceId pods = Register(*engine, "pods");
  const ResourceId nodes = Register(*engine, "nodes");
  Watcher quiet(*engine, pods, kPods, 1);
  EXPECT_TRUE(quiet.watch().Next(10, 1000).events.empty());
  for (int i = 0; i < 500; ++i) Put(*engine, nodes, "/registry/nodes/n", absl::StrCat(i));
  ASSERT_TRUE(engine->Compact(400).ok());
  Put(*engine, pods, "/registry/pods/x", "v");
  std::vector<EventPtr> events = quiet.Events(1);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0]->rev, 502);
}

TEST(Engine, ProgressIsNeverBelowAnEventOrAnAcknowledgement) {
  auto engine = OpenMemory(kThreeBackends);
  const ResourceId pods = Register(*engine, "pods");
  const ResourceId nodes = Register(*engine, "nodes");
  Watcher watcher(*engine, pods, kPods, 1);
  const int64_t a = Put(*engine, pods, "/registry/pods/a", "1").revision;
  const int64_t other = Put(*engine, nodes, "/registry/nodes/n", "1").revision;
  watcher.watch().RequestProgress();
  int64_t last = 0;
  for (;;) {
    WatchBatch batch = watcher.Next();
    for (const EventPtr& event : batch.events) last = event->rev;
    if (batch.progress > 0) {
      EXPECT_GE(batch.progress, other);
      break;
    }
    ASSERT_FALSE(batch.events.empty());
  }
  EXPECT_EQ(last, a);
}

TEST(Engine, ExpiredObjectsAreDeletedWithAnEvent) {
  auto engine = OpenMemory();
  const ResourceId pods = Register(*engine, "pods");
  auto op = MakePut(pods, "/registry/pods/ttl", "v", 0);
  op->ttl_ms = 300;
  ASSERT_EQ(RunWrite(*engine, op).revision, 2);
  Watcher watcher(*engine, pods, kPods, 2);
  std::vector<EventPtr> events = watcher.Events(1);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0]->kind, ChangeKind::kExpire);
  EXPECT_EQ(events[0]->rev, 3);
  EXPECT_EQ(events[0]->prev.view(), "v");
}

TEST(Engine, CloseEndsWatchesAndRefusesWork) {
  auto engine = OpenMemory();
  const ResourceId pods = Register(*engine, "pods");
  Watcher watcher(*engine, pods, kPods, 1);
  ASSERT_TRUE(engine->Close().ok());
  EXPECT_EQ(CodeOf(watcher.Next().end), Code::kCancelled);
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/x", "v").code, Code::kCancelled);
  EXPECT_TRUE(engine->Close().ok());
}

TEST(Engine, UnreachableServersAndSharedFilesAreRefused) {
  EngineOptions options;
  options.allow_memory = true;
  options.default_endpoint = "memory://d";
  options.topology_text =
      "backends:\n- endpoint: postgres://u:geheim@127.0.0.1:1/db\n"
      "  prefix: {name: pg, prefix: pods}\n";
  absl::Status status = Engine::Open(options).status();
  EXPECT_EQ(CodeOf(status), Code::kUnavailable);
  EXPECT_NE(status.message().find("127.0.0.1:1/db"), std::string::npos) << status;
  EXPECT_EQ(status.message().find("geheim"), std::string::npos) << status;
  options.topology_text =
      "backends:\n- endpoint: mysql://u:geheim@tcp(127.0.0.1:1)/db\n"
      "  prefix: {name: my, prefix: pods}\n";
  status = Engine::Open(options).status();
  EXPECT_EQ(CodeOf(status), Code::kUnavailable);
  EXPECT_NE(status.message().find("127.0.0.1:1/db"), std::string::npos) << status;
  EXPECT_EQ(status.message().find("geheim"), std::string::npos) << status;
  options.topology_text =
      "backends:\n- endpoint: sqlite:///tmp/x.db\n  prefix: {name: one, prefix: pods}\n";
  options.default_endpoint = "sqlite:///tmp/../tmp/./x.db";
  status = Engine::Open(options).status();
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_EQ(
      status.message(),
      "topology:2:3: rule \"one\": the default database has the file /tmp/x.db too; give each "
      "a file of its own");
}

// One history over several backends under load: every watcher sees every
// event once, in order; lists at the revision of the header agree.
TEST(Engine, OneHistoryUnderLoad) {
  auto engine = OpenMemory(kThreeBackends);
  const ResourceId pods = Register(*engine, "pods");
  constexpr int kWriters = 4;
  constexpr int kWrites = 400;
  Watcher watcher(*engine, pods, kPods, 1);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      std::minstd_rand random(w);
      for (int i = 0; i < kWrites; ++i) {
        const char* kind[] = {"a", "b", "c"};
        const std::string key = absl::StrCat("/registry/pods/", kind[random() % 3], random() % 5);
        EXPECT_EQ(Put(*engine, pods, key, absl::StrCat(w, ".", i)).code, Code::kOk);
      }
    });
  }
  std::thread lister([&] {
    int64_t last = 0;
    while (!stop) {
      ReadHeader header;
      Pairs now = ListAll(*engine, pods, kPods, {}, &header);
      EXPECT_GE(header.revision, last);
      last = header.revision;
      ReadOptions again;
      again.revision = header.revision;
      again.exact = true;
      ReadHeader same;
      EXPECT_EQ(ListAll(*engine, pods, kPods, again, &same), now);
    }
  });
  std::vector<EventPtr> events = watcher.Events(kWriters * kWrites);
  for (std::thread& thread : threads) thread.join();
  stop = true;
  lister.join();
  ASSERT_EQ(events.size(), static_cast<size_t>(kWriters * kWrites));
  for (size_t i = 0; i < events.size(); ++i) {
    ASSERT_EQ(events[i]->rev, static_cast<int64_t>(i) + 2) << "lost, repeated or reordered";
  }
}

}  // namespace
}  // namespace storage
