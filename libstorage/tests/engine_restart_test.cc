// Restarts of an engine on SQLite files: clean, killed, with the metadata store
// lost, with an older copy of a database, with a changed topology. The killed
// process is a forked child that ends without closing.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "absl/strings/str_cat.h"
#include "tests/engine/harness.h"

namespace storage {
namespace {

namespace fs = std::filesystem;
const Range kPods{"/registry/pods/", "/registry/pods0"};

class Restart : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = absl::StrCat(::testing::TempDir(), "/restart-XXXXXX");
    dir_ = ::mkdtemp(pattern.data());
    topology_ = absl::StrCat("backends:\n- endpoint: sqlite://", dir_,
                             "/a.db\n  prefix: {name: a, prefix: pods/a*}\n");
  }
  void TearDown() override { fs::remove_all(dir_); }

  absl::StatusOr<std::unique_ptr<Engine>> Open(bool restored = false) {
    EngineOptions options;
    options.topology_text = topology_;
    options.default_endpoint = absl::StrCat("sqlite://", dir_, "/default.db");
    options.restored = restored;
    return Engine::Open(options);
  }
  std::string File(const std::string& name) const { return absl::StrCat(dir_, "/", name); }
  void RemoveDatabase(const std::string& name) {
    for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(File(name) + suffix);
  }
  // Runs body in a process that is then gone without any clean-up.
  void Killed(const std::function<void(Engine&, ResourceId)>& body) {
    const pid_t child = ::fork();
    if (child == 0) {
      absl::StatusOr<std::unique_ptr<Engine>> engine = Open();
      if (!engine.ok()) ::_exit(3);
      body(**engine, Register(**engine, "pods"));
      ::_exit(::testing::Test::HasFailure() ? 4 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  void Fill(int count = 10) {
    auto engine = std::move(Open()).value();
    const ResourceId pods = Register(*engine, "pods");
    for (int i = 0; i < count; ++i) {
      const char* kind = i % 2 == 0 ? "a" : "d";
      Put(*engine, pods, absl::StrCat("/registry/pods/", kind, i), "v");
    }
    ASSERT_TRUE(engine->Close().ok());
  }

  std::string dir_;
  std::string topology_;
};

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

TEST_F(Restart, SecondProcessIsRefusedAndTheHolderNamed) {
  auto engine = std::move(Open()).value();
  absl::Status status = Open().status();
  EXPECT_EQ(CodeOf(status), Code::kBusy) << status;
  EXPECT_NE(status.message().find(absl::StrCat(::getpid())), std::string::npos) << status;
}

TEST_F(Restart, ADatabaseOfAnotherMetadataStoreIsRefusedUnlessRestored) {
  Fill(4);
  const std::string other = File("other");
  fs::create_directory(other);
  fs::copy(File("a.db"), other + "/a.db");
  RemoveDatabase("a.db");
  RemoveDatabase("default.db");
  RemoveDatabase("default.db.meta");
  {
    topology_ = "";
    Fill(0);  // a metadata store of its own
  }
  topology_ = absl::StrCat("backends:\n- endpoint: sqlite://", other,
                           "/a.db\n  prefix: {name: a, prefix: pods/a*}\n");
  absl::Status status = Open().status();
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_NE(status.message().find("--restored"), std::string::npos) << status;
}

TEST_F(Restart, AnOlderCopyOfADatabaseIsNoticed) {
  Fill(4);
  fs::copy(File("a.db"), File("a.old"));
  Fill(40);
  RemoveDatabase("a.db");
  fs::rename(File("a.old"), File("a.db"));
  absl::Status status = Open().status();
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_NE(status.message().find("older copy"), std::string::npos) << status;
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

TEST_F(Restart, ARuleThatWouldHideObjectsIsRefused) {
  Fill(10);
  const std::string before = topology_;
  topology_ = absl::StrCat(before, "- endpoint: sqlite://", dir_,
                           "/b.db\n  prefix: {name: b, prefix: pods/d*}\n");
  absl::Status status = Open().status();
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  for (const char* part : {"hide 5 objects", "\"default\"", "rule \"b\""}) {
    EXPECT_NE(status.message().find(part), std::string::npos) << status;
  }
  topology_ = "";  // the rule with its database is gone from the file
  status = Open().status();
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_NE(status.message().find("holds 5 objects"), std::string::npos) << status;
  topology_ = before;
  EXPECT_TRUE(Open().ok()) << "putting the rule back must work";
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

}  // namespace
}  // namespace storage
