// Migrations between SQLite files: what moves, what stays, what is refused.
#include <sqlite3.h>

#include "tests/engine/migrate.h"

namespace storage {
namespace {

using ::testing::AnyOf;
using ::testing::IsEmpty;

TEST_F(MigrateTest, EverythingMovesAsItIs) {
  FillAll();
  const Contents before = All();
  topology_ = new_;
  EXPECT_THAT(Message(Open().status()), HasSubstr("`stgctl migrate`"));
  {
    auto migration = Migration::Open(Options());
    ASSERT_TRUE(migration.ok()) << migration.status();
    std::map<std::string, int64_t> planned;
    for (const PlannedMove& move : (*migration)->moves()) {
      EXPECT_THAT(move.from, AnyOf(HasSubstr("a.db"), HasSubstr("the default database")));
      planned[absl::StrCat(move.collection, move.to.substr(0, 4))] += move.objects;
    }
    EXPECT_EQ(planned, (std::map<std::string, int64_t>{{"/registry/pods/\"b\" ", 5},
                                                       {"/registry/pods/the ", 5},
                                                       {"/registry/secrets/\"s\" ", 5}}));
    EXPECT_EQ(All(), before) << "Open is a dry run";
    ASSERT_TRUE((*migration)->Run().ok());
  }
  ExpectMigrated(before);
  EXPECT_TRUE(Migrate(Options()).ok()) << "nothing to do";
  ExpectMigrated(All());
}

// Old values are copies too.
TEST_F(MigrateTest, NoHistoryOfWhatMovedStays) {
  FillAll();
  ASSERT_TRUE(Migrate(Options()).ok());
  SqliteOptions options;
  options.path = File("a.db");
  options.read_only = true;
  auto stats = (*OpenSqliteBackend(options))->Stats();
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->history_rows, 0);
  EXPECT_EQ(stats->debt_rows, 0);
  for (const KindStats& kind : stats->kinds) {
    EXPECT_EQ(kind.objects, 0) << kind.collection;
    EXPECT_EQ(kind.bytes, 0) << kind.collection;
  }
}

// The commonest change of all: a rule keeps its name and gets another database.
TEST_F(MigrateTest, ARuleGetsAnotherDatabaseAndItsOldOneGoes) {
  FillAll();
  const Contents before = All();
  new_ = absl::StrCat("backends:\n- endpoint: sqlite://", dir_,
                      "/b.db\n  prefix: {name: a, prefix: pods/a*}\n");
  topology_ = new_;
  EXPECT_THAT(Message(Open().status()),
              AllOf(HasSubstr("holds 5 objects"), HasSubstr("`stgctl migrate`")));
  ASSERT_TRUE(Migrate(Options()).ok());
  EXPECT_EQ(All(), before);
  EXPECT_THAT(ContentsOf("a.db"), IsEmpty());
  EXPECT_EQ(ContentsOf("b.db").size(), 5u);
  {
    auto engine = Open();
    ASSERT_TRUE(engine.ok()) << engine.status();
  }
  // And back, over the file that was used before.
  new_ = old_;
  ASSERT_TRUE(Migrate(Options()).ok());
  EXPECT_EQ(All(), before);
  EXPECT_EQ(ContentsOf("a.db").size(), 5u);
  topology_ = old_;
  auto engine = Open();
  ASSERT_TRUE(engine.ok()) << engine.status();
  ASSERT_TRUE((*engine)->Close().ok());
  engine->reset();
  // A name that went may come back for another file.
  new_ = "";
  ASSERT_TRUE(Migrate(Options()).ok());
  RemoveDatabase("a.db");
  topology_ = absl::StrCat("backends:\n- endpoint: sqlite://", dir_,
                           "/c.db\n  prefix: {name: a, prefix: nodes}\n");
  engine = Open();
  EXPECT_TRUE(engine.ok()) << engine.status();
}

TEST_F(MigrateTest, AnAbortPutsEverythingBack) {
  FillAll();
  const Contents before = All();
  EXPECT_THAT(Message((*Migration::Open(Options()))->Abort()), HasSubstr("no migration"));
  int copied = 0;
  MigrateOptions options = Options();
  options.progress = [&](const char* what, int64_t, int64_t) {
    if (std::string(what) == "copying") ++copied;
  };
  options.stop = [&] { return copied >= 2; };
  EXPECT_EQ(CodeOf(Migrate(options)), Code::kCancelled);
  EXPECT_GT(ContentsOf("b.db").size() + ContentsOf("s.db").size(), 0u);
  {
    auto migration = Migration::Open(Options());
    ASSERT_TRUE(migration.ok()) << migration.status();
    EXPECT_TRUE((*migration)->resumes());
    ASSERT_TRUE((*migration)->Abort().ok());
  }
  EXPECT_EQ(All(), before);
  {
    auto engine = Open();
    ASSERT_TRUE(engine.ok()) << engine.status();
    EXPECT_EQ(Put(**engine, Register(**engine, "pods"), "/registry/pods/d1", "later").code,
              Code::kOk);
  }
  const Contents later = All();
  ASSERT_TRUE(Migrate(Options()).ok()) << "another day";
  ExpectMigrated(later);
}

TEST_F(MigrateTest, AnotherTopologyInTheMiddleIsRefused) {
  FillAll();
  for (const bool late : {false, true}) {
    MigrateOptions options = Options();
    bool stop = false;
    options.progress = [&](const char* what, int64_t, int64_t) {
      stop |= std::string(what) == (late ? "discarding" : "copying");
    };
    options.stop = [&] { return stop; };
    ASSERT_EQ(CodeOf(Migrate(options)), Code::kCancelled);
    options = Options();
    options.engine.topology_text = old_;
    const absl::Status status = Migration::Open(options).status();
    EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
    EXPECT_THAT(Message(status), HasSubstr("a migration to another topology is not over"));
    if (!late) continue;
    EXPECT_THAT(Message((*Migration::Open(Options()))->Abort()), HasSubstr("without --abort"));
  }
  EXPECT_TRUE(Migrate(Options()).ok());
}

// A copy that is not what it should be is found before the old one goes.
TEST_F(MigrateTest, WhatTheVerificationFinds) {
  for (const char* damage :
       {"DELETE FROM objects WHERE key = CAST('/registry/pods/d1' AS BLOB)",
        "UPDATE objects SET value = CAST('other' AS BLOB) WHERE key = CAST('/registry/pods/d1' AS "
        "BLOB)",
        "UPDATE objects SET attrs = x'00' WHERE key = CAST('/registry/pods/d1' AS BLOB)",
        "UPDATE objects SET expire_ms = 5 WHERE key = CAST('/registry/pods/d1' AS BLOB)"}) {
    for (const char* name : {"a.db", "b.db", "s.db", "default.db", "default.db.meta"}) {
      RemoveDatabase(name);
    }
    topology_ = old_;
    FillAll();
    const Contents before = All();
    MigrateOptions options = Options();
    options.progress = [&](const char* what, int64_t done, int64_t total) {
      if (std::string(what) != "copying" || done != total) return;
      sqlite3* db = nullptr;
      ASSERT_EQ(sqlite3_open(File("b.db").c_str(), &db), SQLITE_OK);
      EXPECT_EQ(sqlite3_exec(db, damage, nullptr, nullptr, nullptr), SQLITE_OK) << damage;
      sqlite3_close(db);
    };
    absl::Status status = Migrate(options);
    EXPECT_EQ(CodeOf(status), Code::kCorrupt) << damage << ": " << status;
    EXPECT_THAT(Message(status), AllOf(HasSubstr("b.db"), HasSubstr("nothing was removed")));
    // Missing copies are made again; wrong ones need --abort.
    if (std::string(damage).starts_with("UPDATE")) {
      EXPECT_EQ(CodeOf(Migrate(Options())), Code::kCorrupt) << damage;
      auto migration = Migration::Open(Options());
      ASSERT_TRUE(migration.ok()) << migration.status();
      ASSERT_TRUE((*migration)->Abort().ok());
    }
    status = Migrate(Options());
    EXPECT_TRUE(status.ok()) << damage << ": " << status;
    ExpectMigrated(before);
  }
}

// Between the verification and the end of the old copy too.
TEST_F(MigrateTest, TheLastCopyIsNeverDiscarded) {
  FillAll();
  bool stop = false;
  MigrateOptions options = Options();
  options.progress = [&](const char* what, int64_t done, int64_t total) {
    stop |= std::string(what) == "verifying" && done == total;
  };
  int64_t steps_since = 0;
  options.step_for_test = [&]() -> absl::Status {
    return stop && ++steps_since == 3 ? MakeStatus(Code::kUnavailable, "x") : absl::OkStatus();
  };
  ASSERT_EQ(CodeOf(Migrate(options)), Code::kUnavailable);
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(File("b.db").c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, "DELETE FROM objects WHERE key = CAST('/registry/pods/d3' AS BLOB)",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(db);
  const absl::Status status = Migrate(Options());
  EXPECT_EQ(CodeOf(status), Code::kCorrupt) << status;
  EXPECT_THAT(Message(status), AllOf(HasSubstr("/registry/pods/d3"), HasSubstr("is not there")));
  EXPECT_TRUE(ContentsOf("default.db").contains("/registry/pods/d3"));
}

TEST_F(MigrateTest, WhatCannotBeMigratedIsRefused) {
  MigrateOptions options = Options();
  const auto refused = [&](const std::string& what) {
    const absl::Status status = Migration::Open(options).status();
    EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
    EXPECT_THAT(Message(status), HasSubstr(what));
    options = Options();
  };
  refused("default.db.meta is not there; name the store");
  EXPECT_FALSE(fs::exists(File("default.db.meta")));
  FillAll();
  {
    auto engine = Open();
    const absl::Status status = Migration::Open(options).status();
    EXPECT_EQ(CodeOf(status), Code::kBusy) << status;
    EXPECT_THAT(Message(status), HasSubstr("is written by another process"));
    ASSERT_TRUE((*engine)->Close().ok());
  }
  // A new database that is not empty.
  {
    topology_ = absl::StrCat("backends:\n- endpoint: sqlite://", dir_,
                             "/b.db\n  prefix: {name: b, prefix: pods}\n");
    EngineOptions other;
    other.topology_text = topology_;
    other.default_endpoint = absl::StrCat("sqlite://", File("other.db"));
    auto engine = Engine::Open(other);
    ASSERT_TRUE(engine.ok()) << engine.status();
    Put(**engine, Register(**engine, "pods"), "/registry/pods/z", "v");
    ASSERT_TRUE((*engine)->Close().ok());
  }
  refused("belongs to the metadata store");
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(File("b.db").c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, "UPDATE lane SET m_id = ''", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, "UPDATE objects SET key = CAST('/registry/pods/d9' AS BLOB)", nullptr,
                         nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(db);
  refused("holds 1 objects of /registry/pods/ that would appear");
  RemoveDatabase("b.db");
  // A key that is there already where it would go.
  ASSERT_EQ(sqlite3_open(File("default.db").c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db,
                         "INSERT INTO objects VALUES(1, 1, NULL, CAST('/registry/pods/a1' AS "
                         "BLOB), x'', x'')",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  refused("the object /registry/pods/a1 is in \"a\"");
  EXPECT_EQ(sqlite3_exec(db, "DELETE FROM objects WHERE create_rev = 1", nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(db);
  // A key of no resource in a database that goes.
  ASSERT_EQ(sqlite3_open(File("a.db").c_str(), &db), SQLITE_OK);
  EXPECT_EQ(
      sqlite3_exec(db,
                   "INSERT INTO kinds VALUES(CAST('/registry/x/' AS BLOB), 1, 1); INSERT INTO "
                   "objects VALUES(1, 1, NULL, CAST('/registry/x/y' AS BLOB), x'', x'')",
                   nullptr, nullptr, nullptr),
      SQLITE_OK);
  sqlite3_close(db);
  refused("it holds 6 objects, 1 of them of resources that no API server has served");
  fs::rename(File("a.db"), File("away"));
  refused("a.db, is not there: mount its disk");
}

}  // namespace
}  // namespace storage
