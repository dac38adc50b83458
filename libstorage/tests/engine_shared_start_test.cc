// Who starts, who joins, who is refused, and how several servers end (ADR 6).
#include <atomic>
#include <thread>

#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "tests/contract/etcd_old_state.h"
#include "tests/engine/shared.h"
#include "tests/servers/process.h"

namespace storage {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class EngineSharedStart : public SharedTest {
 protected:
  static int64_t Epoch(const Server& server) {
    return nlohmann::json::parse(server.engine->LayoutJson()).at("epoch");
  }
  std::string Version() {
    if (OnEtcd()) return std::to_string(Etcd("d").Value(etcd::StateKey()).at(0));
    return Sql("d", OnPostgres() ? "SELECT value FROM libstorage_meta.meta WHERE name = 'version'"
                                 : "SELECT version FROM $state");
  }
  void SetVersion(const std::string& version) {
    if (OnEtcd()) {
      std::string state = Etcd("d").Value(etcd::StateKey());
      state.at(0) = static_cast<char>(version.at(0) - '0');
      Etcd("d").Put(etcd::StateKey(), state);
      return;
    }
    Sql("d", OnPostgres() ? "UPDATE libstorage_meta.meta SET value = '" + version +
                                "' WHERE name = 'version'"
                          : "UPDATE $state SET version = " + version);
  }
  // As a server of version 1 would have left it.
  void MakeVersion1() {
    if (OnEtcd()) {
      Etcd("d").Put(etcd::StateKey(), StateOfVersion1(Stored(), Topology()));
      Etcd("d").Delete(etcd::TopologyKey());
      return;
    }
    Sql("d", "ALTER TABLE $backends DROP COLUMN alloc");
    if (!OnPostgres()) Sql("d", "DROP TABLE stg_m_servers");
    SetVersion("1");
  }
};

TEST_P(EngineSharedStart, TheFirstStartsAndTheOthersJoin) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  EXPECT_EQ(Epoch(one), 1);
  EXPECT_EQ(Epoch(two), 1);
  EXPECT_EQ(Put(*two.engine, two.nodes, "/registry/nodes/n", "v").revision, 2);
  // The one that began is gone; the other and a third go on in its epoch.
  EXPECT_TRUE(one.engine->Close().ok());
  EXPECT_FALSE(Clean());
  Server three = Open();
  ASSERT_NE(three.engine, nullptr);
  EXPECT_EQ(Epoch(three), 1);
  EXPECT_EQ(Put(*three.engine, three.nodes, "/registry/nodes/n", "v").revision, 3);
  EXPECT_TRUE(two.engine->Close().ok());
  EXPECT_TRUE(three.engine->Close().ok());
  EXPECT_TRUE(Clean());
  EXPECT_EQ(Reserved(), 3);
  Server four = Open();
  ASSERT_NE(four.engine, nullptr);
  EXPECT_EQ(Epoch(four), 2);
  EXPECT_EQ(Put(*four.engine, four.nodes, "/registry/nodes/n", "v").revision, 4);
}

// Numbers of one server alone are everybody's; with several, a kind has those of its
// database. None may be lower than what was shown before.
TEST_P(EngineSharedStart, NumbersDoNotGoDownWhenALaneWasQuiet) {
  {
    Server one = Open();
    ASSERT_NE(one.engine, nullptr);
    EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/a1", "v").revision, 2);
    EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/a2", "v").revision, 3);
    ASSERT_TRUE(one.engine->Close().ok());
  }
  Server two = Open();
  ASSERT_NE(two.engine, nullptr);
  ReadHeader header;
  ListAll(*two.engine, two.nodes, kAllNodes, {}, &header);
  EXPECT_EQ(header.revision, 3);
}

TEST_P(EngineSharedStart, AnotherTopologyIsRefused) {
  Server one = Open();
  ASSERT_NE(one.engine, nullptr);
  EngineOptions other = Options();
  const size_t at = other.topology_text.find("pods/a*");
  other.topology_text.replace(at, 7, "pods/x*");
  absl::Status status = Engine::Open(other).status();
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("running with another topology"), HasSubstr("prefix pods/x*"),
                    HasSubstr("prefix pods/a*"), HasSubstr("give all servers the same one")));
  EXPECT_EQ(status.ToString().find("geheim"), std::string::npos) << status;
  other.topology_text = "backends: []\n";
  status = Engine::Open(other).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("running with another topology"));
  EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/a1", "v").code, Code::kOk);
}

TEST_P(EngineSharedStart, WhoSharesWithNobodyIsRefusedAndRefuses) {
  EngineOptions alone = Options();
  servers::ServerDir dir("");
  alone.topology_text = "backends:\n- endpoint: sqlite://" + dir.path() +
                        "/a.db\n  prefix: {name: a, prefix: pods/a*}\n";
  {
    Server one = Open();
    ASSERT_NE(one.engine, nullptr);
    const absl::Status status = Engine::Open(alone).status();
    EXPECT_EQ(CodeOf(status), Code::kBusy) << status;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("pid "),
                      HasSubstr("only when its metadata store is on PostgreSQL, MySQL or "
                                "etcd and none of its databases is a file"),
                      HasSubstr("rule \"a\" is sqlite")));
  }
  auto engine = Engine::Open(alone);
  ASSERT_FALSE(engine.ok()) << "its rule has another database now";
  alone.default_endpoint = Endpoint("alone");
  engine = Engine::Open(alone);
  ASSERT_TRUE(engine.ok()) << engine.status();
  EngineOptions sharing = Options();
  sharing.metadata_endpoint = alone.default_endpoint;
  const absl::Status status = Engine::Open(sharing).status();
  EXPECT_EQ(CodeOf(status), Code::kBusy) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("used by a process that shares it with nobody"), HasSubstr("pid ")));
}

