// The engine on etcd: a rule and the default database in clusters of their own,
// the metadata store beside the default database.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/contract/test_logger.h"
#include "tests/engine/harness.h"
#include "tests/servers/etcd_server.h"

namespace storage {
namespace {

using servers::EtcdServer;
using servers::WaitFor;

const Range kPods{"/registry/pods/", "/registry/pods0"};

class EngineEtcd : public testing::Test {
 protected:
  void SetUp() override {
    auto one = EtcdServer::Start();
    ASSERT_TRUE(one.ok()) << one.status();
    auto other = EtcdServer::Start();
    ASSERT_TRUE(other.ok()) << other.status();
    main_ = *std::move(one);
    side_ = *std::move(other);
  }
  // One database for pods whose names begin with a, one for everything else.
  EngineOptions Options() {
    EngineOptions options;
    options.default_endpoint = "multi://" + main_->Endpoints();
    options.topology_text = absl::StrCat("backends:\n- endpoint: ", side_->Endpoints(),
                                         "\n  prefix: {name: a, prefix: pods/a*}\n");
    options.logger = &logger_;
    return options;
  }
  std::unique_ptr<Engine> MustOpen() {
    auto engine = Engine::Open(Options());
    EXPECT_TRUE(engine.ok()) << engine.status();
    return engine.ok() ? *std::move(engine) : nullptr;
  }
  contract::TestLogger logger_;
  std::unique_ptr<EtcdServer> main_, side_;
};

TEST_F(EngineEtcd, OneHistoryOverTwoClustersAndARestart) {
  auto engine = MustOpen();
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
  engine = MustOpen();
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
  // A watch from before the restart reads the log.
  Watcher late(*engine, pods, kPods, 2);
  EXPECT_EQ(late.Events(3).size(), 3u);
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/b2", "three").revision, 6);
  EXPECT_EQ(late.Events(1).at(0)->rev, 6);
  ASSERT_TRUE(engine->Close().ok());
}

TEST_F(EngineEtcd, ManyWritersAndAnExpiry) {
  auto engine = MustOpen();
  ASSERT_NE(engine, nullptr);
  const ResourceId pods = Register(*engine, "pods");
  std::vector<std::future<Code>> codes;
  for (int i = 0; i < 300; ++i) {
    auto op = MakePut(pods, absl::StrCat("/registry/pods/b", i), std::string(200, 'v'), 0);
    if (i % 3 == 0) op->ttl_ms = 1;
    auto promise = std::make_shared<std::promise<Code>>();
    codes.push_back(promise->get_future());
    op->done = [promise](WriteResult&& result) { promise->set_value(result.code); };
    engine->Write(op);
  }
  for (auto& code : codes) EXPECT_EQ(code.get(), Code::kOk);
  ReadHeader header;
  EXPECT_TRUE(
      WaitFor([&] { return ListAll(*engine, pods, kPods, ReadOptions(), &header).size() == 200u; },
              absl::Seconds(60)));
  EXPECT_EQ(header.revision, 1 + 300 + 100);
  ASSERT_TRUE(engine->Close().ok());
}

TEST_F(EngineEtcd, AServerThatIsKilledComesBack) {
  auto engine = MustOpen();
  ASSERT_NE(engine, nullptr);
  const ResourceId pods = Register(*engine, "pods");
  Watcher watcher(*engine, pods, kPods, 1);
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/a1", "1").code, Code::kOk);
  side_->Kill();
  const WriteResult lost = Put(*engine, pods, "/registry/pods/a1", "2");
  EXPECT_TRUE(lost.code == Code::kUnavailable || lost.code == Code::kOutcomeUnknown)
      << CodeName(lost.code);
  EXPECT_FALSE(engine->CheckBackend("a").ok());
  EXPECT_EQ(Put(*engine, pods, "/registry/pods/b1", "1").code, Code::kOk) << "the other goes on";
  ASSERT_TRUE(side_->Restart().ok());
  WriteResult result;
  EXPECT_TRUE(WaitFor(
      [&] {
        result = Put(*engine, pods, "/registry/pods/a1", "3");
        return result.code == Code::kOk;
      },
      absl::Seconds(60)))
      << result.error;
  int64_t last = 0;
  for (const EventPtr& event : watcher.Events(3)) {
    EXPECT_GT(event->rev, last);
    last = event->rev;
  }
  EXPECT_EQ(last, result.revision);
  EXPECT_TRUE(WaitFor([&] { return AllAnswer(*engine); }, absl::Seconds(30)));
  const absl::Status closed = engine->Close();
  EXPECT_TRUE(closed.ok()) << closed;
}

TEST_F(EngineEtcd, AClusterThatIsNotThereIsNamedWithItsRule) {
  EngineOptions options = Options();
  options.topology_text =
      "backends:\n- endpoint: http://127.0.0.1:1\n  prefix: {name: etcd, prefix: pods}\n";
  const absl::Status status = Engine::Open(options).status();
  EXPECT_EQ(CodeOf(status), Code::kUnavailable);
  EXPECT_NE(status.message().find("rule \"etcd\": etcd 127.0.0.1:1: "), std::string::npos)
      << status;
}

}  // namespace
}  // namespace storage
