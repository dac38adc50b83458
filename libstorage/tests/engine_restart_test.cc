// Restarts of an engine on SQLite files: clean, killed, with the metadata store
// lost, with an older copy of a database, with a changed topology. The killed
// process is a forked child that ends without closing.
#include "src/backend/sqlite/sqlite.h"
#include "tests/engine/restart.h"

namespace storage {
namespace {

TEST_F(Restart, CleanRestartGoesOnWithoutAGap) {
  Fill(10);
  auto engine = std::move(Open()).value();
  const ResourceId pods = Register(*engine, "pods");
  EXPECT_EQ(engine->CurrentRevision(pods).value(), 11);
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/a0", "w").revision, 12);
  ReadHeader header;
  ReadOptions old;
  old.revision = 5;
  old.exact = true;
  EXPECT_EQ(ListAll(*engine, pods, kPods, old, &header).size(), 4u);
  Watcher watcher(*engine, pods, kPods, 1);
  std::vector<EventPtr> events = watcher.Events(11);
  ASSERT_EQ(events.size(), 11u);
  for (int i = 0; i < 11; ++i) EXPECT_EQ(events[i]->rev, i + 2);
}

TEST_F(Restart, KilledProcessLosesNothingAndReusesNothing) {
  Killed([](Engine& engine, ResourceId pods) {
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(Put(engine, pods, absl::StrCat("/registry/pods/a", i), "v").revision, i + 2);
    }
  });
  auto engine = std::move(Open()).value();
  const ResourceId pods = Register(*engine, "pods");
  const int64_t rev = engine->CurrentRevision(pods).value();
  EXPECT_GE(rev, 21);
  EXPECT_GT(Put(*engine, pods, "/registry/pods/a0", "w").revision, rev);
  Watcher watcher(*engine, pods, kPods, 10);  // above the floor: no 410, no gap
  ASSERT_TRUE(watcher.status.ok()) << watcher.status;
  std::vector<EventPtr> events = watcher.Events(12);
  ASSERT_EQ(events.size(), 12u);
  for (int i = 0; i < 11; ++i) EXPECT_EQ(events[i]->rev, 11 + i);
}

TEST_F(Restart, MetadataLostMeansOldRevisionsAreGoneAndObjectsAreNot) {
  Fill(10);
  RemoveDatabase("default.db.meta");
  auto engine = std::move(Open()).value();
  const ResourceId pods = Register(*engine, "pods");
  ReadHeader header;
  EXPECT_EQ(ListAll(*engine, pods, kPods, {}, &header).size(), 10u);
  EXPECT_GT(header.revision, int64_t{1} << 32);
  EXPECT_EQ(CodeOf(Watcher(*engine, pods, kPods, 11).status), Code::kCompacted);
  const int64_t rev = Put(*engine, pods, "/registry/pods/a0", "w").revision;
  EXPECT_GT(rev, header.revision);
  ASSERT_TRUE(engine->Close().ok());
  engine.reset();
  engine = std::move(Open()).value();  // and the next start is a normal one
  EXPECT_EQ(engine->CurrentRevision(Register(*engine, "pods")).value(), rev);
}

TEST_F(Restart, AnOlderCopyOfADatabaseIsNoticed) {
  Fill(4);
  fs::copy(File("a.db"), File("a.old"));
  Fill(40);
  RemoveDatabase("a.db");
  fs::rename(File("a.old"), File("a.db"));
  absl::Status status = Open().status();
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_THAT(Message(status),
              AllOf(HasSubstr("rule \"a\": " + File("a.db") + " ends at revision 4"),
                    HasSubstr("older copy"), HasSubstr("restore a backup")));
  auto engine = Open(/*restored=*/true);
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_EQ(CodeOf(Watcher(**engine, Register(**engine, "pods"), kPods, 20).status),
            Code::kCompacted);
}

TEST_F(Restart, AnOlderCopyOfTheMetadataStoreStartsANewEpoch) {
  Fill(4);
  fs::copy(File("default.db.meta"), File("meta.old"));
  Killed([](Engine& engine, ResourceId pods) {
    for (int i = 0; i < 10; ++i) Put(engine, pods, absl::StrCat("/registry/pods/a", i), "v");
  });
  RemoveDatabase("default.db.meta");
  fs::rename(File("meta.old"), File("default.db.meta"));
  auto engine = std::move(Open()).value();
  const ResourceId pods = Register(*engine, "pods");
  EXPECT_GT(engine->CurrentRevision(pods).value(), int64_t{1} << 32);
}

TEST_F(Restart, ANewRuleForOtherKeysIsAccepted) {
  Fill(10);
  topology_ = absl::StrCat(topology_, "- endpoint: sqlite://", dir_,
                           "/s.db\n  prefix: {name: s, prefix: secrets}\n");
  auto engine = std::move(Open()).value();
  const ResourceId pods = Register(*engine, "pods");
  const ResourceId secrets = Register(*engine, "secrets");
  EXPECT_GT(Put(*engine, secrets, "/registry/secrets/s", "v").revision, 11);
  ReadHeader header;
  EXPECT_EQ(ListAll(*engine, pods, kPods, {}, &header).size(), 10u);
}

// Keys may have changed databases: old revisions are gone, objects are not.
TEST_F(Restart, AChangedTopologyEndsTheHistoryOfBefore) {
  Fill(10);
  topology_ = absl::StrCat(topology_, "- endpoint: sqlite://", dir_,
                           "/s.db\n  prefix: {name: s, prefix: secrets}\n");
  auto engine = std::move(Open()).value();
  const ResourceId pods = Register(*engine, "pods");
  EXPECT_EQ(CodeOf(Watcher(*engine, pods, kPods, 5).status), Code::kCompacted);
  EXPECT_TRUE(Watcher(*engine, pods, kPods, 11).status.ok()) << "the current one is good";
}

// A kind that the metadata store did not take down would not be looked for when
// the topology changes.
TEST_F(Restart, AKindIsOnlyRegisteredWhenItIsRemembered) {
  topology_ = "";
  {
    auto engine = std::move(Open()).value();
    Resource secrets;
    secrets.resource = "secrets";
    secrets.root = "/registry/";
    secrets.key_prefix = "/registry/secrets/";
    secrets.namespaced = true;
    fs::rename(File("default.db.meta"), File("away"));
    EXPECT_FALSE(engine->Register(secrets).ok());
    fs::rename(File("away"), File("default.db.meta"));
    const ResourceId id = Register(*engine, "secrets");
    ASSERT_EQ(Put(*engine, id, "/registry/secrets/s", "v").code, Code::kOk);
    ASSERT_TRUE(engine->Close().ok());
  }
  topology_ = absl::StrCat("backends:\n- endpoint: sqlite://", dir_,
                           "/s.db\n  prefix: {name: s, prefix: secrets}\n");
  EXPECT_EQ(CodeOf(Open().status()), Code::kInvalid) << "it would hide the secret";
}

// Also in a database that was quiet since: its head goes up, and its floor.
TEST_F(Restart, AChangedTopologyEndsTheHistoryOfQuietDatabasesToo) {
  topology_ = absl::StrCat("backends:\n- endpoint: sqlite://", dir_,
                           "/s.db\n  prefix: {name: s, prefix: secrets}\n");
  {
    auto engine = std::move(Open()).value();
    Put(*engine, Register(*engine, "secrets"), "/registry/secrets/s", "v");
  }
  Fill(10);
  topology_ = absl::StrCat(topology_, "- endpoint: sqlite://", dir_,
                           "/n.db\n  prefix: {name: n, prefix: nodes}\n");
  auto engine = std::move(Open()).value();
  const ResourceId secrets = Register(*engine, "secrets");
  const Range range{"/registry/secrets/", "/registry/secrets0"};
  EXPECT_EQ(CodeOf(Watcher(*engine, secrets, range, 5).status), Code::kCompacted);
}

// Whatever the process before had in flight can land no more.
TEST_F(Restart, AnUncleanEndIsVoidedInEveryLane) {
  Killed([](Engine& engine, ResourceId pods) { Put(engine, pods, "/registry/pods/a1", "v"); });
  auto engine = std::move(Open()).value();
  const int64_t rev = engine->CurrentRevision(Register(*engine, "pods")).value();
  for (const char* name : {"a.db", "default.db"}) {
    SqliteOptions options;
    options.name = name;
    options.path = File(name);
    options.read_only = true;
    auto backend = OpenSqliteBackend(options);
    ASSERT_TRUE(backend.ok()) << backend.status();
    EXPECT_EQ((*(*backend)->OpenSnapshot())->lane().head, rev) << name;
  }
}

}  // namespace
}  // namespace storage
