// Copies made ahead of a migration, beside a server that writes: between SQLite files.
#include <atomic>
#include <thread>

#include "tests/contract/test_logger.h"
#include "tests/engine/ahead.h"
#include "tests/engine/hooks.h"

namespace storage {
namespace {

using ::testing::IsEmpty;

// The bulk under load, the rest while it is stopped: afterwards all is as it was served.
TEST_F(AheadTest, UnderLoadEverythingIsExact) {
  FillAll();
  auto engine = Open();
  ASSERT_TRUE(engine.ok()) << engine.status();
  std::atomic<bool> stop = false;
  std::atomic<int> rounds = 0;
  std::thread writer([&] {
    while (!stop) Write(**engine, rounds++);
  });
  const auto more_is_written = [&] {
    for (const int until = rounds + 2; rounds < until;) std::this_thread::yield();
  };
  MigrateOptions options = AheadOptions();
  options.follow = true;
  int passes = 0;
  int64_t replaced = 0, discarded = 0;
  options.pass_done = [&](const AheadPass& pass) {
    ++passes;
    replaced += pass.counts.replaced;
    discarded += pass.counts.discarded;
    more_is_written();
  };
  options.stop = [&] { return passes > 0 && replaced > 0 && discarded > 0; };
  int pages = 0;
  options.progress = [&](const char*, int64_t, int64_t) {
    if (++pages % 4 == 0) more_is_written();
  };
  absl::Status status = Migrate(options);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_GT(passes, 1);
  more_is_written();
  stop = true;
  writer.join();
  ASSERT_TRUE((*engine)->Close().ok());
  engine->reset();
  const Contents before = Served();
  status = Migrate(Options());
  ASSERT_TRUE(status.ok()) << status;
  ExpectMoved(before);
}

TEST_F(AheadTest, WhatIsServedFromAlreadyIsLeftAndSaid) {
  FillAll();
  const Contents before = All();
  MigrateOptions options = AheadOptions();
  auto migration = Migration::Open(options);
  ASSERT_TRUE(migration.ok()) << migration.status();
  int64_t ahead = 0, left = 0;
  for (const PlannedMove& move : (*migration)->moves()) {
    (move.ahead ? ahead : left) += move.objects;
    EXPECT_EQ(move.ahead, move.to.find("the default") == std::string::npos) << move.to;
  }
  EXPECT_EQ(ahead, 10);
  EXPECT_EQ(left, 5);
  EXPECT_EQ(All(), before) << "Open is a dry run";
  ASSERT_TRUE((*migration)->Run().ok());
  ASSERT_EQ((*migration)->passes().size(), 1u);
  EXPECT_EQ((*migration)->passes()[0].counts.copied, 10);
  migration->reset();
  EXPECT_EQ(Served(), before) << "the sources are only read";
  EXPECT_EQ(ContentsOf("b.db").size(), 5u);
  EXPECT_EQ(ContentsOf("s.db").size(), 5u);
  EXPECT_EQ(LaneOf("b.db").floor, LaneOf("b.db").head);
  // Nothing has changed, so nothing is copied again.
  int64_t copied = 0;
  MigrateOptions again = Options();
  again.progress = [&](const char* what, int64_t done, int64_t) {
    if (std::string(what) == "copying") copied = done;
  };
  ASSERT_TRUE(Migrate(again).ok());
  EXPECT_EQ(copied, 5) << "those of a.db";
  ExpectMoved(before);
}

// Whatever the rules, and whatever the operator says of backups.
TEST_F(AheadTest, NoServerStartsOnCopies) {
  FillAll();
  ASSERT_TRUE(Migrate(AheadOptions()).ok());
  const Contents copies = ContentsOf("b.db");
  const std::string for_nodes = absl::StrCat(old_, "- endpoint: sqlite://", dir_,
                                             "/b.db\n  prefix: {name: b, prefix: nodes}\n");
  for (const bool restored : {false, true}) {
    topology_ = for_nodes;
    const absl::Status status = Open(restored).status();
    EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
    EXPECT_THAT(Message(status),
                AllOf(HasSubstr("b.db holds copies that `stgctl migrate --ahead` made"),
                      HasSubstr("Stop every API server and run `stgctl migrate`"),
                      HasSubstr("`stgctl migrate --ahead --abort`")));
  }
  topology_ = new_;
  EXPECT_THAT(Message(Open().status()), HasSubstr("b.db holds copies"));
  EXPECT_EQ(ContentsOf("b.db"), copies);
  topology_ = old_;
  {
    auto engine = Open();
    ASSERT_TRUE(engine.ok()) << "the topology of before is good: " << engine.status();
    const absl::Status status = Abort(AheadOptions());
    EXPECT_TRUE(status.ok()) << status;
    ASSERT_TRUE((*engine)->Close().ok());
  }
  EXPECT_THAT(ContentsOf("b.db"), IsEmpty());
  EXPECT_THAT(ContentsOf("s.db"), IsEmpty());
  EXPECT_EQ(LaneOf("b.db").m_id, "");
  EXPECT_THAT(Message(Abort(AheadOptions())), HasSubstr("nothing was copied ahead"));
  topology_ = for_nodes;
  auto engine = Open();
  EXPECT_TRUE(engine.ok()) << engine.status();
}

// Between the look of a start and its fence the file may have become one of copies.
TEST_F(AheadTest, AServerThatStartsMeanwhileIsRefusedToo) {
  FillAll();
  EngineOptions options;
  options.topology_text = absl::StrCat(old_, "- endpoint: sqlite://", dir_,
                                       "/b.db\n  prefix: {name: b, prefix: nodes}\n");
  options.default_endpoint = absl::StrCat("sqlite://", File("default.db"));
  Hooks hooks;
  bool begun = false;
  hooks.Set([&](const std::string& backend, const std::string& call) {
    if (backend == "b" && call == "begin" && !std::exchange(begun, true)) {
      Sql("b.db", "UPDATE lane SET m_id = 'ahead:x'");
    }
    return absl::OkStatus();
  });
  options.wrap_backend_for_test = [&](std::unique_ptr<Backend> inner) {
    return std::make_unique<HookedBackend>(std::move(inner), &hooks);
  };
  const absl::Status status = Engine::Open(options).status();
  EXPECT_TRUE(begun);
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_THAT(Message(status), HasSubstr("b.db holds copies"));
  EXPECT_EQ(LaneOf("b.db").m_id, "ahead:x");
}

// Copies are compared by their bytes, and read back by the verification all the same.
TEST_F(AheadTest, DamagedCopiesAreMadeAgain) {
  FillAll();
  const Contents before = All();
  ASSERT_TRUE(Migrate(AheadOptions()).ok());
  const std::string d = "WHERE key = CAST('/registry/pods/d";
  Sql("b.db", "UPDATE objects SET value = CAST('other' AS BLOB) " + d + "0' AS BLOB)");
  Sql("b.db", "UPDATE objects SET attrs = x'00' " + d + "1' AS BLOB)");
  Sql("b.db", "UPDATE objects SET expire_ms = 5 " + d + "2' AS BLOB)");
  Sql("b.db", "DELETE FROM objects " + d + "3' AS BLOB)");
  Sql("b.db",
      "INSERT INTO objects VALUES(1, 1, NULL, CAST('/registry/pods/dx' AS BLOB), x'', "
      "x'')");
  Sql("s.db", "UPDATE objects SET mod_rev = mod_rev + 1");
  contract::TestLogger logger;
  MigrateOptions options = Options();
  options.engine.logger = &logger;
  const absl::Status status = Migrate(options);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(logger.messages(),
              ::testing::Contains(HasSubstr("3 of the copies that were made ahead had changed")));
  ExpectMoved(before);
}

// Nobody but its owner writes a file, so readers keep their view of it: here they do not.
class Fresh : public WrappedBackend {
 public:
  Fresh(std::unique_ptr<Backend> inner, std::string path)
      : WrappedBackend(std::move(inner)), path_(std::move(path)) {}
  absl::StatusOr<std::unique_ptr<Snapshot>> OpenSnapshot() override {
    auto fresh = OpenForInspection(name(), path_);
    if (!fresh.ok()) return fresh.status();
    readers_.push_back(*std::move(fresh));
    return readers_.back()->OpenSnapshot();
  }

