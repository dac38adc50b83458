// The size of files: the write-ahead log, free pages, a full disk.
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "src/backend/sqlite/ballast.h"
#include "src/backend/sqlite/sqlite_backend.h"
#include "tests/contract/sqlite_files.h"

namespace storage::contract {
namespace {

using testing::HasSubstr;

constexpr int64_t kMiB = 1 << 20;

class SqliteSpaceTest : public SqliteFileTest {
 protected:
  int64_t FileSize(const std::string& suffix) {
    struct stat info {};
    return stat((Options().path + suffix).c_str(), &info) == 0 ? info.st_size : -1;
  }
  // count objects of size bytes, in batches of 64.
  absl::Status Fill(Backend* backend, const std::string& prefix, int count, size_t size) {
    const std::string value(size, 'v');
    for (int begin = 0; begin < count; begin += 64) {
      std::vector<Op> ops;
      for (int i = begin; i < std::min(begin + 64, count); ++i) {
        ops.push_back(storage::contract::Create(prefix + std::to_string(i), value));
      }
      const absl::Status status = Write(backend, ops);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  static void MaintainAll(Backend* backend) {
    for (int steps = 0; steps < 100000; ++steps) {
      const auto more = backend->Maintain(true);
      ASSERT_TRUE(more.ok()) << more.status();
      if (!*more) return;
    }
    FAIL() << "Maintain never ends";
  }
};

TEST_F(SqliteSpaceTest, TheLogIsGrownWhenIdleAndDoesNotGrowForEver) {
  auto backend = MustOpen();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  MaintainAll(backend.get());
  EXPECT_GE(FileSize("-wal"), 16 * kMiB);
  EXPECT_LT(FileSize("-wal"), 18 * kMiB);
  // Nobody calls Maintain: Commit itself keeps the log short.
  ASSERT_OK(Fill(backend.get(), "/a/", 4000, 20000));
  EXPECT_GT(FileSize(""), 40 * kMiB);
  EXPECT_LT(FileSize("-wal"), 40 * kMiB);
  EXPECT_EQ(Count((*backend->OpenSnapshot()).get(), All()), "4000");
}

// A lane that is never idle: the log is copied beside it and starts over.
TEST_F(SqliteSpaceTest, UnderLoadTheLogIsCopiedAndStartsOver) {
  auto backend = MustOpen();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  const std::string value(60000, 'v');
  ASSERT_OK(Write(backend.get(), {storage::contract::Create("/a/1", value)}));
  int64_t written = 0;
  int times = 0;
  for (int64_t before = 0; times < 3 && written < 2000 * kMiB; written += 60000) {
    ASSERT_OK(Write(backend.get(), {Update("/a/1", value)}));
    ASSERT_OK(backend->Maintain(false).status());
    // The database gets longer only when the log is copied.
    const int64_t now = FileSize("");
    if (now > before + 4 * kMiB) {
      before = now;
      ++times;
    }
    ASSERT_LT(FileSize("-wal"), 66 * kMiB);
  }
  EXPECT_EQ(times, 3) << written;
  EXPECT_LT(written, 400 * kMiB) << "the log is copied soon";
  backend = nullptr;
  backend = MustOpen();
  EXPECT_EQ(List((*backend->OpenSnapshot()).get(), All()).size(), 1u);
}

TEST_F(SqliteSpaceTest, ASnapshotHoldsTheLogOnlyWhileItLives) {
  auto backend = MustOpen();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  ASSERT_OK(Fill(backend.get(), "/a/", 64, 100));
  {
    auto snapshot = *backend->OpenSnapshot();
    ASSERT_OK(Fill(backend.get(), "/b/", 4000, 20000));
    EXPECT_EQ(Count(snapshot.get(), All()), "64");
    EXPECT_GT(FileSize("-wal"), 60 * kMiB);
  }
  MaintainAll(backend.get());
  ASSERT_OK(Fill(backend.get(), "/c/", 64, 1000));
  EXPECT_LE(FileSize("-wal"), 40 * kMiB) << "starts over and is cut";
  EXPECT_EQ(Count((*backend->OpenSnapshot()).get(), All()), "4128");
}

TEST_F(SqliteSpaceTest, FreePagesGoBackToTheFileSystem) {
  auto backend = MustOpen();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  ASSERT_OK(Fill(backend.get(), "/a/", 3000, 20000));
  std::vector<Op> ops;
  for (int i = 1; i < 3000; ++i) ops.push_back(Delete("/a/" + std::to_string(i)));
  ASSERT_OK(Write(backend.get(), ops));
  MaintainAll(backend.get());
  const int64_t before = FileSize("");
  EXPECT_GT(before, 55 * kMiB);
  ASSERT_OK(RaiseFloor(backend.get(), 10000));
  while (*backend->DeleteHistory(100) > 0) {
  }
  EXPECT_GT((*backend->Stats()).free_bytes, 50 * kMiB);
  MaintainAll(backend.get());
  EXPECT_LT(FileSize(""), 12 * kMiB);
  EXPECT_LE((*backend->Stats()).free_bytes, 9 * kMiB);
  EXPECT_EQ(Count((*backend->OpenSnapshot()).get(), All()), "1");
}

TEST_F(SqliteSpaceTest, OneBallastPerFileSystem) {
  sqlite::Ballast::SetBytesForTest(8 * kMiB, 0);
  auto first = MustOpen(Options("one/objects.db"));
  auto second = MustOpen(Options("two/objects.db"));
  struct stat info {};
  ASSERT_EQ(stat((dir_.path() + "/one/.libstorage-ballast").c_str(), &info), 0);
  EXPECT_GE(info.st_blocks * 512, 8 * kMiB);
  EXPECT_NE(stat((dir_.path() + "/two/.libstorage-ballast").c_str(), &info), 0);
  sqlite::Ballast::SetBytesForTest(64 * kMiB, 1000);
}

// The first database's directory goes while a second one, elsewhere, is open.
TEST_F(SqliteSpaceTest, ABallastWhoseDirectoryIsGoneFillsNoDisk) {
  sqlite::Ballast::SetBytesForTest(8 * kMiB, 0);
  auto first = MustOpen(Options("one/objects.db"));
  auto second = MustOpen(Options("two/objects.db"));
  ASSERT_OK(Adopt(second.get(), Us(), 0));
  std::filesystem::remove_all(dir_.path() + "/one");
  EXPECT_OK(Write(second.get(), {storage::contract::Create("/a/1", "x")}));
  auto third = MustOpen(Options("three/objects.db"));
  EXPECT_TRUE(std::filesystem::exists(dir_.path() + "/three/.libstorage-ballast"));
  sqlite::Ballast::SetBytesForTest(64 * kMiB, 1000);
}

TEST_F(SqliteSpaceTest, ASpentBallastRefusesGrowthOnly) {
  sqlite::Ballast::SetBytesForTest(8 * kMiB, 3600 * 1000);
  auto backend = MustOpen();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  ASSERT_OK(Write(backend.get(), {storage::contract::Create("/a/1", "x"),
                                  storage::contract::Create("/a/2", "x")}));
  const sqlite::Site site{"shirts", Options().path, &logger_};
  EXPECT_TRUE(sqlite::Ballast::For(site)->Spend(site));
  EXPECT_FALSE(sqlite::Ballast::For(site)->Spend(site)) << "only once";
  EXPECT_FALSE(std::filesystem::exists(dir_.path() + "/.libstorage-ballast"));
  const absl::Status create = Write(backend.get(), {storage::contract::Create("/a/3", "x")});
  EXPECT_CODE(create, kNoSpace);
  EXPECT_THAT(std::string(create.message()), HasSubstr("until 24 MiB are free"));
  EXPECT_CODE(Write(backend.get(), {Update("/a/1", "y")}), kNoSpace);
  EXPECT_CODE(Write(backend.get(), {Delete("/a/1"), Update("/a/2", "y")}), kNoSpace);
  EXPECT_OK(Write(backend.get(), {Delete("/a/1")}));
  EXPECT_OK(RaiseFloor(backend.get(), 2));
  EXPECT_EQ(*backend->DeleteHistory(10), 2);
  auto txn = *backend->BeginLane();
  EXPECT_OK(txn->Void(Us(), 9));
  EXPECT_OK(txn->Commit());
  txn.reset();
  EXPECT_EQ(List((*backend->OpenSnapshot()).get(), All()).size(), 1u);
  backend.reset();
  sqlite::Ballast::SetBytesForTest(8 * kMiB, 0);
  backend = MustOpen();
  EXPECT_OK(Write(backend.get(), {storage::contract::Create("/a/3", "x")}));
  EXPECT_TRUE(std::filesystem::exists(dir_.path() + "/.libstorage-ballast"));
  sqlite::Ballast::SetBytesForTest(64 * kMiB, 1000);
}

// Mounting without root takes a user namespace of one's own.
bool EnterNamespace() {
  const std::string map = "0 " + std::to_string(geteuid()) + " 1";
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  std::ofstream("/proc/self/setgroups") << "deny";
  std::ofstream("/proc/self/uid_map") << map;
  return true;
}

// A real full disk: a tmpfs of 224 MiB.
class FullDiskTest : public SqliteSpaceTest {
 protected:
  void SetUp() override {
    sqlite::Ballast::SetBytesForTest(64 * kMiB, 0);
    if (geteuid() != 0) EnterNamespace();
    mounted_ = mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, "size=224m") == 0;
    ASSERT_TRUE(mounted_) << "this test mounts a small file system: run it as root, or allow user "
                             "namespaces (sysctl kernel.unprivileged_userns_clone=1)";
  }
  void TearDown() override {
    if (mounted_) umount2(dir_.path().c_str(), MNT_DETACH);
    sqlite::Ballast::SetBytesForTest(64 * kMiB, 1000);
  }
  bool mounted_ = false;
};

TEST_F(FullDiskTest, DeletesGoOnAndWritingResumes) {
  auto backend = MustOpen();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  absl::Status status;
  int filled = 0;
  for (; status.ok() && filled < 300; ++filled) {
    status = Fill(backend.get(), "/a/" + std::to_string(filled) + "/", 64, 20000);
  }
  EXPECT_CODE(status, kNoSpace);
  ASSERT_GT(filled, 10);
  // What was acknowledged is there, and nothing of what was refused.
  const int64_t objects = 64 * (filled - 1);
  EXPECT_EQ(Count((*backend->OpenSnapshot()).get(), All()), std::to_string(objects));
  EXPECT_EQ(List((*backend->OpenSnapshot()).get(), All()).size(), static_cast<size_t>(objects));
  EXPECT_CODE(Write(backend.get(), {storage::contract::Create("/b/1", "x")}), kNoSpace);
  for (int batch = 0; batch < filled - 6; ++batch) {
    std::vector<Op> ops;
    for (int i = 0; i < 64; ++i) {
      ops.push_back(Delete("/a/" + std::to_string(batch) + "/" + std::to_string(i)));
    }
    ASSERT_OK(Write(backend.get(), ops)) << batch;
    ASSERT_OK(RaiseFloor(backend.get(), INT64_MAX));
    for (auto rows = backend->DeleteHistory(100); *rows > 0;) rows = backend->DeleteHistory(100);
    MaintainAll(backend.get());
  }
  EXPECT_OK(Write(backend.get(), {storage::contract::Create("/b/1", "x")}));
  EXPECT_TRUE(std::filesystem::exists(dir_.path() + "/.libstorage-ballast"));
  backend.reset();
  backend = MustOpen();
  EXPECT_EQ(Count((*backend->OpenSnapshot()).get(), All()), std::to_string(64 * 5 + 1));
}

}  // namespace
}  // namespace storage::contract
