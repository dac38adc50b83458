// Copies of running files, and copies taken back to a revision.
#include <fstream>
#include <thread>

#include "src/backend/sqlite/backup.h"
#include "tests/contract/sqlite_files.h"

namespace storage::contract {
namespace {

class SqliteBackupTest : public SqliteFileTest {
 protected:
  std::string Path(const std::string& file) { return dir_.path() + "/" + file; }
  Lines RowsOf(const std::string& file, int64_t rev = 0) {
    SqliteOptions options = Options(file);
    options.read_only = true;
    return List((*MustOpen(options)->OpenSnapshot()).get(), All(), rev);
  }
};

TEST_F(SqliteBackupTest, ACopyOfARunningFile) {
  auto backend = MustOpen();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  std::vector<Op> ops;
  for (int i = 0; i < 3000; ++i) {
    ops.push_back(Create("/a/" + std::to_string(i), std::string(3000, 'x')));
  }
  ASSERT_OK(Write(backend.get(), ops));
  const Lines rows = List((*backend->OpenSnapshot()).get(), All());
  int64_t last_done = -1;
  int writes = 0;
  ASSERT_OK(BackupSqlite(Options().path, Path("copy.db"), [&](int64_t done, int64_t total) {
    EXPECT_GT(done, last_done);
    EXPECT_LE(done, total);
    last_done = done;
    // The server goes on meanwhile.
    EXPECT_OK(Write(backend.get(), {Create("/b/" + std::to_string(writes++), "later")}));
    return true;
  }));
  EXPECT_GT(writes, 2);
  EXPECT_EQ(RowsOf("copy.db"), rows);
  EXPECT_EQ((*SqliteRevisions(Path("copy.db"))).head, 3000);
  EXPECT_EQ(MustOpen(Options("copy.db"))->identity(), backend->identity());
}

TEST_F(SqliteBackupTest, ACopyOfTheMetadata) {
  auto store = OpenSqliteMetadata(Options("m.db"));
  ASSERT_TRUE(store.ok());
  ASSERT_OK((*store)->Start().status());
  ASSERT_OK(BackupSqlite(Path("m.db"), Path("copy.db"), nullptr));
  EXPECT_EQ((*OpenSqliteMetadata(Options("copy.db")))->found().epoch, 1);
}

TEST_F(SqliteBackupTest, WhatCannotBeCopied) {
  MakeDatabase();
  std::ofstream(Path("there.db")) << "precious";
  EXPECT_CODE(BackupSqlite(Options().path, Path("there.db"), nullptr), kInvalid);
  EXPECT_CODE(BackupSqlite(Options().path, Path("none/copy.db") + "/x/", nullptr), kInvalid);
  EXPECT_FALSE(BackupSqlite(Path("missing.db"), Path("copy.db"), nullptr).ok());
  Sql(Path("kine.db"), "CREATE TABLE kine(id INTEGER PRIMARY KEY)");
  EXPECT_CODE(BackupSqlite(Path("kine.db"), Path("copy.db"), nullptr), kInvalid);
  EXPECT_CODE(BackupSqlite(Options().path, Path("copy.db"), [](int64_t, int64_t) { return false; }),
              kOk);  // one step was enough: it was complete before it was stopped
  EXPECT_FALSE(std::filesystem::exists(Path("copy.db.partial")));
}

TEST_F(SqliteBackupTest, AStoppedCopyLeavesNothing) {
  {
    auto backend = MustOpen();
    ASSERT_OK(Adopt(backend.get(), Us(), 0));
    std::vector<Op> ops;
    for (int i = 0; i < 3000; ++i) {
      ops.push_back(Create("/a/" + std::to_string(i), std::string(3000, 'x')));
    }
    ASSERT_OK(Write(backend.get(), ops));
  }
  EXPECT_CODE(BackupSqlite(Options().path, Path("copy.db"), [](int64_t, int64_t) { return false; }),
              kCancelled);
  EXPECT_FALSE(std::filesystem::exists(Path("copy.db")));
  EXPECT_FALSE(std::filesystem::exists(Path("copy.db.partial")));
}

TEST_F(SqliteBackupTest, RewindShowsAnEarlierRevision) {
  std::vector<Lines> by_revision = {{}};
  std::vector<std::string> stats;
  {
    auto backend = MustOpen();
    ASSERT_OK(Adopt(backend.get(), Us(), 0));
    const std::vector<Op> ops = {Create("/a/1", "one"), Create("/b/1", "b"), Update("/a/1", "uno"),
                                 Delete("/b/1"),        Create("/b/1", "c"), Update("/a/1", "1"),
                                 Delete("/a/1"),        Update("/b/1", "d")};
    for (const Op& op : ops) {
      ASSERT_OK(Write(backend.get(), {op}));
      by_revision.push_back(List((*backend->OpenSnapshot()).get(), All()));
      stats.push_back(Print(*backend->Stats()));
    }
    ASSERT_OK(RaiseFloor(backend.get(), 2));
    EXPECT_CODE(RewindSqlite(Options().path, 5), kBusy);
  }
  for (int64_t rev = 8; rev >= 2; --rev) {
    const std::string copy = "copy" + std::to_string(rev) + ".db";
    ASSERT_OK(BackupSqlite(Options().path, Path(copy), nullptr));
    ASSERT_OK(RewindSqlite(Path(copy), rev));
    EXPECT_FALSE(std::filesystem::exists(Path(copy) + "-wal"));
    EXPECT_EQ(RowsOf(copy), by_revision[static_cast<size_t>(rev)]);
    for (int64_t older = 2; older <= rev; ++older) {
      EXPECT_EQ(RowsOf(copy, older), by_revision[static_cast<size_t>(older)]);
    }
    const auto span = *SqliteRevisions(Path(copy));
    EXPECT_EQ(span.head, rev);
    EXPECT_EQ(span.floor, 2);
    auto backend = MustOpen(Options(copy));
    std::string expected = stats[static_cast<size_t>(rev) - 1];
    expected.replace(expected.find("debt 0"), 6, "debt 2");
    EXPECT_EQ(Print(*backend->Stats()), expected);
    ASSERT_OK(Write(backend.get(), {Create("/c/1", "goes on")}));
    EXPECT_EQ((*backend->Stats()).history_rows, rev + 1);
  }
  EXPECT_CODE(RewindSqlite(Options().path, 1), kInvalid);
  EXPECT_CODE(RewindSqlite(Options().path, 9), kInvalid);
}

}  // namespace
}  // namespace storage::contract
