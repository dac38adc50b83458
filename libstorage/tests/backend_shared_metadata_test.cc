// A metadata store that several servers have at once, on each kind that can be shared:
// who is alone, numbers, and sessions that are lost. Engines on it: engine_shared_*_test.
#include <algorithm>
#include <set>
#include <thread>

#include "absl/strings/ascii.h"
#include "gmock/gmock.h"
#include "src/backend/etcd/etcd.h"
#include "src/backend/etcd/meta_state.h"
#include "src/backend/mysql/mysql_backend.h"
#include "src/backend/postgres/postgres.h"
#include "src/base/mutex.h"
#include "tests/contract/contract_test.h"
#include "tests/servers/etcd_server.h"
#include "tests/servers/mariadb_server.h"
#include "tests/servers/postgres_server.h"
#include "tests/servers/process.h"
#include "tests/servers/tcp_proxy.h"

namespace storage::contract {
namespace {

using servers::EtcdServer;
using servers::MariadbServer;
using servers::PostgresServer;
using servers::TcpProxy;
using testing::HasSubstr;

// One database; port: of a proxy before it, 0 = none.
class Place {
 public:
  virtual ~Place() = default;
  virtual absl::StatusOr<std::unique_ptr<MetadataStore>> Open(bool several, int port) = 0;
  // A lane in the same database.
  virtual absl::StatusOr<std::unique_ptr<Backend>> OpenLane() = 0;
  virtual void EndSessions() = 0;
  virtual int port() const = 0;
  // The next take is done, and its reply never comes.
  virtual void HoldTake(TcpProxy* proxy) = 0;
  // Somebody who opens the store waits for who is alone.
  virtual bool AServerWaits() = 0;
};

class PostgresPlace : public Place {
 public:
  PostgresPlace() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    for (const char* c = info->name(); *c != 0; ++c) {
      database_ += *c == '/' ? '_' : absl::ascii_tolower(*c);
    }
    PostgresServer::Shared().CreateDatabase(database_);
  }
  absl::StatusOr<std::unique_ptr<MetadataStore>> Open(bool several, int port) override {
    PostgresOptions options;
    options.name = "metadata";
    options.conninfo =
        PostgresServer::UriOf(PostgresServer::kUser, PostgresServer::kPassword,
                              port > 0 ? port : PostgresServer::Shared().port(), database_);
    return OpenPostgresMetadata(options, several);
  }
  absl::StatusOr<std::unique_ptr<Backend>> OpenLane() override {
    PostgresOptions options;
    options.name = "lane";
    options.conninfo = PostgresServer::Shared().Uri(database_);
    return OpenPostgresBackend(options);
  }
  void EndSessions() override {
    PostgresServer::Shared().Sql(
        "postgres",
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '" +
            database_ + "'");
  }
  int port() const override { return PostgresServer::Shared().port(); }
  void HoldTake(TcpProxy* proxy) override {  // the name of the column in its answer
    proxy->Arm(TcpProxy::Fault::kHoldReply, "coalesce");
  }
  bool AServerWaits() override {
    return PostgresServer::Shared().Sql(
               database_,
               "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND "
               "database = (SELECT oid FROM pg_database WHERE datname = current_database())") !=
           "0";
  }

 private:
  std::string database_;
};

class MariadbPlace : public Place {
 public:
  absl::StatusOr<std::unique_ptr<MetadataStore>> Open(bool several, int port) override {
    MysqlOptions options = MariadbServer::Shared().Options(database_);
    if (port > 0) options.port = port;
    return OpenMysqlMetadata(options, several);
  }
  absl::StatusOr<std::unique_ptr<Backend>> OpenLane() override {
    return OpenMysqlBackend(MariadbServer::Shared().Options(database_));
  }
  void EndSessions() override { MariadbServer::Shared().Sql("KILL USER " + database_); }
  int port() const override { return MariadbServer::Shared().port(); }
  void HoldTake(TcpProxy* proxy) override { proxy->Arm(TcpProxy::Fault::kHoldReply, "reserved"); }
  bool AServerWaits() override {
    return MariadbServer::Shared()
               .Sql(
                   "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User "
                   "lock' AND user = '" +
                   database_ + "'")
               .front() != '0';
  }

