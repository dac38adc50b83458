// Starts that are refused: the message names the place and the remedy, nothing
// is changed, and undoing the mistake is enough to start again.
#include <sqlite3.h>

#include <fstream>

#include "tests/engine/restart.h"

namespace storage {
namespace {

TEST_F(Restart, SecondProcessIsRefusedAndTheHolderNamed) {
  auto engine = std::move(Open()).value();
  absl::Status status = Open().status();
  EXPECT_EQ(CodeOf(status), Code::kBusy) << status;
  EXPECT_THAT(Message(status), AllOf(HasSubstr("default.db.meta is written by another process"),
                                     HasSubstr(absl::StrCat("pid ", ::getpid(), " on host ")),
                                     HasSubstr("stop it")));
}

// The lock files are a courtesy: without them the row of each lane keeps the
// older server from writing.
TEST_F(Restart, WithoutLockFilesTheOlderServerIsFencedOff) {
  auto older = std::move(Open()).value();
  const ResourceId pods = Register(*older, "pods");
  const WriteResult first = Put(*older, pods, "/registry/pods/a", "older");
  ASSERT_EQ(first.code, Code::kOk) << first.error;
  for (const char* name : {"a.db", "default.db", "default.db.meta"}) {
    ASSERT_TRUE(fs::remove(File(name) + ".lock")) << name;
  }
  auto newer = std::move(Open()).value();
  Register(*newer, "pods");
  const WriteResult second = Put(*newer, pods, "/registry/pods/a", "newer");
  ASSERT_EQ(second.code, Code::kOk) << second.error;
  EXPECT_GT(second.revision, first.revision);
  for (const char* key : {"/registry/pods/a", "/registry/pods/d"}) {
    const WriteResult refused = Put(*older, pods, key, "late");
    EXPECT_EQ(refused.code, Code::kUnavailable) << key;
    EXPECT_THAT(Message(refused.error), HasSubstr("another process took this database over"));
  }
  EXPECT_THAT(Message(older->Close()), HasSubstr("another process took " + File("default.db.meta") +
                                                 " over (epoch 2, ours "
                                                 "is 1); stop one of the two"));
  ReadHeader header;
  EXPECT_EQ(ListAll(*newer, pods, kPods, {}, &header), (Pairs{{"/registry/pods/a", "newer"}}));
  ASSERT_TRUE(newer->Close().ok());
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
  EXPECT_THAT(Message(status),
              AllOf(HasSubstr("topology:2:3: rule \"a\": " + other + "/a.db belongs"),
                    HasSubstr("start once with --storage-restored")));
}

TEST_F(Restart, ARuleThatWouldHideObjectsIsRefused) {
  Fill(10);
  const std::string before = topology_;
  topology_ = absl::StrCat(before, "- endpoint: sqlite://", dir_,
                           "/b.db\n  prefix: {name: b, prefix: pods/d*}\n");
  absl::Status status = Open().status();
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_THAT(
      Message(status),
      AllOf(HasSubstr("topology:4:3: rule \"b\" now claims 5 objects of /registry/pods/ that "
                      "are stored in \"default\" (for example /registry/pods/d1)"),
            HasSubstr("Put the rule back as it was")));
  topology_ = "";  // the rule with its database is gone from the file
  status = Open().status();
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_THAT(Message(status),
              AllOf(HasSubstr("rule \"a\" (prefix pods/a*) is no longer there; its database " +
                              File("a.db") + " holds 5 objects"),
                    HasSubstr("Put the rule back as it was")));
  topology_ = before;
  EXPECT_TRUE(Open().ok()) << "putting the rule back must work";
}

TEST_F(Restart, AnotherSpellingOfThePathIsTheSameDatabase) {
  Fill(10);
  fs::create_directory_symlink(dir_, File("link"));
  topology_ = absl::StrCat("backends:\n- endpoint: sqlite://", dir_, "/link/../",
                           fs::path(dir_).filename().string(),
                           "/a.db\n  prefix: {name: a, prefix: pods/a*}\n");
  absl::StatusOr<std::unique_ptr<Engine>> engine = Open();
  ASSERT_TRUE(engine.ok()) << engine.status();
  ReadHeader header;
  EXPECT_EQ(ListAll(**engine, Register(**engine, "pods"), kPods, {}, &header).size(), 10u);
}

TEST_F(Restart, AnEmptiedOrRemovedFileIsRefused) {
  Fill(4);
  fs::copy(File("a.db"), File("saved"));
  for (const bool removed : {false, true}) {
    if (removed) {
      fs::remove(File("a.db"));
    } else {
      fs::resize_file(File("a.db"), 0);
    }
    for (int again = 0; again < 2; ++again) {
      absl::Status status = Open().status();
      EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
      EXPECT_THAT(Message(status),
                  AllOf(HasSubstr("topology:2:3: rule \"a\": " + File("a.db") +
                                  " is new and empty, but there were writes up to revision 4"),
                        HasSubstr("put the right file back or restore a backup")));
    }
    fs::remove(File("a.db"));
    fs::copy(File("saved"), File("a.db"));
    EXPECT_TRUE(Open().ok()) << "putting the file back must work";
  }
  fs::copy_file(File("default.db"), File("a.db"), fs::copy_options::overwrite_existing);
  EXPECT_THAT(Message(Open().status()), HasSubstr("a.db is another database than before"));
}

TEST_F(Restart, ADamagedMetadataStoreSaysHowToGoOnWithoutIt) {
  Fill(4);
  const std::string meta = File("default.db.meta");
  fs::copy(meta, File("saved"));
  auto refused = [&](const std::string& what) {
    absl::Status status = Open().status();
    EXPECT_EQ(CodeOf(status), Code::kCorrupt) << status;
    EXPECT_THAT(Message(status),
                AllOf(HasSubstr("--metadata-store (not given: sqlite://" + meta + "): "),
                      HasSubstr(what), HasSubstr("no object is lost")));
  };
  std::ofstream(meta) << std::string(9000, 'x');
  refused("no SQLite database");
  for (const char* topology : {"[", "5", "{}", R"({"places":5,"resources":[3]})"}) {
    fs::copy_file(File("saved"), meta, fs::copy_options::overwrite_existing);
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(meta.c_str(), &db), SQLITE_OK);
    const std::string sql =
        absl::StrCat("UPDATE meta SET value='", topology, "' WHERE name='topo'");
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(db);
    refused("the remembered topology is damaged");
  }
  for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(meta + suffix);
  auto engine = Open();
  ASSERT_TRUE(engine.ok()) << engine.status();
  ReadHeader header;
  EXPECT_EQ(ListAll(**engine, Register(**engine, "pods"), kPods, {}, &header).size(), 4u);
}

}  // namespace
}  // namespace storage
