// The engine on PostgreSQL: rules, the default database and the metadata store in
// databases of one server.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/contract/test_logger.h"
#include "tests/engine/harness.h"
#include "tests/servers/postgres_server.h"

namespace storage {
namespace {

using servers::PostgresServer;
using testing::HasSubstr;

const Range kPods{"/registry/pods/", "/registry/pods0"};

class EnginePostgres : public testing::Test {
 protected:
  // One database for pods whose names begin with a, one for everything else.
  EngineOptions Options(PostgresServer& server) {
    std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    for (char& c : name) c = static_cast<char>(tolower(c));
    EngineOptions options;
    options.default_endpoint = "multi://" + server.Uri(name + "_default");
    options.topology_text = absl::StrCat("backends:\n- endpoint: \"", server.Uri(name + "_a"),
                                         "\"\n  prefix: {name: a, prefix: pods/a*}\n");
    options.logger = &logger_;
    return options;
  }
  std::unique_ptr<Engine> MustOpen(const EngineOptions& options) {
    auto engine = Engine::Open(options);
    EXPECT_TRUE(engine.ok()) << engine.status();
    return engine.ok() ? *std::move(engine) : nullptr;
  }
  contract::TestLogger logger_;
};

TEST_F(EnginePostgres, OneHistoryOverTwoDatabasesAndARestart) {
  const EngineOptions options = Options(PostgresServer::Shared());
  auto engine = MustOpen(options);
  ASSERT_NE(engine, nullptr);
  ResourceId pods = Register(*engine, "pods");
  Watcher watcher(*engine, pods, kPods, 1);
  ASSERT_TRUE(watcher.status.ok()) << watcher.status;
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/a1", "one").revision, 2);
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/b1", "two").revision, 3);
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/a1", "uno").revision, 4);
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/a1", "x", 2).code, Code::kConflict);
  EXPECT_EQ(Delete(*engine, pods, "/registry/pods/b1").revision, 5);
  const std::vector<EventPtr> events = watcher.Events(4);
  ASSERT_EQ(events.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(events[i]->rev, static_cast<int64_t>(i) + 2);

  ASSERT_TRUE(engine->Close().ok());
  engine.reset();
  engine = MustOpen(options);
  ASSERT_NE(engine, nullptr);
  pods = Register(*engine, "pods");
  ReadHeader header;
  ReadOptions then;
  then.revision = 3;
  then.exact = true;
  EXPECT_EQ(ListAll(*engine, pods, kPods, then, &header),
            (Pairs{{"/registry/pods/a1", "one"}, {"/registry/pods/b1", "two"}}));
  EXPECT_EQ(ListAll(*engine, pods, kPods, ReadOptions(), &header),
            (Pairs{{"/registry/pods/a1", "uno"}}));
  EXPECT_EQ(header.revision, 5);
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/b2", "three").revision, 6);
  ASSERT_TRUE(engine->Close().ok());
  for (const std::string& message : logger_.messages()) {
    EXPECT_EQ(message.find("geheim"), std::string::npos) << message;
  }
}

TEST_F(EnginePostgres, OneDatabaseByTwoNamesIsRefused) {
  PostgresServer& server = PostgresServer::Shared();
  EngineOptions options = Options(server);
  options.default_endpoint = server.Uri("onedatabase");
  std::string other = server.Uri("onedatabase");
  other.replace(other.find("127.0.0.1"), 9, "localhost");
  options.topology_text =
      absl::StrCat("backends:\n- endpoint: \"", other, "\"\n  prefix: {name: a, prefix: pods}\n");
  const absl::Status status = Engine::Open(options).status();
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("the same database as that of"));
}

// Nobody can look into a database whose password is not remembered: only one that
// was empty at a clean end may be left out.
TEST_F(EnginePostgres, ARuleIsLeftOutOnlyWhenItsDatabaseIsKnownToBeEmpty) {
  const EngineOptions with = Options(PostgresServer::Shared());
  EngineOptions without = with;
  without.topology_text = "backends: []\n";
  auto engine = MustOpen(with);
  ASSERT_NE(engine, nullptr);
  ResourceId pods = Register(*engine, "pods");
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/a1", "one").code, Code::kOk);
  ASSERT_TRUE(engine->Close().ok());
  engine.reset();
  const absl::Status status = Engine::Open(without).status();
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(HasSubstr("rule \"a\" (prefix pods/a*) is no longer there"),
                             HasSubstr("held 1 objects"), HasSubstr("Put the rule back")));
  EXPECT_EQ(status.ToString().find("geheim"), std::string::npos) << status;

  engine = MustOpen(with);
  ASSERT_NE(engine, nullptr);
  pods = Register(*engine, "pods");
  EXPECT_EQ(Delete(*engine, pods, "/registry/pods/a1").code, Code::kOk);
  ASSERT_TRUE(engine->Close().ok());
  engine.reset();
  engine = MustOpen(without);
  ASSERT_NE(engine, nullptr);
  EXPECT_TRUE(engine->Close().ok());
}

TEST_F(EnginePostgres, AServerThatIsKilledComesBack) {
  auto started = PostgresServer::Start();
  ASSERT_TRUE(started.ok()) << started.status();
  auto engine = MustOpen(Options(**started));
  ASSERT_NE(engine, nullptr);
  const ResourceId pods = Register(*engine, "pods");
  Watcher watcher(*engine, pods, kPods, 1);
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/a1", "1").code, Code::kOk);
  (*started)->Kill();
  const WriteResult lost = Put(*engine, pods, "/registry/pods/a1", "2");
  EXPECT_TRUE(lost.code == Code::kUnavailable || lost.code == Code::kOutcomeUnknown)
      << CodeName(lost.code);
  EXPECT_FALSE(engine->CheckBackend("a").ok());
  ASSERT_TRUE((*started)->Restart().ok());
  WriteResult result;
  EXPECT_TRUE(servers::WaitFor(
      [&] {
        result = Put(*engine, pods, "/registry/pods/a1", "3");
        return result.code == Code::kOk;
      },
      absl::Seconds(30)))
      << result.error;
  int64_t last = 0;
  for (const EventPtr& event : watcher.Events(2)) {
    EXPECT_GT(event->rev, last);
    last = event->rev;
  }
  EXPECT_EQ(last, result.revision);
  EXPECT_TRUE(servers::WaitFor([&] { return AllAnswer(*engine); }, absl::Seconds(30)));
  const absl::Status closed = engine->Close();
  EXPECT_TRUE(closed.ok()) << closed;
}

}  // namespace
}  // namespace storage
