// Migrations and servers that run, or seem to: with databases that several servers share
// (docs/adr/0006-several-servers.md), and with a server that lost its claim unnoticed.
#include "gmock/gmock.h"
#include "src/engine/backends.h"
#include "src/engine/migrate.h"
#include "tests/engine/shared.h"
#include "tests/servers/process.h"

namespace storage {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class MigrateShared : public SharedTest {
 protected:
  // Nodes go to a database of their own; pods and the metadata stay.
  EngineOptions NewOptions() { return With(Options(), "n", "nodes"); }
  EngineOptions With(EngineOptions options, const std::string& name, const std::string& prefix) {
    absl::StrAppend(&options.topology_text, "- endpoint: \"", Endpoint(name),
                    "\"\n  prefix: {name: ", name, ", prefix: ", prefix, "}\n");
    return options;
  }
  MigrateOptions Moving() {
    MigrateOptions options;
    options.engine = NewOptions();
    return options;
  }
  static absl::Status Migrate(MigrateOptions options) {
    auto migration = Migration::Open(std::move(options));
    return migration.ok() ? (*migration)->Run() : migration.status();
  }
  static void ExpectRefused(const absl::Status& status) {
    EXPECT_EQ(CodeOf(status), Code::kBusy) << status;
    EXPECT_THAT(
        std::string(status.message()),
        AllOf(HasSubstr("nothing is moved while an API server of this topology runs"),
              HasSubstr("is used by "), HasSubstr(": pid "), HasSubstr("stop all of them")));
    EXPECT_EQ(status.ToString().find("geheim"), std::string::npos) << status;
  }
  static size_t CountOf(const Server& server, ResourceId resource, const Range& range) {
    ReadHeader header;
    return ListAll(*server.engine, resource, range, {}, &header).size();
  }
};

TEST_P(MigrateShared, AllServersAreStoppedBeforeAndShareAfterwards) {
  int64_t last = 0;
  {
    Server one = Open();
    Server two = Open();
    ASSERT_TRUE(one.engine != nullptr && two.engine != nullptr);
    EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/a1", "v").code, Code::kOk);
    EXPECT_EQ(Put(*two.engine, two.nodes, "/registry/nodes/n1", "v").code, Code::kOk);
    ExpectRefused(Migrate(Moving()));
    ASSERT_TRUE(one.engine->Close().ok());
    ExpectRefused(Migrate(Moving()));
    last = Put(*two.engine, two.nodes, "/registry/nodes/n2", "v").revision;
    EXPECT_GT(last, 0) << "it was not disturbed";
    ASSERT_TRUE(two.engine->Close().ok());
  }
  const absl::Status status = Migrate(Moving());
  ASSERT_TRUE(status.ok()) << status;
  Server three = Open(NewOptions());
  Server four = Open(NewOptions());
  ASSERT_TRUE(three.engine != nullptr && four.engine != nullptr);
  EXPECT_EQ(CountOf(three, three.nodes, kAllNodes), 2u);
  EXPECT_EQ(CountOf(four, four.pods, kAllPods), 1u);
  const WriteResult put = Put(*three.engine, three.nodes, "/registry/nodes/n3", "v");
  EXPECT_EQ(put.code, Code::kOk) << put.error;
  EXPECT_GT(put.revision, last);
  EXPECT_EQ(CountOf(four, four.nodes, kAllNodes), 3u);
  EXPECT_EQ(Put(*four.engine, four.pods, "/registry/pods/a2", "v").code, Code::kOk);
  EXPECT_EQ(CountOf(three, three.pods, kAllPods), 2u);
  EXPECT_TRUE(three.engine->Close().ok());
  EXPECT_TRUE(four.engine->Close().ok());
}

// A server that lost its connection while a migration began is fenced, but when the
// migration was ended it has its share of the claim again: others would join it.
TEST_P(MigrateShared, NobodyJoinsInTheMiddleOfAMigration) {
  {
    Server one = Open();
    ASSERT_NE(one.engine, nullptr);
    for (const char* name : {"n1", "n2"}) {
      EXPECT_EQ(Put(*one.engine, one.nodes, absl::StrCat("/registry/nodes/", name), "v").code,
                Code::kOk);
    }
    ASSERT_TRUE(one.engine->Close().ok());
  }
  for (const char* phase : {"copying", "discarding"}) {
    bool stop = false;
    MigrateOptions options = Moving();
    options.progress = [&](const char* what, int64_t, int64_t) {
      stop |= std::string(what) == phase;
    };
    options.stop = [&] { return stop; };
    ASSERT_EQ(CodeOf(Migrate(options)), Code::kCancelled) << phase;
    auto fenced = OpenMetadata(*ParseEndpoint(Options().default_endpoint), true, EngineOptions());
    ASSERT_TRUE(fenced.ok()) << fenced.status();
    ASSERT_TRUE((*fenced)->shared()->Admit().ok());
    for (const EngineOptions& rules : {Options(), NewOptions()}) {
      const absl::Status status = Engine::Open(rules).status();
      EXPECT_EQ(CodeOf(status), Code::kInvalid) << phase << ": " << status;
      EXPECT_THAT(std::string(status.message()),
                  AllOf(HasSubstr("is not over"), HasSubstr("`stgctl migrate`")));
    }
    ExpectRefused(Migrate(Moving()));
  }
  ASSERT_TRUE(Migrate(Moving()).ok());
  Server two = Open(NewOptions());
  ASSERT_NE(two.engine, nullptr);
  EXPECT_EQ(CountOf(two, two.nodes, kAllNodes), 2u);
}

class MigrateBesideALoneServer : public MigrateShared {
 protected:
  // The metadata store is elsewhere, so that lanes of the server are not shared.
  EngineOptions Alone(EngineOptions options) {
    options.metadata_endpoint = absl::StrCat("sqlite://", dir_.path(), "/meta.db");
    return options;
  }
  // A server that keeps numbers up to `reserved` in its hand.
  void Leave(int64_t reserved) {
    Server one = Open(Alone(Options()));
    ASSERT_NE(one.engine, nullptr);
    EXPECT_EQ(Put(*one.engine, one.pods, "/registry/pods/b1", "v").revision, 2);
    ASSERT_TRUE(one.engine->Close().ok());
    one.engine.reset();
    if (reserved == 0) return;
    auto metadata = OpenMetadata(*ParseEndpoint(Alone(Options()).metadata_endpoint), false, {});
    ASSERT_TRUE(metadata.ok()) << metadata.status();
    ASSERT_TRUE((*metadata)->Reserve(reserved, {}).ok());
  }
  // Writes as it, past everybody's knowledge.
  void WriteLate() {
    auto backend =
        OpenBackend("late", *ParseEndpoint(Options().default_endpoint), nullptr, false, {});
    ASSERT_TRUE(backend.ok()) << backend.status();
    auto txn = (*backend)->BeginLane();
    ASSERT_TRUE(txn.ok()) << txn.status();
    const Lane lane = (*txn)->lane();
    std::vector<Mutation> mutations;
    for (const std::string_view key : {"/registry/nodes/late", "/registry/pods/b0"}) {
      Mutation& mutation = mutations.emplace_back();
      mutation.collection = key.substr(0, key.rfind('/') + 1);
      mutation.key = key;
      mutation.value = "acknowledged";
      mutation.rev = lane.head + static_cast<int64_t>(mutations.size());
    }
    ASSERT_TRUE((*txn)->Apply(mutations, 1).ok());
    const LaneOwner owner{lane.m_id, lane.epoch, lane.gen};
    ASSERT_TRUE((*txn)->Guard(owner, lane.head + 1, lane.head + 2).ok());
    ASSERT_TRUE((*txn)->Commit().ok());
  }
  // Some pods and all nodes go, but before WriteLate there are no nodes.
  MigrateOptions MovingBoth() {
    MigrateOptions options;
    options.engine = Alone(With(NewOptions(), "m", "pods/b*"));
    return options;
  }
  void ExpectAllServed() {
    Server two = Open(MovingBoth().engine);
    ASSERT_NE(two.engine, nullptr);
    EXPECT_EQ(CountOf(two, two.nodes, kAllNodes), 1u);
    EXPECT_EQ(CountOf(two, two.pods, kAllPods), 2u);
  }

