// Migrations over every pair of kinds of databases, and with the metadata store in
// each of them: ended at a step, taken up, and everything is as it was.
#include "src/backend/etcd/meta_state.h"
#include "tests/contract/etcd_old_state.h"
#include "tests/engine/migrate_servers.h"
#include "tests/servers/tcp_proxy.h"

namespace storage {
namespace {

class MigratePairs : public MigrateServers,
                     public testing::WithParamInterface<std::tuple<const char*, const char*>> {};

TEST_P(MigratePairs, EndedAndTakenUp) {
  const auto [from_kind, to_kind] = GetParam();
  default_ = absl::StrCat("sqlite://", dir_, "/default.db");
  const std::string from = NewEndpoint(from_kind);
  const std::string to = NewEndpoint(to_kind);
  const std::string old_rules = Rule(from);
  const std::string new_rules = Rule(to);
  Fill(old_rules);
  const Lines before = ContentsOf(from);
  ASSERT_EQ(before.size(), static_cast<size_t>(kPodsOfEach));
  if (std::string(from_kind) != "sqlite") {
    const absl::Status status = Migrate(Moving("", new_rules));
    EXPECT_THAT(Message(status), HasSubstr("give the topology of before with --old"));
    EXPECT_EQ(status.ToString().find("geheim"), std::string::npos) << status;
  }
  // Ends at every third step, again and again, until it is through.
  int runs = 0;
  absl::Status status;
  for (int fail_at = 3;; fail_at += 3) {
    int calls = 0;
    MigrateOptions options = Moving(old_rules, new_rules);
    options.step_for_test = [&]() -> absl::Status {
      return ++calls == fail_at ? MakeStatus(Code::kUnavailable, "injected") : absl::OkStatus();
    };
    status = Migrate(options);
    ++runs;
    if (status.ok()) break;
    ASSERT_EQ(CodeOf(status), Code::kUnavailable) << fail_at << ": " << status;
    if (fail_at == 24 || fail_at == 27) {  // announced, and not at its end
      EXPECT_THAT(Message(Engine::Open(Options(new_rules)).status()), HasSubstr("is not over"));
    }
  }
  EXPECT_GT(runs, 8);
  EXPECT_EQ(ContentsOf(to), before);
  EXPECT_EQ(ContentsOf(from), Lines());
  EXPECT_EQ(ObjectsOf(to), kPodsOfEach);
  EXPECT_EQ(ObjectsOf(from), 0);
  ExpectServed(new_rules);
}

INSTANTIATE_TEST_SUITE_P(All, MigratePairs, testing::ValuesIn(MovePairs(1)), [](const auto& p) {
  return absl::StrCat(std::get<0>(p.param), "_to_", std::get<1>(p.param));
});

class MigrateMetadata : public MigrateServers, public testing::WithParamInterface<const char*> {};

// The metadata store beside the default database, out of which a new rule takes
// objects, and into which they come back when the rule goes.
TEST_P(MigrateMetadata, OutOfTheDefaultDatabaseAndBack) {
  default_ = NewEndpoint(GetParam());
  const std::string rules = Rule(NewEndpoint("sqlite"));
  Fill("");
  const Lines before = ContentsOf(default_);
  for (const auto& [old_rules, new_rules] : {std::pair(std::string(), rules), {rules, ""}}) {
    int calls = 0;
    MigrateOptions options = Moving(old_rules, new_rules);
    options.step_for_test = [&]() -> absl::Status {
      return ++calls == 25 ? MakeStatus(Code::kUnavailable, "injected") : absl::OkStatus();
    };
    absl::Status status = Migrate(options);
    ASSERT_EQ(CodeOf(status), Code::kUnavailable) << status;
    status = Migrate(Moving(old_rules, new_rules));
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(ContentsOf(default_).size(), new_rules.empty() ? before.size() : before.size() / 2);
  }
  EXPECT_EQ(ContentsOf(default_), before);
  ExpectServed("");
}

INSTANTIATE_TEST_SUITE_P(All, MigrateMetadata,
                         testing::Values("sqlite", "postgres", "mysql", "etcd"),
                         [](const auto& p) { return std::string(p.param); });

// A server of a version that held no claim in etcd: whether it runs is asked for.
TEST_F(MigrateServers, BehindAnUncleanEndWithoutAClaimItIsAskedFor) {
  default_ = NewEndpoint("etcd");
  EtcdServer& cluster = EtcdServer::ForPlace(places_.back()->path());
  const std::string rules = Rule(NewEndpoint("sqlite"));
  Fill("");
  servers::TcpProxy proxy(cluster.port());
  EngineOptions through = Options("");
  through.metadata_endpoint = absl::StrCat("http://127.0.0.1:", proxy.port());
  auto engine = Engine::Open(through);
  ASSERT_TRUE(engine.ok()) << engine.status();
  const ResourceId pods = Register(**engine, "pods");
  const auto nothing = [](const Row&) { return true; };
  ReadHeader header;
  EXPECT_TRUE((*engine)->Get(pods, "/registry/pods/none", {}, nothing, &header).ok());
  EXPECT_EQ(CodeOf(Migrate(Moving("", rules))), Code::kBusy);
  proxy.SetOff(true);
  cluster.RevokeLeases();
  etcd::Stored stored;
  ASSERT_TRUE(etcd::DecodeState(cluster.Value(etcd::StateKey()), "", &stored).ok());
  cluster.Put(etcd::StateKey(),
              StateOfVersion1(stored, cluster.Value(etcd::TopologyKey()).substr(1)));
  cluster.Delete(etcd::TopologyKey());
  for (int times = 0; times < 2; ++times) {
    const absl::Status status = Migrate(Moving("", rules));
    EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
    EXPECT_THAT(Message(status), HasSubstr("add --server-stopped"));
  }
  // It said so, and was wrong: the server writes nothing more.
  MigrateOptions options = Moving("", rules);
  options.server_stopped = true;
  const absl::Status moved = Migrate(options);
  ASSERT_TRUE(moved.ok()) << moved;
  proxy.SetOff(false);
  EXPECT_TRUE(servers::WaitFor([&] { return !(*engine)->CheckEngine().ok(); }, absl::Seconds(20)));
  EXPECT_EQ(Put(**engine, pods, "/registry/pods/a1", "late").code, Code::kUnavailable);
  // And does not call deleted what moved.
  EXPECT_EQ(CodeOf((*engine)->Get(pods, "/registry/pods/a1", {}, nothing, &header)),
            Code::kUnavailable);
  EXPECT_EQ(CodeOf((*engine)->List(pods, kPods, {}, nothing, &header)), Code::kUnavailable);
  EXPECT_EQ(CodeOf((*engine)->Count(pods, kPods, &header).status()), Code::kUnavailable);
  engine->reset();
  ExpectServed(rules);
}

}  // namespace
}  // namespace storage