 private:
  const std::string database_ = MariadbServer::Shared().NewDatabase();
};

// Sessions are leases.
class EtcdPlace : public Place {
 public:
  absl::StatusOr<std::unique_ptr<MetadataStore>> Open(bool several, int port) override {
    EtcdOptions options;
    options.name = "metadata";
    options.endpoints = absl::StrCat("http://127.0.0.1:", port > 0 ? port : server_.port());
    return OpenEtcdMetadata(options, several);
  }
  absl::StatusOr<std::unique_ptr<Backend>> OpenLane() override {
    EtcdOptions options;
    options.name = "lane";
    options.endpoints = server_.Endpoints();
    return OpenEtcdBackend(options);
  }
  void EndSessions() override { server_.RevokeLeases(); }
  int port() const override { return server_.port(); }
  void HoldTake(TcpProxy* proxy) override {
    proxy->Arm(TcpProxy::Fault::kHoldAnswer, "libstorage-meta/state");
  }
  bool AServerWaits() override {  // it looks again and again
    return !server_.Value(etcd::StartsKey()).empty();
  }

 private:
  const TempDir dir_;
  EtcdServer& server_ = EtcdServer::ForPlace(dir_.path());
};

class SharedMetadataTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "postgres") {
      place_ = std::make_unique<PostgresPlace>();
    } else if (GetParam() == "mariadb") {
      place_ = std::make_unique<MariadbPlace>();
    } else {
      place_ = std::make_unique<EtcdPlace>();
    }
  }
  std::unique_ptr<MetadataStore> Open(int port = 0) {
    auto store = place_->Open(true, port);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  // The first of them: it starts, and lets others in.
  std::unique_ptr<MetadataStore> OpenFirst(int port = 0) {
    auto store = Open(port);
    if (store == nullptr) return nullptr;
    EXPECT_FALSE(store->shared()->joined());
    EXPECT_OK(store->Start().status());
    EXPECT_OK(store->Reserve(0, {{"a", {"id-a", 0}}, {"b", {"id-b", 0}}}));
    EXPECT_OK(store->shared()->Admit());
    return store;
  }
  std::unique_ptr<MetadataStore> OpenNext() {
    auto store = Open();
    if (store == nullptr) return nullptr;
    EXPECT_TRUE(store->shared()->joined());
    EXPECT_OK(store->shared()->Admit());
    return store;
  }
  // Nobody is there any more, which a server may notice a moment later.
  std::unique_ptr<MetadataStore> OpenAlone() {
    std::unique_ptr<MetadataStore> store;
    EXPECT_TRUE(servers::WaitFor(
        [&] {
          store.reset();
          store = Open();
          return store != nullptr && !store->shared()->joined();
        },
        absl::Seconds(20)));
    return store;
  }

  std::unique_ptr<Place> place_;
};

// Each number is handed out once, and alloc of a lane is the highest of its own.
TEST_P(SharedMetadataTest, NumbersOfSeveralServers) {
  auto one = OpenFirst();
  auto two = OpenNext();
  ASSERT_TRUE(one != nullptr && two != nullptr);
  std::set<int64_t> numbers;
  int64_t last_a = 0, last_b = 0;
  Mutex mu;
  const auto take = [&](SharedMetadata* store) {
    for (int i = 0; i < 20; ++i) {
      const std::vector<TakeWish> wishes = {{"a", 2, i}, {"b", 3, i}};
      const auto first = store->Take(wishes);
      ASSERT_TRUE(first.ok()) << first.status();
      MutexLock lock(&mu);
      for (int64_t n = *first; n < *first + 5; ++n) EXPECT_TRUE(numbers.insert(n).second) << n;
      last_a = std::max(last_a, *first + 1);
      last_b = std::max(last_b, *first + 4);
    }
  };
  std::thread other([&] { take(two->shared()); });
  take(one->shared());
  other.join();
  EXPECT_EQ(*numbers.begin(), 1);
  EXPECT_EQ(*numbers.rbegin(), 200);
  for (MetadataStore* store : {one.get(), two.get()}) {
    const auto seen = store->shared()->ReadNumbers();
    ASSERT_TRUE(seen.ok()) << seen.status();
    EXPECT_EQ(seen->epoch, 1);
    EXPECT_EQ(seen->rev, 200);
    EXPECT_EQ(seen->lanes.at("a").alloc, last_a);
    EXPECT_EQ(seen->lanes.at("b").alloc, last_b);
    EXPECT_EQ(seen->lanes.at("b").confirmed, 19);
  }
}

