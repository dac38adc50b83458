// stgctl migrate: what it prints, and that it survives kill -9 and Ctrl-C.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/stgctl_set_testing.h"

namespace storage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class StgctlMigrate : public StgctlSetTest {
 protected:
  // Pods go to a database of their own; secrets of kube-system stay in theirs.
  void SetUp() override {
    StgctlSetTest::SetUp();
    Write("new.yaml",
          "backends:\n"
          "- {name: pods, endpoint: 'sqlite://" +
              Path("other.db") +
              "', prefix: {prefix: pods}}\n"
              "- {name: system, endpoint: 'sqlite://" +
              Path("system.db") + "', namespace: {namespace: kube-system}}\n");
  }
  void Fill(int pods) {
    auto engine = OpenEngine();
    ASSERT_TRUE(engine.ok()) << engine.status();
    for (int i = 0; i < pods; ++i) {
      MustPut(engine->get(), "/registry/pods/default/p" + std::to_string(i),
              std::string(200, static_cast<char>('a' + i % 26)));
    }
    MustPut(engine->get(), "/registry/secrets/kube-system/t", "token");
    ASSERT_TRUE((*engine)->Close().ok());
  }
  std::vector<std::string> Args(std::vector<std::string> more = {}) const {
    more.insert(more.begin(),
                {"migrate", Path("new.yaml"), "--default", "sqlite://" + Path("default.db")});
    return more;
  }
  // A file may have been made, and no table in it yet.
  static bool IsDatabase(const std::string& path) {
    if (!std::filesystem::exists(path)) return false;
    SqliteOptions options;
    options.path = path;
    options.read_only = true;
    const absl::Status status = OpenSqliteBackend(options).status();
    EXPECT_TRUE(status.ok() || status.message().find("is empty") != std::string::npos) << status;
    return status.ok();
  }
  // Of its lane: each run ahead adds one.
  static int64_t EpochOf(const std::string& path) {
    SqliteOptions options;
    options.path = path;
    options.read_only = true;
    auto backend = OpenSqliteBackend(options);
    EXPECT_TRUE(backend.ok()) << backend.status();
    auto snapshot = (*backend)->OpenSnapshot();
    return snapshot.ok() ? (*snapshot)->lane().epoch : -1;
  }
  void UseNew() { Write("topology.yaml", ReadAll(Path("new.yaml"))); }
};

TEST_F(StgctlMigrate, TellsWhatMovesMovesItAndTheServerStarts) {
  Fill(20);
  const Contents before = ReadFile(Path("pods.db"));
  Ran ran = Run(Args({"--dry-run"}));
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, StartsWith("OBJECTS OF        FROM  "));
  EXPECT_THAT(ran.out, AllOf(HasSubstr("/registry/pods/   \"pods\" (sqlite://" + Path("pods.db")),
                             HasSubstr("\"pods\" (sqlite://" + Path("other.db")),
                             HasSubstr(")   20        3.9 KiB\n"), HasSubstr("Nothing was moved")));
  EXPECT_EQ(ReadFile(Path("pods.db")), before);
  ran = Run(Args({"--progress", "-o", "json"}));
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  const nlohmann::json json = nlohmann::json::parse(ran.out, nullptr, false);
  EXPECT_EQ(json.value("result", ""), "migrated") << ran.out;
  EXPECT_EQ(json["moves"][0]["objects"], 20);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("copying 20 objects: 100 %\n"),
                             HasSubstr("verifying 20 objects: 100 %\n"),
                             HasSubstr("discarding 20 objects: 100 %\n")));
  EXPECT_EQ(ReadFile(Path("other.db")), before);
  EXPECT_EQ(ReadFile(Path("pods.db")), Contents());
  ran = Run(Args());
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, StartsWith("Nothing has to move"));
  ran = Run(Args({"--abort"}));
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, HasSubstr("error: no migration is in progress"));
  UseNew();
  auto engine = OpenEngine();
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_EQ(ReadEngine(engine->get()).size(), 21u);
}

// A kill at many points of time: each run gets longer than the one before, by a share of
// it, so that a slow machine needs few runs more than a fast one.
TEST_F(StgctlMigrate, Kill9AtAnyMoment) {
  Fill(3000);
  const Contents before = ReadFile(Path("pods.db"));
  int killed = 0;
  for (int ms = 5;; ms += std::max(15, ms / 4)) {
    Running running(dir_, Args());
    const absl::Time until = absl::Now() + absl::Milliseconds(ms);
    while (!running.ended() && absl::Now() < until) absl::SleepFor(absl::Milliseconds(1));
    if (!running.ended()) running.Signal(SIGKILL);  // it may end by itself in between
    const Ran ran = running.Wait();
    if (ran.exit_code == 0) break;
    ASSERT_EQ(ran.exit_code, 128 + SIGKILL) << ran.err;
    ++killed;
    Contents both = ReadFile(Path("pods.db"));
    if (IsDatabase(Path("other.db"))) both.merge(ReadFile(Path("other.db")));
    ASSERT_EQ(both, before) << "after " << ms << " ms";
  }
  EXPECT_GT(killed, 0);
  EXPECT_EQ(ReadFile(Path("other.db")), before);
  EXPECT_EQ(ReadFile(Path("pods.db")), Contents());
  UseNew();
  auto engine = OpenEngine();
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_EQ(ReadEngine(engine->get()).size(), 3001u);
}

