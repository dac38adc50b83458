// A run ahead that ends at any step, by an error or by a kill, and a migration behind one
// that does: what is taken up is exact.
#include <unistd.h>

#include "tests/engine/ahead.h"

namespace storage {
namespace {

class AheadStepsTest : public AheadTest {
 protected:
  void SetUp() override {
    AheadTest::SetUp();
    saved_ = absl::StrCat(dir_, "-saved");
  }
  void TearDown() override {
    AheadTest::TearDown();
    fs::remove_all(saved_);
  }
  // A process that is gone at its step number `at`; 0 = it came to its end before.
  static int KilledAt(int at, MigrateOptions options) {
    const pid_t child = ::fork();
    if (child == 0) {
      int calls = 0;
      options.step_for_test = [&]() -> absl::Status {
        if (++calls == at) ::_exit(9);
        return absl::OkStatus();
      };
      ::_exit(Migrate(std::move(options)).ok() ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  static MigrateOptions FailingAt(int at, int* calls, MigrateOptions options) {
    options.step_for_test = [at, calls]() -> absl::Status {
      return ++*calls == at ? MakeStatus(Code::kUnavailable, "injected") : absl::OkStatus();
    };
    return options;
  }

  std::string saved_;
};

// The server goes on writing, then the run ahead is done again, or not.
TEST_F(AheadStepsTest, ARunAheadEndsAnywhere) {
  FillAll();
  ASSERT_TRUE(Migrate(AheadOptions()).ok());
  WriteAsServer(1);  // so that a run has all to do: copy, replace, discard
  CopyFiles(dir_, saved_);
  int kills = 0;
  for (int at = 1;; at += kFaultStride) {
    CopyFiles(saved_, dir_);
    const int ended = KilledAt(at, AheadOptions());
    if (ended == 0) break;
    ASSERT_EQ(ended, 9) << at;
    ++kills;
    WriteAsServer(2);
    if (at % 2 == 0) {
      int calls = 0;
      const absl::Status status = Migrate(FailingAt(at / 2, &calls, AheadOptions()));
      EXPECT_TRUE(status.ok() || CodeOf(status) == Code::kUnavailable) << at << ": " << status;
      WriteAsServer(3);
    }
    if (at % 3 == 0) {
      const absl::Status status = Migrate(AheadOptions());
      EXPECT_TRUE(status.ok()) << at << ": " << status;
    }
    const Contents before = Served();
    if (at % 5 == 0) {
      ASSERT_TRUE(Abort(AheadOptions()).ok()) << at;
      EXPECT_EQ(All(), before);
    }
    const absl::Status moved = Migrate(Options());
    EXPECT_TRUE(moved.ok()) << at << ": " << moved;
    ExpectMoved(before);
    if (HasFailure()) FAIL() << "after a kill at step " << at;
  }
  EXPECT_GT(kills * kFaultStride, 20);
}

// Neither topology is good for a server while it is not over, and no copy is believed.
TEST_F(AheadStepsTest, AMigrationBehindOneEndsAnywhere) {
  FillAll();
  ASSERT_TRUE(Migrate(AheadOptions()).ok());
  WriteAsServer(1);
  const Contents before = Served();
  CopyFiles(dir_, saved_);
  int kills = 0, refused = 0;
  for (int at = 1;; at += kFaultStride) {
    CopyFiles(saved_, dir_);
    const int ended = KilledAt(at, Options());
    if (ended == 0) break;
    ASSERT_EQ(ended, 9) << at;
    ++kills;
    topology_ = new_;
    const bool over = Open().ok();
    topology_ = old_;
    const absl::Status status = over ? absl::OkStatus() : Open().status();
    if (!over && !status.ok()) {
      EXPECT_THAT(Message(status), HasSubstr("stgctl migrate")) << at;
      ++refused;
    }
    if (!over) {
      const int again = KilledAt(at / 2 + 1, Options());
      ASSERT_TRUE(again == 9 || again == 0) << at << ": " << again;
    }
    const absl::Status moved = Migrate(Options());
    EXPECT_TRUE(moved.ok()) << at << ": " << moved;
    ExpectMoved(before);
    if (HasFailure()) FAIL() << "after a kill at step " << at;
  }
  EXPECT_GT(kills * kFaultStride, 50);
  EXPECT_GT(refused * kFaultStride, 30);
}

// The way back, from every step that has one.
TEST_F(AheadStepsTest, AMigrationBehindOneIsGivenUpAnywhere) {
  FillAll();
  ASSERT_TRUE(Migrate(AheadOptions()).ok());
  WriteAsServer(1);
  const Contents before = Served();
  CopyFiles(dir_, saved_);
  int aborts = 0;
  for (int at = 1;; at += kFaultStride) {
    CopyFiles(saved_, dir_);
    if (KilledAt(at, Options()) == 0) break;
    // It is killed as well, once.
    const pid_t child = ::fork();
    if (child == 0) {
      int calls = 0;
      MigrateOptions options = Options();
      options.step_for_test = [&]() -> absl::Status {
        if (++calls == 1 + at % 20) ::_exit(9);
        return absl::OkStatus();
      };
      ::_exit(Abort(std::move(options)).ok() ? 0 : 1);
    }
    int ended = 0;
    ASSERT_EQ(::waitpid(child, &ended, 0), child);
    const absl::Status status = WEXITSTATUS(ended) == 0 ? absl::OkStatus() : Abort(Options());
    // Behind the last step of either there is nothing left to do.
    const bool idle = Message(status).find("nothing to abort") != std::string::npos;
    if (!status.ok() && !idle) {
      EXPECT_THAT(Message(status), HasSubstr("without --abort")) << at;
      ASSERT_TRUE(Migrate(Options()).ok());
    }
    if (ContentsOf("a.db").empty()) {
      ExpectMoved(before);
      continue;
    }
    ++aborts;
    EXPECT_EQ(All(), before) << at;
    topology_ = old_;
    auto engine = Open();
    ASSERT_TRUE(engine.ok()) << at << ": " << engine.status();
    engine->reset();
    if (HasFailure()) FAIL() << "after a kill at step " << at;
  }
  EXPECT_GT(aborts * kFaultStride, 30);
}

}  // namespace
}  // namespace storage