// A lane takes the numbers of a store in its own transactions only where that very store
// is: a copy has all of it but the mark of the server that runs.
TEST_P(SharedMetadataTest, ALaneFindsTheStoreThatIsBesideIt) {
  auto lane = place_->OpenLane();
  ASSERT_TRUE(lane.ok()) << lane.status();
  const auto shares = [&](const NumbersPlace& at) {
    const auto here = (*lane)->ShareNumbers(at);
    EXPECT_TRUE(here.ok()) << here.status();
    return here.ok() && *here;
  };
  EXPECT_FALSE(shares({"m", "somewhere", "mark", "a"}));  // no store at all
  auto store = Open();
  ASSERT_NE(store, nullptr);
  auto found = store->shared()->NumbersAt();
  ASSERT_TRUE(found.ok()) << found.status();
  NumbersPlace at = *found;
  at.lane = "a";
  for (std::string NumbersPlace::*part :
       {&NumbersPlace::m_id, &NumbersPlace::place, &NumbersPlace::mark}) {
    NumbersPlace other = at;
    (other.*part)[(other.*part).size() - 1] ^= 1;
    EXPECT_FALSE(shares(other)) << other.*part;
  }
  auto txn = (*lane)->BeginLane();
  ASSERT_TRUE(txn.ok()) << txn.status();
  EXPECT_EQ((*txn)->handed_out(), 0);
  EXPECT_EQ(CodeOf((*txn)->Take({at.m_id, 1, 1}, 1, 1)), Code::kInternal);
  txn->reset();
  EXPECT_TRUE(shares(at));
  EXPECT_OK(store->Start().status());
  EXPECT_OK(store->Reserve(7, {{"a", {"id-a", 0}}}));
  txn = (*lane)->BeginLane();
  ASSERT_TRUE(txn.ok()) << txn.status();
  EXPECT_EQ((*txn)->handed_out(), 7);
  EXPECT_EQ(CodeOf((*txn)->Take({at.m_id, 1, 1}, 7, 8)), Code::kInternal);
  EXPECT_OK((*txn)->Take({at.m_id, 1, 1}, 8, 9));
}

// The batch of a server that lost its claim takes numbers while the last one ends: the
// mark would hand them out again (model: together-ends).
TEST_P(SharedMetadataTest, ACleanMarkLowersNothing) {
  {
    auto one = OpenFirst();
    ASSERT_NE(one, nullptr);
    const std::vector<TakeWish> wishes = {{"a", 5, 0}};
    ASSERT_OK(one->shared()->Take(wishes).status());
    EXPECT_OK(one->Finish(3, {}));
  }
  {
    auto two = Open();
    ASSERT_NE(two, nullptr);
    EXPECT_FALSE(two->found().clean);
    EXPECT_EQ(two->found().reserved, 5);
    EXPECT_OK(two->Start().status());
    EXPECT_OK(two->Finish(5, {}));
  }
  auto three = Open();
  ASSERT_NE(three, nullptr);
  EXPECT_TRUE(three->found().clean);
  EXPECT_EQ(three->found().reserved, 5);
}

