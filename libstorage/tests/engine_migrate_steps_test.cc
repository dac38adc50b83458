// A migration that ends at any step, by an error or by a kill, is taken up rightly by
// the next one.
#include "tests/engine/migrate.h"

namespace storage {
namespace {

class MigrateStepsTest : public MigrateTest {};

// Ends at the Nth of all durable steps, before it or after it; is run again.
TEST_F(MigrateStepsTest, AnErrorAtAnyStepIsTakenUp) {
  FillAll();
  const Contents before = All();
  const std::string saved = absl::StrCat(dir_, "-saved");
  CopyFiles(dir_, saved);
  int steps = 0;
  for (int fail_at = 1;; fail_at += kFaultStride) {
    CopyFiles(saved, dir_);
    int calls = 0;
    MigrateOptions options = Options();
    options.step_for_test = [&]() -> absl::Status {
      return ++calls == fail_at ? MakeStatus(Code::kUnavailable, "injected") : absl::OkStatus();
    };
    const absl::Status status = Migrate(options);
    if (calls < fail_at) {
      EXPECT_TRUE(status.ok()) << status;
      break;
    }
    EXPECT_EQ(CodeOf(status), Code::kUnavailable) << fail_at << ": " << status;
    steps = fail_at;
    const absl::Status again = Migrate(Options());
    EXPECT_TRUE(again.ok()) << fail_at << ": " << again;
    topology_ = new_;
    ExpectMigrated(before);
    if (HasFailure()) FAIL() << "after an end at step " << fail_at;
  }
  fs::remove_all(saved);
  EXPECT_GT(steps, 40);
}

// The same with a process that is gone at once, twice in a row; and an API server is
// started in between, with each of the topologies.
TEST_F(MigrateStepsTest, AKillAtAnyStepIsTakenUp) {
  FillAll();
  const Contents before = All();
  const std::string saved = absl::StrCat(dir_, "-saved");
  CopyFiles(dir_, saved);
  const auto killed_at = [&](int at) {
    const pid_t child = ::fork();
    if (child == 0) {
      int calls = 0;
      MigrateOptions options = Options();
      options.step_for_test = [&]() -> absl::Status {
        if (++calls == at) ::_exit(9);
        return absl::OkStatus();
      };
      ::_exit(Migrate(options).ok() ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  int refused = 0, kills = 0;
  for (int at = 1;; at += kFaultStride) {
    CopyFiles(saved, dir_);
    const int first = killed_at(at);
    if (first == 0) break;
    ASSERT_EQ(first, 9) << at;
    ++kills;
    bool started = false;
    for (const std::string& topology : {new_, old_}) {
      topology_ = topology;
      auto engine = Open();
      if (engine.ok()) {
        // Before anything was announced the topology of before is good, at its end
        // the new one.
        started = true;
        continue;
      }
      EXPECT_EQ(CodeOf(engine.status()), Code::kInvalid) << at << ": " << engine.status();
      EXPECT_THAT(Message(engine.status()), HasSubstr("stgctl migrate")) << at;
      if (Message(engine.status()).find("is not over") != std::string::npos) ++refused;
    }
    if (!started) {
      const int second = killed_at(at / 2 + 1);
      ASSERT_TRUE(second == 9 || second == 0) << at << ": " << second;
    }
    const absl::Status again = Migrate(Options());
    EXPECT_TRUE(again.ok()) << at << ": " << again;
    ExpectMigrated(before);
    if (HasFailure()) FAIL() << "after a kill at step " << at;
  }
  fs::remove_all(saved);
  EXPECT_GT(kills * kFaultStride, 40);
  EXPECT_GT(refused * kFaultStride, 20);
}

}  // namespace
}  // namespace storage