 private:
  const std::string path_;
  std::vector<std::unique_ptr<Backend>> readers_;
};

TEST_F(AheadTest, WhatIsDamagedBehindTheComparisonIsFound) {
  for (const char* damage :
       {"DELETE FROM objects WHERE key = CAST('/registry/pods/d1' AS BLOB)",
        "UPDATE objects SET value = CAST('other' AS BLOB) WHERE key = CAST('/registry/pods/d1' AS "
        "BLOB)",
        "INSERT INTO objects VALUES(1, 1, NULL, CAST('/registry/pods/dx' AS BLOB), x'', x'')",
        "INSERT INTO objects VALUES(1, 1, NULL, CAST('/registry/pods/ax' AS BLOB), x'', x'')"}) {
    for (const char* name : {"a.db", "b.db", "s.db", "default.db", "default.db.meta"}) {
      RemoveDatabase(name);
    }
    topology_ = old_;
    FillAll();
    const Contents before = All();
    ASSERT_TRUE(Migrate(AheadOptions()).ok());
    MigrateOptions options = Options();
    options.engine.wrap_backend_for_test = [&](std::unique_ptr<Backend> inner) {
      if (inner->name() != "b") return inner;
      return std::unique_ptr<Backend>(std::make_unique<Fresh>(std::move(inner), File("b.db")));
    };
    bool damaged = false;
    options.progress = [&](const char* what, int64_t done, int64_t) {
      // b.db is done with when s.db is begun.
      if (std::string(what) != "comparing" || done <= 5 || std::exchange(damaged, true)) return;
      Sql("b.db", damage);
    };
    const absl::Status found = Migrate(options);
    EXPECT_TRUE(damaged);
    EXPECT_EQ(CodeOf(found), Code::kCorrupt) << damage << ": " << found;
    EXPECT_THAT(Message(found), AllOf(HasSubstr("b.db"), HasSubstr("nothing was removed")));
    EXPECT_EQ(Served(), before);
    const absl::Status again = Migrate(Options());
    EXPECT_TRUE(again.ok()) << damage << ": " << again;
    ExpectMoved(before);
  }
}

// Copies made for a topology that nobody wants any more.
TEST_F(AheadTest, AnotherTopologyDropsWhatItDoesNotWant) {
  FillAll();
  const Contents before = All();
  ASSERT_TRUE(Migrate(AheadOptions()).ok());
  const std::string first = new_;
  new_ = absl::StrCat("backends:\n- endpoint: sqlite://", dir_,
                      "/b.db\n  prefix: {name: b, prefix: pods/e*}\n");
  absl::Status status = Migrate(Options());
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(KindsOf(ContentsOf("b.db")), (std::set<std::string>{"/registry/pods/e"}));
  EXPECT_EQ(ContentsOf("s.db").size(), 5u) << "not named: as it was";
  Contents now = Served();
  now.merge(ContentsOf("b.db"));
  EXPECT_EQ(now, before);
  // The other one is still known.
  new_ = first;
  status = Migrate(Options());
  ASSERT_TRUE(status.ok()) << status;
  ExpectMoved(before);
}

// Nothing has to move with these rules, but the copies have to go.
TEST_F(AheadTest, CopiesGoAlsoWhenNothingMoves) {
  FillAll();
  const Contents before = All();
  ASSERT_TRUE(Migrate(AheadOptions()).ok());
  new_ = absl::StrCat(old_, "- endpoint: sqlite://", dir_,
                      "/b.db\n  prefix: {name: b, prefix: nodes}\n");
  auto migration = Migration::Open(Options());
  ASSERT_TRUE(migration.ok()) << migration.status();
  EXPECT_THAT((*migration)->moves(), IsEmpty());
  EXPECT_TRUE((*migration)->HasCopies());
  const absl::Status status = (*migration)->Run();
  ASSERT_TRUE(status.ok()) << status;
  migration->reset();
  EXPECT_THAT(ContentsOf("b.db"), IsEmpty());
  EXPECT_EQ(Served(), before);
  topology_ = new_;
  auto engine = Open();
  EXPECT_TRUE(engine.ok()) << engine.status();
}

TEST_F(AheadTest, AnAbortRemovesWhatCameAheadToo) {
  FillAll();
  ASSERT_TRUE(Migrate(AheadOptions()).ok());
  WriteAsServer(1);
  const Contents before = Served();
  MigrateOptions options = Options();
  bool stop = false;
  options.progress = [&](const char* what, int64_t, int64_t) {
    stop |= std::string(what) == "comparing";
  };
  options.stop = [&] { return stop; };
  ASSERT_EQ(CodeOf(Migrate(options)), Code::kCancelled);
  absl::Status status = Migrate(AheadOptions());
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_THAT(Message(status), HasSubstr("a migration is not over"));
  status = Abort(Options());
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(All(), before);
  // Once more, with an abort of what was only copied ahead.
  WriteAsServer(2);
  status = Migrate(AheadOptions());
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_GT(ContentsOf("b.db").size(), 0u);
  ASSERT_TRUE(Abort(Options()).ok());
  EXPECT_THAT(ContentsOf("b.db"), IsEmpty());
  EXPECT_THAT(ContentsOf("s.db"), IsEmpty());
  const Contents later = Served();
  ASSERT_TRUE(Migrate(Options()).ok()) << "another day";
  ExpectMoved(later);
}

// A resource that is served for the first time meanwhile.
TEST_F(AheadTest, WhatIsRegisteredMeanwhileComesToo) {
  FillAll();
  new_ = absl::StrCat("backends:\n- endpoint: sqlite://", dir_,
                      "/b.db\n  regexp: {name: b, key: ^(pods/d|nodes/)}\n");
  auto engine = Open();
  ASSERT_TRUE(engine.ok()) << engine.status();
  int passes = 0;
  MigrateOptions options = AheadOptions();
  options.follow = true;
  options.pass_done = [&](const AheadPass& pass) {
    EXPECT_EQ(pass.counts.copied, ++passes == 1 ? 5 : 1);
    Put(**engine, Register(**engine, "nodes"), absl::StrCat("/registry/nodes/n", passes), "v");
  };
  options.stop = [&] { return passes == 3; };
  const absl::Status status = Migrate(options);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ContentsOf("b.db").size(), 7u);
  EXPECT_TRUE(ContentsOf("b.db").contains("/registry/nodes/n2"));
}

TEST_F(AheadTest, OtherRulesOfTheServersEndIt) {
  FillAll();
  MigrateOptions options = AheadOptions();
  options.follow = true;
  int passes = 0;
  options.pass_done = [&](const AheadPass&) {
    ASSERT_EQ(++passes, 1);
    topology_ = absl::StrCat(old_, "- endpoint: sqlite://", dir_,
                             "/c.db\n  prefix: {name: c, prefix: nodes}\n");
    auto engine = Open();
    ASSERT_TRUE(engine.ok()) << engine.status();
    Put(**engine, Register(**engine, "pods"), "/registry/pods/d0", "v");
    ASSERT_TRUE((*engine)->Close().ok());
  };
  const absl::Status status = Migrate(options);
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_THAT(Message(status), HasSubstr("were started with another topology"));
}

TEST_F(AheadTest, WhatCannotBeFilledIsRefused) {
  FillAll();
  const auto refused = [&](const std::string& what) {
    const absl::Status status = Migration::Open(AheadOptions()).status();
    EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
    EXPECT_THAT(Message(status), HasSubstr(what));
  };
  ASSERT_TRUE(Migrate(AheadOptions()).ok());
  Sql("b.db", "UPDATE lane SET m_id = 'ahead:another'");
  refused("copies that were made ahead for another metadata store (ahead:another)");
  EXPECT_THAT(Message(Migration::Open(Options()).status()), HasSubstr("for another metadata"));
  Sql("b.db", "UPDATE lane SET m_id = 'another'");
  refused("belongs to the metadata store another: name an empty database");
  Sql("b.db", "UPDATE lane SET m_id = ''");
  refused("holds objects (/registry/pods/d0) that are no copies of ours");
  RemoveDatabase("b.db");
  fs::rename(File("default.db.meta"), File("away"));
  refused("default.db.meta is not there");
}

}  // namespace
}  // namespace storage