TEST_P(SharedMetadataTest, ATopologyIsReplacedByWhoKnowsIt) {
  auto one = OpenFirst();
  auto two = OpenNext();
  ASSERT_TRUE(one != nullptr && two != nullptr);
  EXPECT_EQ(*one->shared()->ReadTopology(), "");
  EXPECT_TRUE(*one->shared()->SwapTopology("", "x'\\\""));
  EXPECT_FALSE(*two->shared()->SwapTopology("", "y"));
  EXPECT_TRUE(*two->shared()->SwapTopology("x'\\\"", "y"));
  EXPECT_EQ(*one->shared()->ReadTopology(), "y");
}

TEST_P(SharedMetadataTest, OnlyTheLastIsAlone) {
  auto one = OpenFirst();
  auto two = OpenNext();
  ASSERT_TRUE(one != nullptr && two != nullptr);
  EXPECT_FALSE(*one->shared()->BecomeOnly(1));
  ASSERT_OK(one->shared()->Take(std::vector<TakeWish>{{"a", 1, 0}}).status()) << "it goes on";
  const absl::Status alone = place_->Open(false, 0).status();
  EXPECT_CODE(alone, kBusy);
  two->shared()->Resign();
  EXPECT_TRUE(*one->shared()->BecomeOnly(1000)) << "the server notices the end in a moment";
  one->shared()->Resign();
  EXPECT_OK(place_->Open(false, 0).status());
}

TEST_P(SharedMetadataTest, WhoIsAloneKeepsOthersOut) {
  auto alone = place_->Open(false, 0);
  ASSERT_TRUE(alone.ok()) << alone.status();
  const absl::Status status = place_->Open(true, 0).status();
  EXPECT_CODE(status, kBusy);
  EXPECT_THAT(std::string(status.message()), HasSubstr("shares it with nobody"));
  alone->reset();
  EXPECT_NE(OpenFirst(), nullptr);
}

// Who was alone ends while a server waits for its share: there is nobody to join, and the
// numbers of who was alone are in no alloc.
TEST_P(SharedMetadataTest, WhoOutlivesTheOneThatWasAloneIsTheFirst) {
  auto alone = place_->Open(false, 0);
  ASSERT_TRUE(alone.ok()) << alone.status();
  absl::StatusOr<std::unique_ptr<MetadataStore>> next;
  std::thread starts([&] {
    do {
      next = place_->Open(true, 0);
    } while (CodeOf(next.status()) == Code::kBusy);  // it waited in vain: the test was too slow
  });
  EXPECT_TRUE(servers::WaitFor([&] { return place_->AServerWaits(); }, absl::Seconds(20)));
  alone->reset();
  starts.join();
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_FALSE((*next)->shared()->joined());
  EXPECT_CODE(place_->Open(false, 0).status(), kBusy);
  EXPECT_EQ(*(*next)->Start(), 1);
  ASSERT_OK((*next)->shared()->Admit());
  EXPECT_NE(OpenNext(), nullptr);
}

// Every session ended at once while a server starts: it keeps the lock of starts, and who
// would be alone out; whoever comes back to its share is joined.
TEST_P(SharedMetadataTest, WhoComesBackInTimeIsJoined) {
  auto one = OpenFirst();
  ASSERT_NE(one, nullptr);
  place_->EndSessions();
  auto two = OpenAlone();
  ASSERT_NE(two, nullptr);
  absl::StatusOr<bool> back = false;
  std::thread starts([&] { back = two->shared()->AwaitOthers(60000); });
  EXPECT_CODE(place_->Open(false, 0).status(), kBusy);
  const std::vector<TakeWish> wish = {{"a", 1, 0}};
  EXPECT_TRUE(servers::WaitFor([&] { return one->shared()->Take(wish).ok(); }, absl::Seconds(20)));
  starts.join();
  ASSERT_TRUE(back.ok()) << back.status();
  ASSERT_TRUE(*back);
  EXPECT_TRUE(two->shared()->joined());
  EXPECT_FALSE(*one->shared()->BecomeOnly(1)) << "the other one still starts";
  ASSERT_OK(two->shared()->Admit());
  EXPECT_OK(two->shared()->Take(wish).status());
  EXPECT_OK(one->shared()->Take(wish).status());
  EXPECT_EQ(one->shared()->ReadNumbers()->epoch, 1);
}

