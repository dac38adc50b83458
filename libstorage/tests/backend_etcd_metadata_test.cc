// The metadata store in etcd: its claim, which ends with a lease, what version 1 left, and
// lost replies. What it has in common with the other kinds: backend_etcd_contract_test,
// backend_shared_metadata_test.
#include <unistd.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "src/backend/etcd/meta_state.h"
#include "tests/contract/etcd_fixture.h"
#include "tests/contract/etcd_old_state.h"

namespace storage::contract {
namespace {

using servers::WaitFor;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

constexpr char kDead[] = "\1pid 1 on host far";

class EtcdMetadataTest : public EtcdTest {
 protected:
  void SetUp() override { StartServer(); }
  std::unique_ptr<MetadataStore> Open(bool several = false) {
    auto store = OpenEtcdMetadata(Options(), several);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  std::string OpenMessage(bool several) {
    const absl::Status status = OpenEtcdMetadata(Options(), several).status();
    EXPECT_CODE(status, kBusy);
    return std::string(status.message());
  }
  void PutClaim(const std::string& key, int64_t ttl_s) {
    server_->Put(key, kDead, server_->Grant(ttl_s));
  }
};

TEST_F(EtcdMetadataTest, WhoIsKilledIsReplacedWhenItsLeaseEnds) {
  for (const bool several : {false, true}) {
    PutClaim(etcd::AloneKey(), 3);
    auto store = Open(several);
    ASSERT_NE(store, nullptr);
    EXPECT_THAT(logger_.messages(),
                Contains(HasSubstr("waiting for its holder, pid 1 on host far")));
    if (several) {
      EXPECT_FALSE(store->shared()->joined()) << "nobody is there";
    }
  }
  PutClaim(etcd::SharePrefix() + "1", 3);
  EXPECT_NE(Open(), nullptr) << "the same of one that shared";
  PutClaim(etcd::StartsKey(), 3);
  EXPECT_NE(Open(true), nullptr) << "and in its start";
}

// One that lives is told from one that died: nobody waits until the time is up.
TEST_F(EtcdMetadataTest, WhoLivesIsNamed) {
  auto store = Open();
  ASSERT_NE(store, nullptr);
  const absl::Time begin = absl::Now();
  EXPECT_THAT(OpenMessage(false),
              AllOf(HasSubstr("the metadata store in etcd http://127.0.0.1:"),
                    HasSubstr(absl::StrCat(" is used by another process: pid ", getpid(), " on ")),
                    HasSubstr("; stop it, or give this one a metadata store of its own")));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(7));
  EXPECT_THAT(OpenMessage(true),
              AllOf(HasSubstr("shares it with nobody"), HasSubstr("; stop it first. It is: pid ")));
  store = nullptr;
  store = Open(true);
  ASSERT_TRUE(store != nullptr && store->Start().ok() && store->shared()->Admit().ok());
  EXPECT_THAT(OpenMessage(false), HasSubstr("stop them first. One is: pid "));
}

// A claim outlives its lease's time as long as its holder lives, and is seen by all.
TEST_F(EtcdMetadataTest, AClaimIsProlonged) {
  auto store = Open();
  ASSERT_NE(store, nullptr);
  PutClaim("/a", 6);  // as long as ours would live, and a bit
  EXPECT_TRUE(WaitFor([&] { return server_->Value("/a").empty(); }, absl::Seconds(60)));
  EXPECT_NE(server_->Value(etcd::AloneKey()), "");
}

TEST_F(EtcdMetadataTest, ALostClaimIsTakenAgainUnlessAnotherHasIt) {
  auto one = Open();
  ASSERT_NE(one, nullptr);
  EXPECT_EQ(*one->Start(), 1);
  server_->RevokeLeases();
  EXPECT_OK(one->Reserve(100, {}));
  EXPECT_NE(server_->Value(etcd::AloneKey()), "");
  server_->RevokeLeases();
  auto two = Open();
  ASSERT_NE(two, nullptr);
  EXPECT_EQ(two->found().reserved, 100);
  const absl::Status claimed = one->Reserve(200, {});
  EXPECT_CODE(claimed, kUnavailable);
  EXPECT_THAT(std::string(claimed.message()), HasSubstr("was claimed for itself by another"));
  EXPECT_EQ(*two->Start(), 2);
  ASSERT_OK(two->Reserve(300, {}));
  two = nullptr;
  const absl::Status status = one->Reserve(400, {});
  EXPECT_CODE(status, kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("took the metadata store in etcd http://"),
                    HasSubstr(absl::StrCat("over (epoch 2, ours is 1, by pid ", getpid(), " on ")),
                    HasSubstr("stop one of the two")));
  EXPECT_CODE(one->MarkTime(1, 1), kUnavailable);
  EXPECT_CODE(one->Finish(400, {}), kUnavailable);
  one = nullptr;
  EXPECT_EQ(Open()->found().reserved, 300);
}

// Claims come and go with leases, and lanes are not to be adopted where keys have one: not
// when they are ours.
TEST_F(EtcdMetadataTest, ADatabaseBesideItIsAdopted) {
  auto store = Open();
  ASSERT_NE(store, nullptr);
  server_->Put("/registry/pods/of/stock", "v");
  auto backend = MustOpen();
  EXPECT_OK(Adopt(backend.get(), Us(), 0));
}

TEST_F(EtcdMetadataTest, WhatVersion1LeftIsReadAndRewritten) {
  etcd::Stored old;
  old.txn = 5;
  old.holder = "pid 12 on far";
  old.state.m_id = "0123";
  old.state.epoch = 3;
  old.state.reserved = 1000;
  old.state.topo_version = 7;
  old.state.backends["a"] = {"id-a", 17};
  server_->Put(etcd::StateKey(), StateOfVersion1(old, "the topology"));
  for (int times = 0; times < 2; ++times) {
    auto store = Open();
    ASSERT_NE(store, nullptr);
    EXPECT_TRUE(store->found().existed);
    EXPECT_TRUE(store->found().unclaimed) << "opening changes nothing";
    EXPECT_EQ(store->found().epoch, 3);
    EXPECT_EQ(store->found().reserved, 1000);
    EXPECT_EQ(store->found().topo, "the topology");
    EXPECT_EQ(store->found().backends.at("a").confirmed, 17);
    if (times == 0) continue;
    EXPECT_EQ(*store->Start(), 4);
    EXPECT_THAT(logger_.messages(), Contains(HasSubstr("it was not closed by pid 12 on far")));
  }
  EXPECT_EQ(server_->Value(etcd::StateKey()).at(0), 2);
  EXPECT_EQ(server_->Value(etcd::StateKey()).find("the topology"), std::string::npos)
      << "what each take rewrites is small";
  auto store = Open();
  ASSERT_NE(store, nullptr);
  EXPECT_FALSE(store->found().unclaimed);
  EXPECT_EQ(store->found().topo, "the topology");
  EXPECT_EQ(store->found().topo_version, 7);
  EXPECT_EQ(store->found().backends.at("a").identity, "id-a");
}

TEST_F(EtcdMetadataTest, ANewerFormatIsRefused) {
  server_->Put(etcd::StateKey(), "\3whatever");
  const absl::Status status = OpenEtcdMetadata(Options()).status();
  EXPECT_CODE(status, kInvalid);
  EXPECT_THAT(std::string(status.message()), HasSubstr("knows versions up to 2"));
  server_->Put(etcd::StateKey(), "\2whatever");
  EXPECT_CODE(OpenEtcdMetadata(Options()).status(), kCorrupt);
}

// A write whose reply was lost is found to be ours.
TEST_F(EtcdMetadataTest, ALostReplyIsLookedUp) {
  servers::CutProxy proxy(server_->port());
  auto store = *OpenEtcdMetadata(Options(absl::StrCat("http://127.0.0.1:", proxy.port())));
  ASSERT_EQ(*store->Start(), 1);
  proxy.Arm(servers::CutProxy::Lose::kReply, "the topology");
  std::thread cutter([&] {
    EXPECT_TRUE(WaitFor([&] { return proxy.fired(); }, absl::Seconds(60)));
    EXPECT_TRUE(WaitFor(
        [&] {
          return server_->Value(etcd::TopologyKey()).find("the topology") != std::string::npos;
        },
        absl::Seconds(60)));
    proxy.Cut();
  });
  EXPECT_OK(store->SetTopology(7, "the topology"));
  cutter.join();
  EXPECT_TRUE(proxy.fired());
  EXPECT_OK(store->Reserve(50, {}));
  store.reset();
  EXPECT_EQ(Open()->found().topo_version, 7);
}

// A take is not done on top of what somebody else wrote without being seen to.
TEST_F(EtcdMetadataTest, ATakeNamesItsLanesAndTheirNumbers) {
  auto store = Open(true);
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(*store->Start(), 1);
  ASSERT_OK(store->Reserve(10, {{"a", {"id-a", 3}}}));
  ASSERT_OK(store->shared()->Admit());
  etcd::Stored moved;
  ASSERT_OK(etcd::DecodeState(server_->Value(etcd::StateKey()), "", &moved));
  moved.state.reserved = 50;
  moved.state.clean = true;
  server_->Put(etcd::StateKey(), etcd::EncodeState(moved));
  const std::vector<TakeWish> wishes = {{"a", 2, 5}, {"b", 3, 0}};
  EXPECT_EQ(*store->shared()->Take(wishes), 51);
  etcd::Stored stored;
  ASSERT_OK(etcd::DecodeState(server_->Value(etcd::StateKey()), "", &stored));
  EXPECT_EQ(stored.state.reserved, 55);
  EXPECT_FALSE(stored.state.clean);
  EXPECT_EQ(stored.alloc.at("a"), 52);
  EXPECT_EQ(stored.alloc.at("b"), 55);
  EXPECT_EQ(stored.state.backends.at("a").confirmed, 5);
  EXPECT_EQ(stored.state.backends.at("a").identity, "id-a");
}

}  // namespace
}  // namespace storage::contract
