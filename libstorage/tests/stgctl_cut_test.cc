// The revision of a backup is exact: under load, and with writes that are in
// flight, stuck, or compacted while the copy runs. cut.cc has the argument.
#include <gmock/gmock.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "absl/time/clock.h"
#include "tests/stgctl_set_testing.h"

namespace storage {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

struct Acked {
  int64_t rev = 0;
  std::string key;
  std::string value;  // "" = deleted
};

class StgctlCut : public StgctlSetTest {
 protected:
  // What all files of a backup show together.
  Contents ReadBackup(const std::string& name) {
    Contents out;
    for (const char* file : {"pods.db", "system.db", "default.db"}) {
      for (auto& [key, value] : ReadFile(Path(name) + "/" + file)) {
        EXPECT_TRUE(out.emplace(key, value).second) << key << " is in two files";
      }
    }
    return out;
  }
  static Contents StateAt(const std::vector<Acked>& history, int64_t rev) {
    Contents out;
    for (const Acked& write : history) {
      if (write.rev > rev) break;
      if (write.value.empty()) {
        out.erase(write.key);
      } else {
        out[write.key] = {write.rev, write.value};
      }
    }
    return out;
  }
};

// Writers of all three files never pause; the state of each backup is computed
// from what they were told.
TEST_F(StgctlCut, ExactUnderLoad) {
  auto opened = OpenEngine();
  ASSERT_TRUE(opened.ok()) << opened.status();
  Engine* engine = opened->get();
  std::atomic<bool> stop{false};
  std::vector<std::vector<Acked>> acked(8);
  std::vector<std::thread> writers;
  for (size_t w = 0; w < acked.size(); ++w) {
    writers.emplace_back([&, w] {
      std::mt19937 random(static_cast<unsigned>(w));
      const char* const places[] = {"/registry/pods/default/", "/registry/pods/kube-system/",
                                    "/registry/secrets/default/", "/registry/secrets/kube-system/"};
      for (int n = 0; !stop; ++n) {
        std::string key =
            places[random() % 4] + std::to_string(w) + "-" + std::to_string(random() % 20);
        std::string value = key + "=" + std::to_string(n) + std::string(random() % 300, 'x');
        const bool remove = random() % 4 == 0;
        WriteResult result = WriteKey(engine, key, remove ? nullptr : &value);
        if (result.code != Code::kOk) continue;  // a delete of nothing
        acked[w].push_back({result.revision, key, remove ? "" : value});
      }
    });
  }
  std::vector<nlohmann::json> backups;
  for (int i = 0; i < 6; ++i) {
    Ran ran = Run(WithPlaces({"backup", Path("b" + std::to_string(i)), "-o", "json"}));
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    if (ran.exit_code == 0) backups.push_back(nlohmann::json::parse(ran.out));
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
  ASSERT_TRUE(engine->Close().ok());
  std::vector<Acked> history;
  for (const auto& part : acked) history.insert(history.end(), part.begin(), part.end());
  std::sort(history.begin(), history.end(),
            [](const Acked& a, const Acked& b) { return a.rev < b.rev; });
  int64_t last = 0, taken_back = 0;
  for (size_t i = 0; i < backups.size(); ++i) {
    const int64_t rev = backups[i]["revision"];
    EXPECT_GT(rev, last);
    last = rev;
    EXPECT_EQ(ReadBackup("b" + std::to_string(i)), StateAt(history, rev)) << "revision " << rev;
    for (const nlohmann::json& file : backups[i]["databases"]) {
      taken_back += file["copiedHead"].get<int64_t>() > rev ? 1 : 0;
    }
  }
  // Otherwise this test proves nothing.
  EXPECT_GT(taken_back, 0);
  EXPECT_LT(last, history.back().rev);
}

// Two databases without an engine, so that a write can be held in the middle.
class StgctlCutInFlight : public StgctlTest {
 protected:
  void SetUp() override {
    StgctlTest::SetUp();
    Write("topology.yaml", "backends:\n- {name: a, endpoint: 'sqlite://" + Path("a.db") +
                               "', prefix: {prefix: a}}\n");
    a_ = Open("a");
    b_ = Open("default");
  }
  void TearDown() override {
    a_.reset();
    b_.reset();
    StgctlTest::TearDown();
  }
  std::unique_ptr<Backend> Open(const std::string& name) {
    SqliteOptions options;
    options.name = name;
    options.path = Path(name + ".db");
    auto backend = OpenSqliteBackend(options);
    EXPECT_TRUE(backend.ok()) << backend.status();
    auto txn = (*backend)->BeginLane();
    EXPECT_TRUE((*txn)->Adopt(owner_, 0).ok());
    EXPECT_TRUE((*txn)->Commit().ok());
    return *std::move(backend);
  }
  // A lane transaction with everything done but COMMIT.
  std::unique_ptr<LaneTxn> Prepare(Backend* backend, const std::string& key, int64_t rev) {
    auto txn = backend->BeginLane();
    EXPECT_TRUE(txn.ok()) << txn.status();
    Mutation mutation;
    mutation.collection = "/registry/x/";
    mutation.key = key;
    mutation.value = "value";
    mutation.rev = rev;
    EXPECT_TRUE((*txn)->Apply({&mutation, 1}, rev).ok());
    EXPECT_TRUE((*txn)->Guard(owner_, rev, rev).ok());
    return *std::move(txn);
  }
  void Commit(Backend* backend, const std::string& key, int64_t rev) {
    EXPECT_TRUE(Prepare(backend, key, rev)->Commit().ok());
  }
  std::unique_ptr<Running> StartBackup(std::vector<std::string> more = {}) {
    std::vector<std::string> args = {"backup",     Path("copy"),
                                     "--topology", Path("topology.yaml"),
                                     "--default",  "sqlite://" + Path("default.db"),
                                     "-o",         "json"};
    args.insert(args.end(), more.begin(), more.end());
    return std::make_unique<Running>(dir_, args);
  }
  // A backup that has chosen its revision and waits for the writer of a.
  std::unique_ptr<Running> StartBackupThatWaits() {
    auto backup = StartBackup({"--progress"});
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (backup->err_so_far() != "waiting for a write transaction in a\n") {
      EXPECT_FALSE(backup->ended()) << backup->err_so_far();
      EXPECT_LT(absl::Now(), deadline) << backup->err_so_far();
      if (HasFailure()) break;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return backup;
  }
  int64_t Objects(const std::string& name) {
    SqliteOptions options;
    options.path = Path("copy/" + name + ".db");
    options.read_only = true;
    auto backend = OpenSqliteBackend(options);
    EXPECT_TRUE(backend.ok()) << backend.status();
    return *(*(*backend)->OpenSnapshot())->Count({"", ""}, 0);
  }

  LaneOwner owner_{"m", 1, 1};
  std::unique_ptr<Backend> a_, b_;
};

// Number 5 was taken and is in flight while 6 is committed elsewhere: a copy
// at 6 without 5 would be a state that never was.
TEST_F(StgctlCutInFlight, WaitsForALowerNumber) {
  auto five = Prepare(a_.get(), "/registry/x/five", 5);
  Commit(b_.get(), "/registry/x/six", 6);
  auto backup = StartBackupThatWaits();
  // Above the cut, before the copy: taken back.
  Commit(b_.get(), "/registry/x/seven", 7);
  EXPECT_TRUE(five->Commit().ok());
  five.reset();
  Ran ran = backup->Wait();
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  nlohmann::json manifest = nlohmann::json::parse(ran.out);
  EXPECT_EQ(manifest["revision"], 6);
  EXPECT_EQ(manifest["databases"][0]["copiedHead"], 5);
  EXPECT_EQ(manifest["databases"][1]["copiedHead"], 7);
  EXPECT_EQ(Objects("a"), 1);
  EXPECT_EQ(Objects("default"), 1);
}

TEST_F(StgctlCutInFlight, ARolledBackNumberIsNotWaitedFor) {
  auto five = Prepare(a_.get(), "/registry/x/five", 5);
  Commit(b_.get(), "/registry/x/six", 6);
  auto backup = StartBackupThatWaits();
  five.reset();
  Ran ran = backup->Wait();
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(Objects("a"), 0);
}

// A quiet database stays at its old head; it does not hold the others back.
TEST_F(StgctlCutInFlight, AQuietDatabaseNeedsNoWaiting) {
  Commit(a_.get(), "/registry/x/one", 1);
  for (int64_t rev = 2; rev < 50; ++rev) {
    Commit(b_.get(), "/registry/x/" + std::to_string(rev), rev);
  }
  Ran ran = StartBackup()->Wait();
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(nlohmann::json::parse(ran.out)["revision"], 49);
  EXPECT_EQ(Objects("a"), 1);
  EXPECT_EQ(Objects("default"), 48);
}

TEST_F(StgctlCutInFlight, AStuckWriterIsSaid) {
  auto five = Prepare(a_.get(), "/registry/x/five", 5);
  Commit(b_.get(), "/registry/x/six", 6);
  Ran ran = StartBackup({"--wait", "1"})->Wait();
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.err, "error: database \"a\": a write transaction in " + Path("a.db") +
                         " does not end, so no revision is complete: the disk or the process that "
                         "writes it hangs. Look at them, or wait longer with --wait\n");
  EXPECT_FALSE(std::filesystem::exists(Path("copy")));
}

TEST_F(StgctlCutInFlight, HistoryThatWentMeanwhileIsSaid) {
  auto five = Prepare(a_.get(), "/registry/x/five", 5);
  Commit(b_.get(), "/registry/x/six", 6);
  auto backup = StartBackupThatWaits();
  Commit(b_.get(), "/registry/x/eight", 8);
  {
    auto txn = b_->BeginLane();
    EXPECT_TRUE((*txn)->RaiseFloor(owner_, 8).ok());
    EXPECT_TRUE((*txn)->Commit().ok());
  }
  five.reset();
  Ran ran = backup->Wait();
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, HasSubstr("\nerror: database \"default\": its history begins at revision 8 "
                                 "now, above the backup's revision 6: it was compacted"));
  EXPECT_FALSE(std::filesystem::exists(Path("copy")));
}

TEST_F(StgctlCutInFlight, CtrlCCleansUp) {
  auto five = Prepare(a_.get(), "/registry/x/five", 5);
  Commit(b_.get(), "/registry/x/six", 6);
  auto backup = StartBackupThatWaits();
  backup->Signal(SIGINT);
  Ran ran = backup->Wait();
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, EndsWith("\nerror: stopped\n"));
  EXPECT_FALSE(std::filesystem::exists(Path("copy")));
}

}  // namespace
}  // namespace storage
