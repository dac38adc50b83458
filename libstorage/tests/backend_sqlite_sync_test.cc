// Syncs, and writes that fail at one known place: what they cost and what they
// leave behind.
#include <filesystem>

#include "src/backend/sqlite/ballast.h"
#include "src/backend/sqlite/sqlite_backend.h"
#include "tests/contract/contract_test.h"
#include "tests/contract/fault_vfs.h"

namespace storage::contract {
namespace {

class SqliteSyncTest : public testing::Test {
 protected:
  void SetUp() override {
    sqlite::Ballast::SetBytesForTest(1 << 20, 3600 * 1000);
    options_.name = "sqlite";
    options_.path = dir_.path() + "/objects.db";
    backend_ = *OpenSqliteBackend(options_);
    ASSERT_OK(Adopt(backend_.get(), Us(), 0));
  }
  const TempDir dir_{"/dev/shm"};
  FaultVfs vfs_;
  SqliteOptions options_;
  std::unique_ptr<Backend> backend_;
};

// An acknowledgement is durable, and costs one sync of the log in steady
// state. Housekeeping syncs by itself only when it checkpoints, and what comes
// after it is synced again.
TEST_F(SqliteSyncTest, OneSyncPerCommit) {
  vfs_.plan.kind = FaultKind::kSync;
  ASSERT_OK(Write(backend_.get(), {Create("/a/1", "0")}));
  const auto syncs = [this](const auto& body) {
    const int64_t before = vfs_.plan.calls;
    body();
    return vfs_.plan.calls - before;
  };
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(syncs([&] { ASSERT_OK(Write(backend_.get(), {Update("/a/1", "x")})); }), 1);
    if (i % 10 == 0) {
      ASSERT_OK(RaiseFloor(backend_.get(), i));
      EXPECT_EQ(syncs([&] { EXPECT_TRUE(backend_->DeleteHistory(5).ok()); }), 0);
      EXPECT_EQ(syncs([&] { EXPECT_TRUE(backend_->Maintain(true).ok()); }), 0);
    }
  }
  EXPECT_EQ(syncs([&] { ASSERT_OK(Adopt(backend_.get(), Us(), 0)); }), 1);
  EXPECT_EQ(syncs([&] { ASSERT_OK(RaiseFloor(backend_.get(), 1)); }), 1);
}

// The disk is full in the middle of a commit: the reserve goes, nothing of the
// batch is there, creates wait, deletes go on.
TEST_F(SqliteSyncTest, AFailedWriteSpendsTheBallast) {
  ASSERT_OK(Write(backend_.get(), {Create("/a/1", "0")}));
  ASSERT_TRUE(std::filesystem::exists(dir_.path() + "/.libstorage-ballast"));
  vfs_.plan = FaultPlan{FaultKind::kWriteTorn, 1, false, 0};
  const absl::Status full = Write(backend_.get(), {Create("/a/2", "0")});
  EXPECT_CODE(full, kOutcomeUnknown);
  EXPECT_EQ(CauseOf(full), Code::kNoSpace);
  EXPECT_FALSE(std::filesystem::exists(dir_.path() + "/.libstorage-ballast"));
  EXPECT_CODE(Write(backend_.get(), {Create("/a/2", "0")}), kNoSpace);
  EXPECT_OK(Write(backend_.get(), {Delete("/a/1")}));
  EXPECT_EQ(Count((*backend_->OpenSnapshot()).get(), All()), "0");
  backend_.reset();
  options_.path += ".meta";
  auto store = *OpenSqliteMetadata(options_);
  ASSERT_OK(store->Start().status());
  vfs_.plan = FaultPlan{FaultKind::kWriteFull, 1, false, 0};
  EXPECT_OK(store->Reserve(10, {})) << "tried again when the reserve is gone";
}

// Upkeep need not be durable. When it cannot go back to full durability, the next
// commit does, or is refused.
TEST_F(SqliteSyncTest, RelaxedUpkeepEndsBeforeTheNextCommit) {
  ASSERT_OK(Write(backend_.get(), {Create("/a/1", "0")}));
  ASSERT_OK(Write(backend_.get(), {Update("/a/1", "1")}));
  ASSERT_OK(RaiseFloor(backend_.get(), 2));
  vfs_.plan = FaultPlan{FaultKind::kMemory, 1, false, 0};
  EXPECT_FALSE(backend_->DeleteHistory(5).ok());
  EXPECT_FALSE(Write(backend_.get(), {Update("/a/1", "2")}).ok());
  sqlite3_hard_heap_limit64(0);
  vfs_.plan = FaultPlan{FaultKind::kSync, 0, false, 0};
  ASSERT_OK(Write(backend_.get(), {Update("/a/1", "3")}));
  EXPECT_EQ(vfs_.plan.calls, 1);
}

// What the kernel drops after a failed sync may lie before acknowledged commits:
// none is acknowledged before the database itself holds everything.
TEST_F(SqliteSyncTest, AfterAFailedSyncTheLogStartsOver) {
  ASSERT_OK(Write(backend_.get(), {Create("/a/1", "0"), Create("/a/2", "0")}));
  vfs_.plan = FaultPlan{FaultKind::kSync, 1, false, 0};
  EXPECT_CODE(Write(backend_.get(), {Create("/a/3", "0")}), kOutcomeUnknown);
  ASSERT_OK(Write(backend_.get(), {Update("/a/1", "1")}));
  // The log up to here could be lost.
  SqliteOptions copy = options_;
  copy.path = dir_.path() + "/copy.db";
  std::filesystem::copy_file(options_.path, copy.path);
  auto without_log = *OpenSqliteBackend(copy);
  EXPECT_EQ(Count((*without_log->OpenSnapshot()).get(), All()), "2");
}

}  // namespace
}  // namespace storage::contract
