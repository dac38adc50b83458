// Opening SQLite files: options, locks, files that are not ours or damaged.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "src/backend/sqlite/backup.h"
#include "src/backend/sqlite/lock.h"
#include "src/backend/sqlite/sqlite_backend.h"
#include "tests/contract/sqlite_files.h"

namespace storage::contract {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

class SqliteOpenTest : public SqliteFileTest {};

TEST_F(SqliteOpenTest, OnlyTheWriterWritesAndCheckpoints) {
  auto backend = sqlite::SqliteBackend::Open(Options());
  ASSERT_TRUE(backend.ok()) << backend.status();
  const auto pragmas = (*backend)->PragmasForTest();
  ASSERT_TRUE(pragmas.ok()) << pragmas.status();
  EXPECT_THAT(*pragmas, ElementsAre("query_only=0 wal_autocheckpoint=0 synchronous=2 auto_vacuum=2 "
                                    "page_size=4096 secure_delete=0 ",
                                    "query_only=1 wal_autocheckpoint=0 synchronous=2 auto_vacuum=2 "
                                    "page_size=4096 secure_delete=1 "));
}

TEST_F(SqliteOpenTest, OptionsOfTheGoDriver) {
  SqliteOptions options = Options();
  options.options = {{"_journal", "WAL"},      {"cache", "shared"}, {"_busy_timeout", "30000"},
                     {"_txlock", "immediate"}, {"_sync", "EXTRA"},  {"_secure_delete", "true"},
                     {"_cache_size", "-3000"}, {"mode", "rwc"}};
  auto backend = sqlite::SqliteBackend::Open(options);
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_TRUE((*backend)->durable());
  EXPECT_THAT((*(*backend)->PragmasForTest())[0],
              AllOf(HasSubstr("synchronous=3"), HasSubstr("secure_delete=1")));
  EXPECT_THAT(logger_.messages(),
              Contains("shirts: options without effect here: _txlock=immediate, cache=shared, "
                       "mode=rwc"));
}

TEST_F(SqliteOpenTest, RelaxedSynchronousIsNotDurable) {
  for (const char* level : {"NORMAL", "off", "1", "0"}) {
    SqliteOptions options = Options();
    options.options = {{"_synchronous", level}};
    EXPECT_FALSE(MustOpen(options)->durable()) << level;
  }
  // What a relaxed server wrote may be lost still when the next one is not relaxed:
  // only a start that took the lane ends that.
  EXPECT_FALSE(MustOpen()->durable());
  ASSERT_OK(Adopt(MustOpen().get(), Us(), 0));
  EXPECT_TRUE(MustOpen()->durable());
}

TEST_F(SqliteOpenTest, SecureDeleteOfTheCallerWins) {
  SqliteOptions options = Options();
  options.secure_delete = true;
  options.options = {{"_secure_delete", "false"}};
  auto backend = sqlite::SqliteBackend::Open(options);
  ASSERT_TRUE(backend.ok());
  EXPECT_THAT((*(*backend)->PragmasForTest())[0], HasSubstr("secure_delete=1"));
}

// A file that holds encrypted values overwrites what it deletes, whatever the
// DSN says, and after a restart too.
TEST_F(SqliteOpenTest, EncryptedValuesTurnSecureDeleteOn) {
  SqliteOptions options = Options();
  options.options = {{"_secure_delete", "false"}};
  const auto pragmas = [](sqlite::SqliteBackend* backend) {
    return (*backend->PragmasForTest())[0];
  };
  {
    auto backend = *sqlite::SqliteBackend::Open(options);
    ASSERT_OK(Adopt(backend.get(), Us(), 0));
    ASSERT_OK(Write(backend.get(), {Create("/a/1", "plain")}));
    EXPECT_THAT(pragmas(backend.get()), HasSubstr("secure_delete=0"));
  }
  {
    auto backend = *sqlite::SqliteBackend::Open(options);
    EXPECT_THAT(pragmas(backend.get()), HasSubstr("secure_delete=0"));
    ASSERT_OK(Write(backend.get(), {Update("/a/1", "k8s:enc:aescbc:v1:key1:...")}));
    EXPECT_THAT(pragmas(backend.get()), HasSubstr("secure_delete=1"));
  }
  auto backend = *sqlite::SqliteBackend::Open(options);
  EXPECT_THAT(pragmas(backend.get()), HasSubstr("secure_delete=1"));
}

TEST_F(SqliteOpenTest, RefusedOptionsNameThemselvesAndTheRemedy) {
  const struct {
    const char* name;
    const char* value;
    const char* message;
  } cases[] = {{"_journal_mode", "DELETE", "_journal_mode=DELETE"},
               {"_journal", "MEMORY", "write WAL or remove it"},
               {"mode", "memory", "write rwc"},
               {"mode", "ro", "write rwc"},
               {"immutable", "1", "immutable=1"},
               {"nolock", "1", "nolock=1"},
               {"_locking", "EXCLUSIVE", "write NORMAL"},
               {"_query_only", "true", "_query_only=true"},
               {"_busy_timeout", "soon", "number of milliseconds"},
               {"_busy_timeout", "-1", "number of milliseconds"},
               {"_sync", "SOMETIMES", "OFF, NORMAL, FULL or EXTRA"},
               {"_cache_size", "big", "-16000"},
               {"_secure_delete", "maybe", "ON, OFF or FAST"},
               {"vfs", "unix-none", "vfs=..."},
               {"_fancy", "1", "option _fancy of "}};
  for (const auto& c : cases) {
    SqliteOptions options = Options();
    options.options = {{c.name, c.value}};
    const absl::Status status = OpenStatus(options);
    EXPECT_CODE(status, kInvalid);
    EXPECT_THAT(Message(status), AllOf(HasSubstr(c.message), HasSubstr(options.path)));
  }
  SqliteOptions options = Options();
  for (const char* name : {"_auth_pass", "_key", "_auth_paswd"}) {  // the last: a typing error
    options.options = {{name, "hunter2"}};
    EXPECT_THAT(Message(OpenStatus(options)), AllOf(HasSubstr(name), Not(HasSubstr("hunter2"))));
  }
}

TEST_F(SqliteOpenTest, ASecondOpenerIsToldWhoHoldsTheFile) {
  auto first = MustOpen();
  const absl::Status second = OpenStatus(Options());
  EXPECT_CODE(second, kBusy);
  EXPECT_THAT(Message(second), HasSubstr("pid " + std::to_string(getpid()) + " on host"));
  // The refused opener leaves the lock and its text alone.
  EXPECT_THAT(Message(OpenStatus(Options())), HasSubstr("backend_sqlite_open_test"));
  const pid_t child = fork();
  if (child == 0) {
    SqliteOptions options = Options();
    options.logger = nullptr;
    _exit(CodeOf(OpenSqliteBackend(options).status()) == Code::kBusy ? 0 : 1);
  }
  int result = 0;
  waitpid(child, &result, 0);
  EXPECT_EQ(result, 0);
  first.reset();
  EXPECT_NE(MustOpen(), nullptr);
}

TEST_F(SqliteOpenTest, PasswordsAreNotInTheLockFile) {
  EXPECT_EQ(sqlite::RedactForTest("a --x=multi://postgres://u:p/w@h:5/db?q=1 b"),
            "a --x=multi://postgres://u:***@h:5/db?q=1 b");
  EXPECT_EQ(sqlite::RedactForTest("mysql://root:a@b@tcp(h:1)/d"), "mysql://root:***@tcp(h:1)/d");
  EXPECT_EQ(sqlite::RedactForTest("http://h:1/x y"), "http://h:1/x y");
}

TEST_F(SqliteOpenTest, ReadOnlyTakesNoLockAndWritesNothing) {
  SqliteOptions options = Options();
  options.read_only = true;
  EXPECT_FALSE(OpenStatus(options).ok()) << "there is nothing to read";
  EXPECT_FALSE(std::filesystem::exists(options.path));
  auto writer = MustOpen();
  ASSERT_OK(Adopt(writer.get(), Us(), 0));
  ASSERT_OK(Write(writer.get(), {Create("/a/1", "one")}));
  auto reader = MustOpen(options);
  ASSERT_NE(reader, nullptr);
  EXPECT_EQ(reader->identity(), writer->identity());
  EXPECT_THAT(List((*reader->OpenSnapshot()).get(), All()), ElementsAre("/a/1=one mod 1 create 1"));
  ASSERT_OK(Write(writer.get(), {Update("/a/1", "uno")}));
  EXPECT_THAT(List((*reader->OpenSnapshot()).get(), All()), ElementsAre("/a/1=uno mod 2 create 1"));
  EXPECT_CODE(reader->BeginLane().status(), kReadOnly);
  EXPECT_CODE(reader->DeleteHistory(1).status(), kReadOnly);
  EXPECT_CODE(reader->Maintain(true).status(), kReadOnly);
  EXPECT_TRUE(reader->Stats().ok());
  EXPECT_OK(reader->Ping());
}

TEST_F(SqliteOpenTest, ANewerSchemaIsRefused) {
  MakeDatabase();
  Sql(Options().path, "PRAGMA user_version=99");
  for (const bool read_only : {false, true}) {
    SqliteOptions options = Options();
    options.read_only = read_only;
    const absl::Status status = OpenStatus(options);
    EXPECT_CODE(status, kInvalid);
    EXPECT_THAT(Message(status),
                HasSubstr("schema version 99, but this build knows versions up to 1"));
  }
}

TEST_F(SqliteOpenTest, FilesOfOtherProgramsAreRefused) {
  Sql(Options("kine.db").path, "CREATE TABLE kine(id INTEGER PRIMARY KEY)");
  absl::Status status = OpenStatus(Options("kine.db"));
  EXPECT_CODE(status, kInvalid);
  EXPECT_THAT(Message(status), HasSubstr("belongs to another program (it has 'kine')"));
  Sql(Options("app.db").path, "PRAGMA application_id=7; CREATE TABLE t(x)");
  EXPECT_THAT(Message(OpenStatus(Options("app.db"))), HasSubstr("application id 7"));
  MakeDatabase();
  const absl::Status meta = OpenSqliteMetadata(Options()).status();
  EXPECT_CODE(meta, kInvalid);
  EXPECT_THAT(Message(meta), HasSubstr("is a libstorage file of objects, but one of metadata"));
}

TEST_F(SqliteOpenTest, WhatIsNoDatabaseIsRefused) {
  std::ofstream(Options("text.db").path) << std::string(5000, 'x');
  absl::Status status = OpenStatus(Options("text.db"));
  EXPECT_CODE(status, kCorrupt);
  EXPECT_THAT(Message(status), AllOf(HasSubstr("text.db"), HasSubstr("no SQLite database")));
  std::filesystem::create_directory(Options("dir.db").path);
  status = OpenStatus(Options("dir.db"));
  EXPECT_CODE(status, kInvalid);
  EXPECT_THAT(Message(status), HasSubstr("is no file"));
  std::ofstream(Options("plain").path) << "x";
  status = OpenStatus(Options("plain/objects.db"));
  EXPECT_CODE(status, kInvalid);
  EXPECT_THAT(Message(status), HasSubstr("Not a directory"));
}

TEST_F(SqliteOpenTest, UnreadableFilesNameThePlace) {
  MakeDatabase();
  if (geteuid() == 0) {
    // Root reads everything: try it as nobody, in a child.
    chmod(dir_.path().c_str(), 0755);
    chmod(Options().path.c_str(), 0600);
    const pid_t child = fork();
    if (child == 0) {
      if (setuid(65534) != 0) _exit(2);
      SqliteOptions options = Options();
      options.logger = nullptr;
      options.read_only = true;
      const absl::Status status = OpenSqliteBackend(options).status();
      const bool read_refused = CodeOf(status) == Code::kUnavailable &&
                                Message(status).find(options.path) != std::string::npos;
      options.read_only = false;
      const absl::Status write = OpenSqliteBackend(options).status();
      const bool write_refused =
          CodeOf(write) == Code::kReadOnly && Message(write).find(".lock") != std::string::npos;
      _exit(read_refused && write_refused ? 0 : 1);
    }
    int result = 0;
    waitpid(child, &result, 0);
    EXPECT_EQ(result, 0);
    return;
  }
  chmod(Options().path.c_str(), 0);
  EXPECT_THAT(Message(OpenStatus(Options())), HasSubstr(Options().path));
}

// A page in the middle of the objects is overwritten: what lies on it answers
// CORRUPT, and says so instead of a crash or an empty list.
TEST_F(SqliteOpenTest, ACorruptPageIsReported) {
  {
    auto backend = MustOpen();
    ASSERT_OK(Adopt(backend.get(), Us(), 0));
    for (int i = 0; i < 50; ++i) {
      ASSERT_OK(Write(backend.get(), {Create("/a/" + std::to_string(i), std::string(3000, 'v'))}));
    }
  }
  const auto size = std::filesystem::file_size(Options().path);
  {
    std::fstream file(Options().path, std::ios::in | std::ios::out | std::ios::binary);
    for (std::uintmax_t page = size / 4096 / 2; page < size / 4096; ++page) {
      file.seekp(static_cast<std::streamoff>(page * 4096));
      file << std::string(4096, '\x5a');
    }
  }
  auto backend = MustOpen();
  ASSERT_NE(backend, nullptr) << "the damage is further down";
  const absl::Status status =
      (*backend->OpenSnapshot())->List(All(), 0, 0, [](const Row&) { return true; });
  EXPECT_CODE(status, kCorrupt);
  EXPECT_THAT(Message(status), AllOf(HasSubstr(Options().path), HasSubstr("restore a backup")));
  EXPECT_EQ(BackendOf(status), "shirts");
  EXPECT_NE(DriverCodeOf(status), 0);
}

TEST_F(SqliteOpenTest, ATruncatedFileIsReported) {
  MakeDatabase();
  std::filesystem::resize_file(Options().path, 4096);
  EXPECT_CODE(OpenStatus(Options()), kCorrupt);
}

TEST_F(SqliteOpenTest, AFileThatWasReplacedIsNotWrittenAnyMore) {
  auto backend = MustOpen();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  std::filesystem::rename(Options().path, Options().path + ".old");
  absl::Status status = backend->Ping();
  EXPECT_CODE(status, kUnavailable);
  EXPECT_THAT(Message(status), HasSubstr("removed or hidden"));
  EXPECT_CODE(Write(backend.get(), {Create("/a/1", "x")}), kUnavailable);
  std::ofstream(Options().path) << "";
  EXPECT_THAT(Message(backend->Ping()), HasSubstr("replaced"));
  std::filesystem::rename(Options().path + ".old", Options().path);
  EXPECT_OK(backend->Ping());
  EXPECT_OK(Write(backend.get(), {Create("/a/1", "x")}));
}

TEST_F(SqliteOpenTest, AnAbandonedTransactionLeavesNoLock) {
  auto backend = MustOpen();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  {
    auto txn = *backend->BeginLane();
    ASSERT_OK(txn->Void(Us(), 9));
  }
  Sql(Options().path, "BEGIN IMMEDIATE; ROLLBACK");
}

TEST_F(SqliteOpenTest, DirectoriesAreMadeAndFilesArePrivate) {
  const SqliteOptions options = Options("new/deep/objects.db");
  auto backend = MustOpen(options);
  ASSERT_NE(backend, nullptr);
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
    struct stat info {};
    ASSERT_EQ(stat((options.path + suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << suffix;
  }
}

TEST_F(SqliteOpenTest, ACleanCloseLeavesOneFile) {
  MakeDatabase();
  EXPECT_FALSE(std::filesystem::exists(Options().path + "-wal"));
  EXPECT_FALSE(std::filesystem::exists(Options().path + "-shm"));
}

TEST_F(SqliteOpenTest, SlowStatementsAreLoggedWithoutTheirParameters) {
  SqliteOptions options = Options();
  options.slow_sql_ms = 1;
  auto backend = MustOpen(options);
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  std::vector<Op> ops;
  for (int i = 0; i < 20000; ++i) ops.push_back(Create("/secret/" + std::to_string(i), "value"));
  ASSERT_OK(Write(backend.get(), ops));
  EXPECT_EQ(List((*backend->OpenSnapshot()).get(), All()).size(), 20000u);
  bool list_logged = false;
  for (const std::string& message : logger_.messages()) {
    EXPECT_EQ(message.find("/secret/"), std::string::npos);
    if (message.find("20000 rows: SELECT key") != std::string::npos) list_logged = true;
  }
  EXPECT_TRUE(list_logged);
}

}  // namespace
}  // namespace storage::contract
