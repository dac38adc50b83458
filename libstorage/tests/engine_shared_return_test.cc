// Every session of a database ended at once while a server starts: those that still run come
// back, and are not fenced (ADR 6).
#include <algorithm>

#include "nlohmann/json.hpp"
#include "src/backend/holder.h"
#include "tests/engine/shared.h"
#include "tests/servers/process.h"

namespace storage {
namespace {

class EngineSharedReturn : public SharedTest {
 protected:
  static int64_t Epoch(const Server& server) {
    return nlohmann::json::parse(server.engine->LayoutJson()).at("epoch");
  }
  // Starts that waited for others.
  int64_t Waits() {
    const std::vector<std::string> messages = logger_.messages();
    return std::count_if(messages.begin(), messages.end(), [](const std::string& message) {
      return message.find("waiting for them") != std::string::npos;
    });
  }
  // As after kill -9.
  void ForgetTheEnd() {
    ASSERT_TRUE(Clean());
    if (OnEtcd()) {
      etcd::Stored stored = Stored();
      stored.state.clean = false;
      Store(stored);
    } else {
      Sql("d", OnPostgres() ? "UPDATE $state SET clean = false" : "UPDATE $state SET clean = 0");
    }
  }
  void SetTopology(const std::string& topology) {
    if (OnEtcd()) {
      Etcd("d").Put(etcd::TopologyKey(), etcd::EncodeTopology(topology));
    } else {
      Sql("d", absl::StrCat("UPDATE $state SET topo = '", topology, "'"));
    }
  }
  // Its first write after an outage may be refused.
  bool Writes(Server& server, const std::string& key) {
    return servers::WaitFor(
        [&] { return Put(*server.engine, server.nodes, key, "v").code == Code::kOk; },
        absl::Seconds(20));
  }
};

TEST_P(EngineSharedReturn, WhoLostItsSessionIsNotFencedByOneThatStarts) {
  Server one = Open();
  Server two = Open();
  ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
  ASSERT_TRUE(Writes(one, "/registry/nodes/before"));
  EndSessions();
  Server three = Open();
  ASSERT_NE(three.engine, nullptr);
  EXPECT_EQ(Epoch(three), 1);
  EXPECT_TRUE(Writes(one, "/registry/nodes/one"));
  EXPECT_TRUE(Writes(two, "/registry/nodes/two"));
  EXPECT_TRUE(Writes(three, "/registry/nodes/three"));
  EXPECT_TRUE(one.engine->CheckEngine().ok());
  EXPECT_TRUE(two.engine->CheckEngine().ok());
}

// A lone server that was killed is started again at once; where others may run, which the
// metadata store remembers, they are waited for.
TEST_P(EngineSharedReturn, OnlyServersThatMayRunAreWaitedFor) {
  for (const bool shared : {false, true, false}) {
    {
      Server one = Open();
      ASSERT_NE(one.engine, nullptr);
      Server two;
      if (shared) two = Open();
      ASSERT_TRUE(Writes(one, "/registry/nodes/n"));
    }
    const int64_t before = Waits();
    ForgetTheEnd();
    ASSERT_NE(Open().engine, nullptr);
    EXPECT_EQ(Waits() - before, shared ? 1 : 0);
  }
}

TEST_P(EngineSharedReturn, AServerOfAnotherHostIsWaitedFor) {
  ASSERT_NE(Open().engine, nullptr);
  ForgetTheEnd();
  nlohmann::json topology = nlohmann::json::parse(Topology());
  ASSERT_EQ(topology.at("began_on"), HostName());
  topology["began_on"] = "elsewhere";
  SetTopology(topology.dump());
  Server two = Open();
  ASSERT_NE(two.engine, nullptr);
  EXPECT_EQ(Waits(), 1);
  EXPECT_EQ(Epoch(two), 2);
  EXPECT_EQ(nlohmann::json::parse(Topology()).at("began_on"), HostName());
}

STG_ON_EACH_METADATA_KIND(EngineSharedReturn);

}  // namespace
}  // namespace storage