TEST_P(SharedMetadataTest, WhoWaitedForNobodyIsAlone) {
  auto one = OpenFirst();
  ASSERT_NE(one, nullptr);
  place_->EndSessions();
  auto two = OpenAlone();
  ASSERT_NE(two, nullptr);
  const auto back = two->shared()->AwaitOthers(100);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_FALSE(*back);
  EXPECT_FALSE(two->shared()->joined());
  EXPECT_CODE(one->shared()->Take(std::vector<TakeWish>{{"a", 1, 0}}).status(), kUnavailable)
      << "too late: another one is alone";
  EXPECT_EQ(*two->Start(), 2);
  ASSERT_OK(two->shared()->Admit());
  EXPECT_NE(OpenNext(), nullptr);
}

// Every session ended at once: the first to come back alone begins a new epoch, and the
// other one, which lost nothing but its session, is fenced.
TEST_P(SharedMetadataTest, AServerWithoutItsSessionIsFencedByANewStart) {
  auto one = OpenFirst();
  ASSERT_NE(one, nullptr);
  place_->EndSessions();
  auto two = OpenAlone();
  ASSERT_NE(two, nullptr);
  EXPECT_CODE(one->shared()->Take(std::vector<TakeWish>{{"a", 1, 0}}).status(), kUnavailable)
      << "another one is alone";
  EXPECT_EQ(*two->Start(), 2);
  ASSERT_OK(two->shared()->Admit());
  EXPECT_CODE(one->shared()->Take(std::vector<TakeWish>{{"a", 1, 0}}).status(), kUnavailable);
  EXPECT_CODE(one->SetTopology(1, "z"), kUnavailable);
  EXPECT_EQ(*two->shared()->Take(std::vector<TakeWish>{{"a", 1, 0}}), 1);
  EXPECT_EQ(two->shared()->ReadNumbers()->epoch, 2);
}

// Lost sessions are replaced, also one that the server has not noticed the end of. What
// became of the take is known where a write has a name.
TEST_P(SharedMetadataTest, ALostSessionIsReplaced) {
  TcpProxy proxy(place_->port());
  auto one = OpenFirst(proxy.port());
  auto two = OpenNext();
  ASSERT_TRUE(one != nullptr && two != nullptr);
  const std::vector<TakeWish> wish = {{"a", 1, 0}};
  ASSERT_OK(one->shared()->Take(wish).status());
  place_->HoldTake(&proxy);
  const auto second = one->shared()->Take(wish);
  EXPECT_TRUE(proxy.fired());
  if (GetParam() == "etcd") {
    ASSERT_TRUE(second.ok()) << second.status();
    EXPECT_EQ(*second, 2);
  } else {
    EXPECT_CODE(second.status(), kUnavailable);
  }
  const auto third = one->shared()->Take(wish);
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_EQ(*third, 3) << "no other one has the second";
  EXPECT_FALSE(*two->shared()->BecomeOnly(1)) << "the other one is seen again";
}

// A session that dies in the start loses the right to start.
TEST_P(SharedMetadataTest, AStartEndsWithItsSession) {
  auto one = Open();
  ASSERT_NE(one, nullptr);
  place_->EndSessions();
  EXPECT_CODE(one->Start().status(), kUnavailable);
  const absl::Status status = one->Start().status();
  EXPECT_CODE(status, kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("start again"));
  one.reset();
  auto two = OpenFirst();
  ASSERT_NE(two, nullptr);
  EXPECT_EQ(two->shared()->ReadNumbers()->epoch, 1);
}

INSTANTIATE_TEST_SUITE_P(Kinds, SharedMetadataTest, testing::Values("postgres", "mariadb", "etcd"),
                         [](const auto& kind) { return kind.param; });

}  // namespace
}  // namespace storage::contract
