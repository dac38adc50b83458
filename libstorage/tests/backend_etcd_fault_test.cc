// etcd that dies, falls silent, loses replies, loses its leader or is full.
#include <atomic>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/contract/etcd_fixture.h"

namespace storage::contract {
namespace {

using servers::CutProxy;
using servers::WaitFor;

constexpr absl::Duration kLong = absl::Seconds(60);

class EtcdFault : public EtcdTest {
 protected:
  // A database behind a proxy.
  void StartBehindProxy() {
    StartDatabase();
    proxy_ = std::make_unique<CutProxy>(server_->port());
    backend_ = MustOpen(absl::StrCat("http://127.0.0.1:", proxy_->port()));
  }
  // One write that is neither a failure nor a success for sure: fence, then the
  // token, as the engine does. True: it is there.
  bool Resolve(Backend* backend, int64_t token, int64_t last) {
    EXPECT_TRUE(WaitFor([&] { return Void(backend, last).ok(); }, kLong));
    auto snapshot = backend->OpenSnapshot();
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    return *(*snapshot)->HasToken(token);
  }

  std::unique_ptr<CutProxy> proxy_;
};

TEST_F(EtcdFault, KilledAmidBatchesNothingAcknowledgedIsLost) {
  StartDatabase();
  std::atomic<int> acknowledged{0};
  std::atomic<bool> stop{false};
  std::atomic<int> failures{0};
  std::thread writer([&] {
    for (int i = 1; !stop; ++i) {
      const std::string n = std::to_string(i);
      if (Write(backend_.get(), {Create("/a/" + n, n), Create("/b/" + n, n)}).ok()) {
        acknowledged = i;
      } else {
        ++failures;
      }
    }
  });
  for (int round = 0; round < 3; ++round) {
    const int before = acknowledged;
    EXPECT_TRUE(WaitFor([&] { return acknowledged > before + 20; }, kLong));
    const int failed = failures;
    server_->Kill();
    EXPECT_TRUE(WaitFor([&] { return failures > failed; }, kLong));
    ASSERT_OK(server_->Restart());
  }
  const int before = acknowledged;
  EXPECT_TRUE(WaitFor([&] { return acknowledged > before; }, kLong));
  stop = true;
  writer.join();
  std::map<std::string, std::string> found;
  ASSERT_OK((*backend_->OpenSnapshot())->List(All(), 0, 0, [&](const Row& row) {
    found[std::string(row.key)] = std::string(row.value);
    return true;
  }));
  EXPECT_GE(found.size(), 120u);
  EXPECT_EQ(found["/a/" + std::to_string(acknowledged)], std::to_string(acknowledged));
  // Whole batches, and the log agrees with the objects.
  EXPECT_EQ(found.size() % 2, 0u);
  for (const auto& [key, value] : found) EXPECT_TRUE(found.contains("/b/" + value)) << key;
  EXPECT_EQ(Events((*backend_->OpenSnapshot()).get(), All(), 0).size(), found.size());
}

TEST_F(EtcdFault, ALostReplyIsUnknownAndTheTokenTells) {
  StartBehindProxy();
  auto txn = Prepare(backend_.get(), {Create("/a/1", "landed")}, 77);
  proxy_->Arm(CutProxy::Lose::kReply, "landed");
  std::thread cutter([&] {
    EXPECT_TRUE(WaitFor([&] { return server_->Value("/a/1") != ""; }, kLong));
    proxy_->Cut();
  });
  const absl::Status status = txn->Commit();
  cutter.join();
  EXPECT_CODE(status, kOutcomeUnknown);
  EXPECT_STREQ(CodeName(CauseOf(status)), "UNAVAILABLE");
  EXPECT_TRUE(proxy_->fired());
  txn.reset();
  EXPECT_TRUE(Resolve(backend_.get(), 77, 1));
  EXPECT_EQ(Rows(), Lines{"/a/1=landed mod 1 create 1"});
}

TEST_F(EtcdFault, ALostRequestIsUnknownAndNeverLandsBehindTheFence) {
  StartBehindProxy();
  auto txn = Prepare(backend_.get(), {Create("/a/1", "astray")}, 78);
  proxy_->Arm(CutProxy::Lose::kRequest, "astray");
  EXPECT_TRUE(WithinThreeSeconds([&] { EXPECT_CODE(txn->Commit(), kOutcomeUnknown); }));
  EXPECT_TRUE(proxy_->fired());
  proxy_->Cut();
  txn.reset();
  EXPECT_FALSE(Resolve(backend_.get(), 78, 1));
  EXPECT_EQ(Rows(), Lines());
  EXPECT_EQ(LaneText(), "m/1/1 head 1 ver 2 floor 0");
}

TEST_F(EtcdFault, AStoppedServerIsUnavailableWithinThreeSeconds) {
  StartDatabase();
  ASSERT_OK(Write(backend_.get(), {Create("/a/1", "one")}));
  server_->process()->Pause();
  const RowSink none = [](const Row&) { return true; };
  EXPECT_TRUE(
      WithinThreeSeconds([&] { EXPECT_CODE(backend_->BeginLane().status(), kUnavailable); }));
  EXPECT_TRUE(
      WithinThreeSeconds([&] { EXPECT_CODE(backend_->OpenSnapshot().status(), kUnavailable); }));
  EXPECT_TRUE(WithinThreeSeconds([&] { EXPECT_CODE(backend_->Get("/a/1", none), kUnavailable); }));
  EXPECT_TRUE(WithinThreeSeconds([&] { EXPECT_CODE(backend_->Ping(), kUnavailable); }));
  server_->process()->Resume();
  EXPECT_TRUE(WaitFor([&] { return Write(backend_.get(), {Update("/a/1", "two")}).ok(); }, kLong));
}

TEST_F(EtcdFault, ARefusedConnectionIsUnavailableAtOnce) {
  StartDatabase();
  server_->Kill();
  EXPECT_TRUE(
      WithinThreeSeconds([&] { EXPECT_CODE(backend_->BeginLane().status(), kUnavailable); }));
  auto opened = OpenEtcdBackend(Options());
  EXPECT_CODE(opened.status(), kUnavailable);
}

// The leader dies: what was acknowledged is there, and what was not known is
// what the token says.
TEST_F(EtcdFault, ThreeMembersLoseTheirLeader) {
  servers::EtcdSpec spec;
  spec.members = 3;
  StartDatabase(spec);
  std::map<std::string, std::string> committed;
  int64_t token = 100;
  for (int i = 1; i <= 60; ++i) {
    if (i == 20 || i == 40) {
      ASSERT_TRUE(WaitFor([&] { return server_->Leader() >= 0; }, kLong));
      const int leader = server_->Leader();
      if (i == 20) server_->process(leader)->Pause();
      if (i == 40) server_->Kill(leader);
      if (i == 20) {
        ASSERT_TRUE(WaitFor([&] { return Void(backend_.get(), 0).ok(); }, kLong));
        server_->process(leader)->Resume();
      }
    }
    const std::string key = "/a/" + std::to_string(i);
    for (bool done = false; !done;) {
      auto txn = backend_->BeginLane();
      if (!txn.ok()) {
        ASSERT_EQ(CodeOf(txn.status()), Code::kUnavailable) << txn.status();
        continue;
      }
      const int64_t first = (*txn)->lane().head + 1;
      const std::vector<Op> ops = {Create(key, "v")};
      ++token;
      absl::Status status = (*txn)->Apply(Mutations(ops, {"/a/"}, first), token);
      if (status.ok()) status = (*txn)->Guard(Us(), first, first);
      if (status.ok()) status = (*txn)->Commit();
      txn->reset();
      done = status.ok();
      if (CodeOf(status) == Code::kOutcomeUnknown) done = Resolve(backend_.get(), token, first);
      const bool outage = ClassOf(CodeOf(status)) != CodeClass::kFinal;
      ASSERT_TRUE(done || outage) << status;
    }
    committed[key] = "v";
  }
  EXPECT_EQ(Rows().size(), committed.size());
  EXPECT_EQ(Events((*backend_->OpenSnapshot()).get(), All(), 0).size(), committed.size());
}

// etcd with an alarm refuses all that has a put in it, so our deletes as well;
// it says so, with what to do.
TEST_F(EtcdFault, AFullServerIsNoSpace) {
  servers::EtcdSpec spec;
  spec.arguments = {"--quota-backend-bytes=8000000"};
  StartDatabase(spec);
  absl::Status status;
  int written = 0;
  for (; status.ok() && written < 100; written += status.ok() ? 1 : 0) {
    status =
        Write(backend_.get(), {Create("/a/" + std::to_string(written), std::string(500000, 'v'))});
  }
  EXPECT_CODE(status, kNoSpace);
  EXPECT_NE(status.message().find("etcdctl alarm disarm"), std::string::npos) << status;
  EXPECT_GT(written, 3);
  EXPECT_EQ(Rows().size(), static_cast<size_t>(written)) << "reads go on";
  EXPECT_CODE(Write(backend_.get(), {Delete("/a/0")}), kNoSpace);
}

TEST_F(EtcdFault, LimitsAreNamed) {
  StartDatabase();
  std::vector<Op> many;
  for (int i = 0; i < 130; ++i) many.push_back(Create("/a/" + std::to_string(i), "v"));
  absl::Status status = Write(backend_.get(), many);
  EXPECT_CODE(status, kTooLarge);
  EXPECT_NE(status.message().find("--max-txn-ops, 128"), std::string::npos) << status;
  status = Write(backend_.get(), {Create("/a/big", std::string(1536 * 1024, 'v'))});
  EXPECT_CODE(status, kTooLarge);
  EXPECT_NE(status.message().find("--max-request-bytes"), std::string::npos) << status;
  status = Write(backend_.get(), {Create("/a/big", std::string(3 << 20, 'v'))});
  EXPECT_CODE(status, kTooLarge);
  EXPECT_NE(status.message().find("--max-request-bytes"), std::string::npos) << status;
  EXPECT_EQ(Rows(), Lines());
  // What the engine is told fits: also when every expiry changes, in several collections.
  const BatchLimits limits = backend_->limits();
  std::vector<Op> batch;
  const int64_t most = limits.operations / limits.expiring_put;
  for (int64_t i = 0; i < most; ++i) {
    Op op = Create("/" + std::to_string(i % 6) + "/" + std::to_string(i),
                   std::string(static_cast<size_t>(limits.bytes / most), 'v'));
    op.expire_at_ms = 5000 + i;
    batch.push_back(op);
  }
  EXPECT_OK(Write(backend_.get(), batch));
  for (Op& op : batch) {
    op.kind = ChangeKind::kUpdate;
    op.expire_at_ms += 1000;
  }
  EXPECT_OK(Write(backend_.get(), batch));
  EXPECT_OK(Write(backend_.get(), {Create("/a/big", std::string(1536 * 1024 - 1024, 'v'))}));
  EXPECT_EQ(Rows().size(), batch.size() + 1);
  EXPECT_EQ(Expired((*backend_->OpenSnapshot()).get(), 5999).size(), 0u);
}

// Two processes: the second commit finds another head.
TEST_F(EtcdFault, AnotherWriterIsNoticedByTheGuard) {
  StartDatabase();
  auto other = MustOpen();
  auto txn = Prepare(backend_.get(), {Create("/a/1", "mine")});
  ASSERT_OK(Write(other.get(), {Create("/a/2", "theirs")}));
  const absl::Status status = txn->Commit();
  EXPECT_CODE(status, kBusy);
  EXPECT_NE(status.message().find("lane guard"), std::string::npos) << status;
  txn.reset();
  EXPECT_EQ(Rows(), Lines{"/a/2=theirs mod 1 create 1"});
  // A void with nothing to change is a fence all the same.
  txn = Prepare(backend_.get(), {Create("/a/1", "mine")});
  ASSERT_OK(Void(other.get(), 0));
  EXPECT_CODE(txn->Commit(), kBusy);
}

TEST_F(EtcdFault, CompactionFreesWhatNobodyMayAskFor) {
  StartDatabase();
  ASSERT_OK(Write(backend_.get(), {Create("/a/1", "one"), Create("/a/2", "two")}));
  auto old = *backend_->OpenSnapshot();
  const int64_t etcd_old = server_->Revision();
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(Write(backend_.get(), {Update("/a/1", std::to_string(i)), Update("/a/2", "x")}));
  }
  ASSERT_OK(RaiseFloor(backend_.get(), 9));  // in the middle of a batch
  EXPECT_EQ(*backend_->DeleteHistory(100), 9);
  ASSERT_TRUE(backend_->Maintain(true).ok());
  EXPECT_EQ(List(old.get(), All(), 1), Lines{"/a/1=one mod 1 create 1"}) << "held by the snapshot";
  old.reset();
  const auto readable = [&](int64_t etcd_rev) {
    return server_
               ->Post("/v3/kv/range",
                      absl::StrCat("{\"key\":\"YQ==\",\"revision\":\"", etcd_rev, "\"}"))
               .find("compacted") == std::string::npos;
  };
  EXPECT_TRUE(readable(etcd_old));
  EXPECT_EQ(*backend_->DeleteHistory(100), 0);
  ASSERT_TRUE(backend_->Maintain(true).ok());
  EXPECT_FALSE(readable(etcd_old + 2));
  EXPECT_EQ(Rows(9), (Lines{"/a/1=3 mod 9 create 1", "/a/2=x mod 8 create 2"}));
  EXPECT_EQ(Events((*backend_->OpenSnapshot()).get(), All(), 9).size(), 3u);
}

}  // namespace
}  // namespace storage::contract
