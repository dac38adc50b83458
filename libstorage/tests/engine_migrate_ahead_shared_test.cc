// Copies made ahead of a migration, beside several servers that share a topology.
#include <atomic>
#include <thread>

#include "gmock/gmock.h"
#include "src/engine/migrate.h"
#include "tests/engine/shared.h"

namespace storage {
namespace {

using testing::HasSubstr;

class AheadShared : public SharedTest {
 protected:
  // Nodes go to a database of their own.
  EngineOptions NewOptions() {
    EngineOptions options = Options();
    absl::StrAppend(&options.topology_text, "- endpoint: \"", Endpoint("n"),
                    "\"\n  prefix: {name: n, prefix: nodes}\n");
    return options;
  }
  absl::Status Migrate(bool ahead, std::function<void()> pass_done = nullptr) {
    MigrateOptions options;
    options.engine = NewOptions();
    options.ahead = ahead;
    if (pass_done != nullptr) {
      options.pass_done = [&](const AheadPass&) { pass_done(); };
    }
    auto migration = Migration::Open(std::move(options));
    return migration.ok() ? (*migration)->Run() : migration.status();
  }
  static Pairs Nodes(const Server& server) {
    ReadHeader header;
    return ListAll(*server.engine, server.nodes, kAllNodes, {}, &header);
  }
  static void WriteSome(const Server& server, const std::string& name, int i) {
    const std::string node = absl::StrCat("/registry/nodes/", name);
    // On a busy machine a database may not answer in time; on etcd, one of two servers that
    // write all the time may lose the race for the lane until it gives up.
    for (const auto& [key, value] : Pairs{{absl::StrCat(node, i), "new"}, {node, "changed"}}) {
      const WriteResult put = Put(*server.engine, server.nodes, key, value);
      EXPECT_TRUE(put.code == Code::kOk || put.code == Code::kUnavailable ||
                  put.code == Code::kBusy)
          << put.error;
    }
    Delete(*server.engine, server.nodes, absl::StrCat(node, i - 3));
  }
};

TEST_P(AheadShared, ServersAreNotDisturbedAndAllMoves) {
  Pairs before;
  {
    Server one = Open();
    Server two = Open();
    ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
    std::atomic<bool> stop = false;
    std::atomic<int> rounds = 0;
    const auto write = [&](const Server& server, const char* name) {
      for (int i = 0; !stop; ++i, ++rounds) WriteSome(server, name, i);
    };
    std::thread first([&] { write(one, "one"); });
    std::thread second([&] { write(two, "two"); });
    const auto more_is_written = [&] {
      for (const int until = rounds + 4; rounds < until;) std::this_thread::yield();
    };
    more_is_written();
    for (int runs = 0; runs < 2; ++runs) {
      const absl::Status status = Migrate(true, more_is_written);
      EXPECT_TRUE(status.ok()) << status;
    }
    stop = true;
    first.join();
    second.join();
    // Neither joins with rules that name the copies, nor is it started with them.
    EXPECT_THAT(std::string(Engine::Open(NewOptions()).status().message()),
                HasSubstr("holds copies that `stgctl migrate --ahead` made"));
    EXPECT_EQ(CodeOf(Migrate(false)), Code::kBusy) << "servers run";
    before = Nodes(one);
    EXPECT_EQ(Nodes(two), before);
    ASSERT_TRUE(one.engine->Close().ok());
    ASSERT_TRUE(two.engine->Close().ok());
  }
  const absl::Status status = Migrate(false);
  ASSERT_TRUE(status.ok()) << status;
  Server three = Open(NewOptions());
  Server four = Open(NewOptions());
  ASSERT_TRUE(three.engine != nullptr && four.engine != nullptr);
  EXPECT_EQ(Nodes(three), before);
  WriteSome(three, "three", 0);
  EXPECT_EQ(Nodes(four).size(), before.size() + 2);
}

STG_ON_EACH_METADATA_KIND(AheadShared);

}  // namespace
}  // namespace storage