  const servers::ServerDir dir_{""};
};

// A lone server needs its metadata store only now and then: its claim may be gone for a
// while before it knows. What it wrote until its lanes were fenced was acknowledged.
TEST_P(MigrateBesideALoneServer, WhatIsWrittenUntilTheFenceMovesToo) {
  Leave(1000);
  auto migration = Migration::Open(MovingBoth());
  ASSERT_TRUE(migration.ok()) << migration.status();
  ASSERT_EQ((*migration)->moves().size(), 1u);
  WriteLate();
  const absl::Status status = (*migration)->Run();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ((*migration)->moves().size(), 2u);
  migration->reset();
  ExpectAllServed();
}

// Revisions above what the metadata store knows of: no number of ours is above them.
TEST_P(MigrateBesideALoneServer, WhatNobodyReservedIsRefused) {
  Leave(0);
  auto migration = Migration::Open(MovingBoth());
  ASSERT_TRUE(migration.ok()) << migration.status();
  WriteLate();
  const absl::Status status = (*migration)->Run();
  EXPECT_EQ(CodeOf(status), Code::kUnavailable) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("stop it and run again"));
  migration->reset();
  ASSERT_TRUE(Migrate(MovingBoth()).ok());
  ExpectAllServed();
}

STG_ON_EACH_METADATA_KIND(MigrateShared);
STG_ON_EACH_METADATA_KIND(MigrateBesideALoneServer);

}  // namespace
}  // namespace storage