TEST_P(EngineSharedStart, ANewHistoryIsBegunByOneAlone) {
  Server one = Open();
  ASSERT_NE(one.engine, nullptr);
  EngineOptions restored = Options();
  restored.restored = true;
  const absl::Status status = Engine::Open(restored).status();
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("stop them first"));
}

// A start that was cut short left lanes of the epoch before: whoever comes next sees
// that nobody runs and starts; while somebody runs it is an error, not a second epoch.
TEST_P(EngineSharedStart, LanesOfAnotherEpochAreNotJoined) {
  const EngineOptions options = Options();
  {
    Server one = Open();
    ASSERT_NE(one.engine, nullptr);
    BeginAnEpoch();
    // Nobody starts before the one that is fenced knows it and has given its claim back.
    absl::StatusOr<std::unique_ptr<Engine>> two = Engine::Open(options);
    EXPECT_TRUE(servers::WaitFor(
        [&] {
          if (two.ok()) return true;
          EXPECT_EQ(CodeOf(two.status()), Code::kBusy) << two.status();
          EXPECT_THAT(std::string(two.status().message()),
                      HasSubstr("was killed during its start"));
          two = Engine::Open(options);
          return two.ok();
        },
        absl::Seconds(30)));
    ASSERT_TRUE(two.ok()) << two.status();
    EXPECT_FALSE(one.engine->CheckEngine().ok());
    EXPECT_TRUE((*two)->Close().ok());
  }
  Server three = Open();
  ASSERT_NE(three.engine, nullptr);
  EXPECT_EQ(Epoch(three), 4);
  EXPECT_EQ(Put(*three.engine, three.nodes, "/registry/nodes/n", "v").code, Code::kOk);
}

// While it had no connection another one began a new epoch: it must not go on, and says
// so where a supervisor looks.
TEST_P(EngineSharedStart, AServerOfAnOldEpochIsFenced) {
  const EngineOptions options = Options();
  Server one = Open();
  ASSERT_NE(one.engine, nullptr);
  EXPECT_TRUE(one.engine->CheckEngine().ok());
  BeginAnEpoch();
  EXPECT_TRUE(servers::WaitFor([&] { return !one.engine->CheckEngine().ok(); }, absl::Seconds(10)));
  EXPECT_THAT(std::string(one.engine->CheckEngine().message()), HasSubstr("new epoch"));
  const WriteResult result = Put(*one.engine, one.nodes, "/registry/nodes/n", "v");
  EXPECT_EQ(result.code, Code::kUnavailable) << result.error;
  EXPECT_FALSE(one.engine->CurrentRevision(one.pods).ok());
}

TEST_P(EngineSharedStart, MetadataOfVersion1IsUpgraded) {
  const EngineOptions options = Options();
  {
    Server one = Open();
    ASSERT_NE(one.engine, nullptr);
    EXPECT_EQ(Put(*one.engine, one.nodes, "/registry/nodes/n", "v").revision, 2);
    ASSERT_TRUE(one.engine->Close().ok());
  }
  MakeVersion1();
  Server two = Open();
  ASSERT_NE(two.engine, nullptr);
  EXPECT_EQ(Put(*two.engine, two.nodes, "/registry/nodes/n", "v").revision, 3);
  EXPECT_EQ(Version(), "2");
  EXPECT_EQ(Alloc("default"), 3);
  SetVersion("3");
  const absl::Status status = Engine::Open(options).status();
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("knows versions up to 2"));
}

// Kinds that servers register at the same moment are all remembered: a change of rules
// is checked against each.
TEST_P(EngineSharedStart, EveryKindOfEveryServerIsRemembered) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  constexpr int kKinds = 60;
  std::atomic<int> ready{0};
  const auto register_all = [&](Server& server, const std::string& name) {
    ++ready;
    while (ready < 2) std::this_thread::yield();
    for (int i = 0; i < kKinds; ++i) Register(*server.engine, name + std::to_string(i));
  };
  std::thread other([&] { register_all(two, "two"); });
  register_all(one, "one");
  other.join();
  const nlohmann::json topo = nlohmann::json::parse(Topology());
  EXPECT_EQ(topo.at("resources").size(), 2u * kKinds + 2);  // with pods and nodes
}

// A rule went, one server ran alone without it, and its name is still in the metadata:
// that keeps nobody from a clean end.
TEST_P(EngineSharedStart, ANameThatIsGoneDoesNotSpoilTheEnd) {
  const EngineOptions options = Options();
  {
    Server one = Open();
    ASSERT_NE(one.engine, nullptr);
    EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/a1", "v").code, Code::kOk);
    EXPECT_EQ(Delete(*one.engine, one.pods, "/registry/pods/a1").code, Code::kOk);
    ASSERT_TRUE(one.engine->Close().ok());
  }
  SetAlloc("a", 1000000);
  EngineOptions without = options;
  without.topology_text = "backends: []\n";
  Server two = Open(without);
  ASSERT_NE(two.engine, nullptr);
  EXPECT_EQ(Put(*two.engine, two.nodes, "/registry/nodes/n", "v").code, Code::kOk);
  EXPECT_TRUE(two.engine->Close().ok());
  EXPECT_TRUE(Clean());
}

STG_ON_EACH_METADATA_KIND(EngineSharedStart);

}  // namespace
}  // namespace storage