TEST_F(StgctlMigrate, ARunningServerIsNamed) {
  Fill(2);
  auto engine = OpenEngine();
  ASSERT_TRUE(engine.ok()) << engine.status();
  const Ran ran = Run(Args());
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err,
              AllOf(HasSubstr("is written by another process: pid " + std::to_string(getpid())),
                    HasSubstr("stop it")));
}

// The bulk is copied beside a server that writes, by runs that are killed; then it stops.
TEST_F(StgctlMigrate, AheadUnderLoadWithKill9) {
  Fill(3000);
  auto engine = OpenEngine();
  ASSERT_TRUE(engine.ok()) << engine.status();
  std::atomic<bool> stop = false;
  std::atomic<int> written = 0;
  std::thread writer([&] {
    for (int i = 0; !stop; ++i, ++written) {
      const std::string pod = "/registry/pods/default/";
      MustPut(engine->get(), pod + "p" + std::to_string(i % 3000), "changed");
      MustPut(engine->get(), pod + "new" + std::to_string(i), "new");
      const std::string gone = pod + "new" + std::to_string(i - 5);
      WriteKey(engine->get(), gone, nullptr);
    }
  });
  const std::vector<std::string> args = Args({"--ahead", "--progress"});
  int killed = 0;
  Ran ran;
  for (int ms = 5;; ms += std::max(15, ms / 2)) {
    Running running(dir_, args);
    const absl::Time until = absl::Now() + absl::Milliseconds(ms);
    while (!running.ended() && absl::Now() < until) absl::SleepFor(absl::Milliseconds(1));
    if (running.ended()) {
      ran = running.Wait();
      break;
    }
    running.Signal(SIGKILL);
    ran = running.Wait();
    if (ran.exit_code != 128 + SIGKILL) break;  // it came to its end before
    ++killed;
  }
  EXPECT_GT(killed, 0);
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("pass 1: "), HasSubstr(" replaced, "),
                             HasSubstr("Now stop every API server, run `stgctl migrate`")));
  EXPECT_THAT(ran.err, HasSubstr("pass 1: comparing "));
  // It follows until it is told to stop, which is no failure.
  const int64_t epoch = EpochOf(Path("other.db"));
  Running following(dir_, Args({"--ahead", "--follow", "-o", "json"}));
  while (!following.ended() && EpochOf(Path("other.db")) == epoch) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  for (const int until = written + 20; written < until;) absl::SleepFor(absl::Milliseconds(1));
  stop = true;
  writer.join();
  following.Signal(SIGINT);
  ran = following.Wait();
  EXPECT_TRUE(ran.exit_code == 0 || ran.err.find("--ahead` again") != std::string::npos) << ran.err;
  ASSERT_TRUE((*engine)->Close().ok());
  engine->reset();
  const Contents before = ReadFile(Path("pods.db"));
  UseNew();
  EXPECT_THAT(OpenEngine().status().message(), HasSubstr("`stgctl migrate`"));
  ran = Run(Args());
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ReadFile(Path("other.db")), before);
  EXPECT_EQ(ReadFile(Path("pods.db")), Contents());
  engine = OpenEngine();
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_EQ(ReadEngine(engine->get()).size(), before.size() + 1);
}

TEST_F(StgctlMigrate, AheadTellsWhatItDidAndWhatIsLeft) {
  Fill(20);
  Write("both.yaml",
        "backends:\n"
        "- {name: pods, endpoint: 'sqlite://" +
            Path("other.db") +
            "', prefix: {prefix: pods}}\n"
            "- {name: system, endpoint: 'sqlite://" +
            Path("system.db") + "', prefix: {prefix: nothing}}\n");
  auto args = Args({"--ahead"});
  args[1] = Path("both.yaml");
  Ran ran = Run(args);
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out,
              AllOf(HasSubstr("pass 1: 20 copied, 0 replaced, 0 removed, of 20 objects, in "),
                    HasSubstr("Left to the migration: 1 objects of /registry/secrets/ to the "
                              "default database"),
                    HasSubstr("The last pass found 20 changes")));
  args.insert(args.end(), {"-o", "json"});
  ran = Run(args);
  const nlohmann::json json = nlohmann::json::parse(ran.out, nullptr, false);
  EXPECT_EQ(json.value("result", ""), "copied ahead") << ran.out;
  EXPECT_EQ(json["passes"][0]["copied"], 0);
  EXPECT_EQ(json["passes"][0]["objects"], 20);
  EXPECT_EQ(json["moves"].size(), 2u);
  EXPECT_NE(json["moves"][0]["ahead"], json["moves"][1]["ahead"]);
  ran = Run(Args({"--ahead", "--abort"}));
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.out, "The copies that were made ahead are removed.\n");
  EXPECT_EQ(ReadFile(Path("other.db")), Contents());
  EXPECT_EQ(Run(Args({"--follow"})).exit_code, 2);
}

}  // namespace
}  // namespace storage
