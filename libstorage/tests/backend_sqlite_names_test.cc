// One writer per file, whatever it is called: links, locks of other programs,
// names and logs that go away under a running server.
#include <unistd.h>

#include <filesystem>

#include "src/backend/sqlite/lock.h"
#include "src/backend/sqlite/sqlite_backend.h"
#include "tests/contract/sqlite_files.h"

namespace storage::contract {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

class SqliteNamesTest : public SqliteFileTest {};

TEST_F(SqliteNamesTest, ASymbolicLinkIsNoSecondFile) {
  auto first = MustOpen();
  fs::create_symlink("objects.db", Options("link.db").path);
  const absl::Status second = OpenStatus(Options("link.db"));
  EXPECT_CODE(second, kBusy);
  EXPECT_THAT(Message(second), AllOf(HasSubstr("link.db is written by another process: pid "),
                                     HasSubstr("stop it")));
  first.reset();
  first = MustOpen(Options("link.db"));  // a link alone is fine
  ASSERT_NE(first, nullptr);
  EXPECT_CODE(OpenStatus(Options()), kBusy);
  EXPECT_OK(first->Ping());
}

TEST_F(SqliteNamesTest, AHardLinkIsRefused) {
  MakeDatabase();
  fs::create_hard_link(Options().path, Options("other.db").path);
  const absl::Status status = OpenStatus(Options());
  EXPECT_CODE(status, kInvalid);
  EXPECT_THAT(Message(status),
              AllOf(HasSubstr("objects.db has 2 names (hard links)"), HasSubstr("keep one name")));
  fs::remove(Options("other.db").path);
  EXPECT_NE(MustOpen(), nullptr);
}

TEST_F(SqliteNamesTest, ALinkToNothingIsRefusedAndMakesNothing) {
  fs::create_symlink(dir_.path() + "/target.db", Options().path);
  const absl::Status status = OpenStatus(Options());
  EXPECT_CODE(status, kInvalid);
  EXPECT_THAT(Message(status),
              AllOf(HasSubstr("objects.db is a symbolic link to a file that is not there"),
                    HasSubstr("mount its disk, correct the link, or remove it")));
  EXPECT_FALSE(fs::exists(dir_.path() + "/target.db"));
}

// The sqlite3 shell takes none of our locks, only SQLite's.
TEST_F(SqliteNamesTest, ALockOfAnotherProgramIsReported) {
  MakeDatabase();
  sqlite3* shell = nullptr;
  ASSERT_EQ(sqlite3_open(Options().path.c_str(), &shell), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(shell, "BEGIN EXCLUSIVE", nullptr, nullptr, nullptr), SQLITE_OK);
  SqliteOptions options = Options();
  options.options = {{"_busy_timeout", "10"}};
  auto backend = MustOpen(options);
  ASSERT_NE(backend, nullptr);
  const absl::Status status = Adopt(backend.get(), Us(), 0);
  EXPECT_CODE(status, kBusy);
  EXPECT_THAT(Message(status),
              AllOf(HasSubstr("objects.db: database is locked"),
                    HasSubstr("another program holds the file; close it or wait")));
  sqlite3_close(shell);
  EXPECT_OK(Adopt(backend.get(), Us(), 0));
}

// SQLite would write on into a file without a name, which a crash would lose.
TEST_F(SqliteNamesTest, ARemovedLogStopsWritesAndACleanEndSavesIt) {
  {
    auto backend = MustOpen();
    ASSERT_OK(Adopt(backend.get(), Us(), 0));
    ASSERT_OK(Write(backend.get(), {Create("/a/1", "one")}));
    EXPECT_OK(backend->Ping());
    fs::remove(Options().path + "-wal");
    const absl::Status status = backend->Ping();
    EXPECT_CODE(status, kUnavailable);
    EXPECT_THAT(Message(status), AllOf(HasSubstr("objects.db-wal was removed or replaced"),
                                       HasSubstr("stop the server with SIGTERM")));
    EXPECT_CODE(Write(backend.get(), {Create("/a/2", "two")}), kUnavailable);
  }
  auto backend = MustOpen();
  EXPECT_OK(backend->Ping());
  EXPECT_THAT(List((*backend->OpenSnapshot()).get(), All()),
              ElementsAre("/a/1=one mod 1 create 1"));
}

// A file that was emptied is taken for a new one; that it had objects is known
// to the metadata store (Restart.AnEmptiedOrRemovedFileIsRefused).
TEST_F(SqliteNamesTest, AnEmptiedFileIsANewDatabase) {
  MakeDatabase();
  const std::string before = MustOpen()->identity();
  fs::resize_file(Options().path, 0);
  SqliteOptions read_only = Options();
  read_only.read_only = true;
  const absl::Status status = OpenStatus(read_only);
  EXPECT_CODE(status, kInvalid);
  EXPECT_THAT(Message(status), HasSubstr("objects.db is empty: no server has used it yet"));
  EXPECT_NE(MustOpen()->identity(), before);
}

}  // namespace
}  // namespace storage::contract
