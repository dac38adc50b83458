// The MySQL backend when the server, the network or another session misbehaves:
// no acknowledged write is lost, no outage is a conflict, nothing waits for long.
#include <atomic>
#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "src/backend/mysql/backend_impl.h"
#include "tests/contract/contract_test.h"
#include "tests/servers/mariadb_server.h"
#include "tests/servers/tcp_proxy.h"

namespace storage::contract {
namespace {

using servers::MariadbServer;
using servers::TcpProxy;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

class Watchdog {
 public:
  milliseconds Spent() const {
    return std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin_);
  }

 private:
  const steady_clock::time_point begin_ = steady_clock::now();
};

#define EXPECT_FAST(watch) EXPECT_LT((watch).Spent().count(), 3000)

std::unique_ptr<Backend> OpenAt(const MysqlOptions& options) {
  auto backend = OpenMysqlBackend(options);
  EXPECT_TRUE(backend.ok()) << backend.status();
  return backend.ok() ? *std::move(backend) : nullptr;
}

class MysqlFaultTest : public testing::Test {
 protected:
  MysqlFaultTest() : server_(MariadbServer::Shared()), database_(server_.NewDatabase()) {}

  std::unique_ptr<Backend> OpenDirect() { return OpenAt(server_.Options(database_)); }
  MysqlOptions Through(const TcpProxy& proxy) {
    MysqlOptions options = server_.Options(database_);
    options.port = proxy.port();
    return options;
  }
  // Ends every session of the database's user, as an administrator would.
  void KillSessions() {
    const std::string ids = server_.Sql(absl::StrCat(
        "SELECT CONCAT('KILL ', id, ';') FROM information_schema.PROCESSLIST WHERE user = '",
        database_, "'"));
    server_.Sql(ids);
  }
  std::string Events() { return server_.Sql("SELECT COUNT(*) FROM stg_events", database_); }

  MariadbServer& server_;
  const std::string database_;
};

absl::Status CommitOne(Backend* backend, const std::string& key, int64_t token) {
  auto txn = backend->BeginLane();
  if (!txn.ok()) return txn.status();
  const int64_t rev = (*txn)->lane().head + 1;
  const std::vector<Op> ops = {Create(key, "value")};
  const std::vector<std::string> collections = {"/a/"};
  const std::vector<Mutation> mutations = Mutations(ops, collections, rev);
  absl::Status status = (*txn)->Apply(mutations, token);
  if (status.ok()) status = (*txn)->Guard(Us(), rev, rev);
  return status.ok() ? (*txn)->Commit() : status;
}

absl::Status Fence(Backend* backend) {
  auto txn = backend->BeginLane();
  if (!txn.ok()) return txn.status();
  const absl::Status status = (*txn)->Void(Us(), (*txn)->lane().head + 1);
  return status.ok() ? (*txn)->Commit() : status;
}

TEST_F(MysqlFaultTest, ALostReplyToCommitIsUnknownAndTheTokenTells) {
  TcpProxy proxy(server_.port());
  auto backend = OpenAt(Through(proxy));
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  proxy.Arm(TcpProxy::Fault::kLoseAnswer, "COMMIT");
  EXPECT_CODE(CommitOne(backend.get(), "/a/1", 77), kOutcomeUnknown);
  EXPECT_TRUE(proxy.fired());
  ASSERT_OK(Fence(backend.get()));
  auto snapshot = *backend->OpenSnapshot();
  EXPECT_TRUE(*snapshot->HasToken(77)) << "the server had committed";
  EXPECT_FALSE(*snapshot->HasToken(78));
  EXPECT_EQ(Get(snapshot.get(), "/a/1").size(), 1u);
}

TEST_F(MysqlFaultTest, ALostCommitIsUnknownAndTheTokenIsAbsent) {
  TcpProxy proxy(server_.port());
  auto backend = OpenAt(Through(proxy));
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  proxy.Arm(TcpProxy::Fault::kLoseRequest, "COMMIT");
  const absl::Status lost = CommitOne(backend.get(), "/a/1", 77);
  EXPECT_CODE(lost, kOutcomeUnknown);
  EXPECT_EQ(CauseOf(lost), Code::kUnavailable);
  ASSERT_OK(Fence(backend.get()));
  auto snapshot = *backend->OpenSnapshot();
  EXPECT_FALSE(*snapshot->HasToken(77));
  EXPECT_EQ(Get(snapshot.get(), "/a/1").size(), 0u);
}

// A reader that loses its connection reports an outage and then goes on.
TEST_F(MysqlFaultTest, ALostReadIsAnOutage) {
  TcpProxy proxy(server_.port());
  auto backend = OpenAt(Through(proxy));
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  ASSERT_OK(CommitOne(backend.get(), "/a/1", 1));
  const RowSink sink = [](const Row&) { return true; };
  proxy.Arm(TcpProxy::Fault::kLoseAnswer, "FROM stg_objects WHERE k");
  EXPECT_CODE(backend->Get("/a/1", sink), kUnavailable);
  EXPECT_OK(backend->Get("/a/1", sink));
  auto snapshot = *backend->OpenSnapshot();
  proxy.Arm(TcpProxy::Fault::kLoseAnswer, "ORDER BY k");
  EXPECT_EQ(List(snapshot.get(), All()), Lines{"UNAVAILABLE"});
  snapshot.reset();
  EXPECT_EQ(List(backend->OpenSnapshot()->get(), All()).size(), 1u);
}

// The guard is in the transaction: a lane row that changed although it was locked
// (here by a trigger) keeps the batch from being committed.
TEST_F(MysqlFaultTest, TheGuardIsInsideTheTransaction) {
  auto backend = OpenDirect();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  ASSERT_OK(CommitOne(backend.get(), "/a/1", 1));
  server_.Sql(
      "CREATE TRIGGER zombie BEFORE INSERT ON stg_events FOR EACH ROW UPDATE stg_lane SET ver = "
      "ver + 1",
      database_);
  EXPECT_CODE(CommitOne(backend.get(), "/a/2", 2), kBusy);
  server_.Sql("DROP TRIGGER zombie", database_);
  auto snapshot = *backend->OpenSnapshot();
  EXPECT_EQ(Print(snapshot->lane()), "m/1/1 head 1 ver 2 floor 0");
  EXPECT_EQ(List(snapshot.get(), All()).size(), 1u);
  EXPECT_FALSE(*snapshot->HasToken(2));
  ASSERT_OK(CommitOne(backend.get(), "/a/2", 3));
}

// An event that is missing at the end stops the batch, too.
TEST_F(MysqlFaultTest, TheGuardCountsTheEvents) {
  auto backend = OpenDirect();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  ASSERT_OK(CommitOne(backend.get(), "/a/1", 1));
  server_.Sql(
      "CREATE TRIGGER thief AFTER INSERT ON stg_kinds FOR EACH ROW DELETE FROM stg_events WHERE "
      "rev "
      "> 1; CREATE TRIGGER thief2 AFTER UPDATE ON stg_kinds FOR EACH ROW DELETE FROM stg_events "
      "WHERE rev > 1",
      database_);
  EXPECT_CODE(Write(backend.get(), {Update("/a/1", "new")}), kBusy);
  EXPECT_EQ(Get(backend->OpenSnapshot()->get(), "/a/1"), Lines{"/a/1=value mod 1 create 1"});
}

TEST_F(MysqlFaultTest, AnotherSessionHoldsTheLane) {
  auto one = OpenDirect();
  auto other = OpenDirect();
  ASSERT_OK(Adopt(one.get(), Us(), 0));
  auto held = one->BeginLane();
  ASSERT_TRUE(held.ok());
  const Watchdog watch;
  EXPECT_CODE(other->BeginLane().status(), kBusy);
  EXPECT_FAST(watch);
  ASSERT_OK((*held)->Void(Us(), 1));
  ASSERT_OK((*held)->Commit());
  held->reset();
  EXPECT_OK(CommitOne(other.get(), "/a/1", 1));
}

// A holder that stopped is put out by the server, and its batch with it.
TEST_F(MysqlFaultTest, AHolderThatStoppedLosesTheLane) {
  auto one = OpenDirect();
  auto other = OpenDirect();
  ASSERT_OK(Adopt(one.get(), Us(), 0));
  auto held = one->BeginLane();
  ASSERT_TRUE(held.ok());
  const Watchdog watch;
  EXPECT_TRUE(servers::WaitFor([&] { return CommitOne(other.get(), "/a/other", 1).ok(); },
                               absl::Seconds(4)));
  const std::vector<Op> ops = {Create("/a/late", "late")};
  const std::vector<std::string> collections = {"/a/"};
  const std::vector<Mutation> mutations = Mutations(ops, collections, 1);
  absl::Status status = (*held)->Apply(mutations, 9);
  if (status.ok()) status = (*held)->Guard(Us(), 1, 1);
  if (status.ok()) status = (*held)->Commit();
  EXPECT_TRUE(CodeOf(status) == Code::kUnavailable || CodeOf(status) == Code::kOutcomeUnknown)
      << status;
  held->reset();
  EXPECT_EQ(List(one->OpenSnapshot()->get(), All()).size(), 1u);
  EXPECT_OK(CommitOne(one.get(), "/a/again", 2));
}

TEST_F(MysqlFaultTest, SessionsThatWereEndedWhileIdleAreReplaced) {
  auto backend = OpenDirect();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  ASSERT_OK(backend->Ping());
  KillSessions();
  EXPECT_OK(CommitOne(backend.get(), "/a/1", 1));
  EXPECT_OK(backend->Get("/a/1", [](const Row&) { return true; }));
  EXPECT_OK(backend->Ping());
}

TEST_F(MysqlFaultTest, ASessionThatIsEndedInABatchCommitsNothing) {
  auto backend = OpenDirect();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  auto txn = backend->BeginLane();
  ASSERT_TRUE(txn.ok());
  const std::vector<Op> ops = {Create("/a/1", "x")};
  const std::vector<std::string> collections = {"/a/"};
  const std::vector<Mutation> mutations = Mutations(ops, collections, 1);
  ASSERT_OK((*txn)->Apply(mutations, 5));
  ASSERT_OK((*txn)->Guard(Us(), 1, 1));
  // Apply looked the key up, so the session is known to be there.
  KillSessions();
  EXPECT_CODE((*txn)->Commit(), kOutcomeUnknown);
  txn->reset();
  ASSERT_OK(Fence(backend.get()));
  EXPECT_FALSE(*(*backend->OpenSnapshot())->HasToken(5));
  EXPECT_EQ(Events(), "0\n");
}

TEST_F(MysqlFaultTest, TheReadPoolIsBounded) {
  MysqlOptions options = server_.Options(database_);
  options.pool.max_open = 2;
  options.pool.max_idle = 1;
  auto backend = mysql::MysqlBackend::Open(options);
  ASSERT_TRUE(backend.ok()) << backend.status();
  auto one = (*backend)->OpenSnapshot();
  auto two = (*backend)->OpenSnapshot();
  ASSERT_TRUE(one.ok() && two.ok());
  const Watchdog watch;
  const auto three = (*backend)->OpenSnapshot();
  EXPECT_CODE(three.status(), kUnavailable);
  EXPECT_FAST(watch);
  EXPECT_EQ((*backend)->read_connections_for_test(), 2);
  one->reset();
  two->reset();
  EXPECT_EQ((*backend)->read_connections_for_test(), 1) << "one may stay idle";
  EXPECT_OK((*backend)->Ping());
}

TEST_F(MysqlFaultTest, IdleConnectionsAreClosedInTime) {
  MysqlOptions options = server_.Options(database_);
  options.pool.max_idle_life_time_ms = 1;
  auto backend = mysql::MysqlBackend::Open(options);
  ASSERT_TRUE(backend.ok()) << backend.status();
  ASSERT_OK((*backend)->Ping());
  EXPECT_TRUE(servers::WaitFor(
      [&] {
        EXPECT_OK((*backend)->Maintain(true).status());
        return (*backend)->read_connections_for_test() == 0;
      },
      absl::Seconds(5)));
  ASSERT_OK((*backend)->Ping());
}

// Batches that no packet can carry at once go in parts, in one transaction.
TEST_F(MysqlFaultTest, ABatchLargerThanAPacket) {
  MysqlOptions options = server_.Options(database_);
  options.options["maxAllowedPacket"] = "200000";
  auto backend = OpenAt(options);
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  std::vector<Op> ops;
  for (int i = 0; i < 40; ++i) {
    ops.push_back(Create(absl::StrCat("/a/", i), std::string(30000, "'\\xy"[i % 4])));
  }
  ASSERT_OK(Write(backend.get(), ops));
  for (Op& op : ops) op.kind = ChangeKind::kUpdate;
  ASSERT_OK(Write(backend.get(), ops));
  EXPECT_EQ(List(backend->OpenSnapshot()->get(), All()).size(), 40u);
  EXPECT_EQ(Events(), "80\n");
  const absl::Status large = Write(backend.get(), {Create("/a/large", std::string(250000, 'x'))});
  EXPECT_CODE(large, kTooLarge);
  EXPECT_NE(large.message().find("max_allowed_packet"), std::string::npos) << large;
  EXPECT_CODE(Write(backend.get(), {Create("/a/" + std::string(1100, 'k'), "x")}), kTooLarge);
  EXPECT_EQ(Events(), "80\n");
}

TEST_F(MysqlFaultTest, AReadOnlyServer) {
  auto backend = OpenDirect();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  ASSERT_OK(CommitOne(backend.get(), "/a/1", 1));
  server_.Sql("SET GLOBAL read_only = 1");
  EXPECT_CODE(CommitOne(backend.get(), "/a/2", 2), kReadOnly);
  EXPECT_CODE(Fence(backend.get()), kReadOnly);
  EXPECT_EQ(List(backend->OpenSnapshot()->get(), All()).size(), 1u);
  const std::string fresh = server_.NewDatabase();
  EXPECT_CODE(OpenMysqlBackend(server_.Options(fresh)).status(), kReadOnly);
  auto again = OpenDirect();  // what is there can be read
  EXPECT_EQ(List(again->OpenSnapshot()->get(), All()).size(), 1u);
  server_.Sql("SET GLOBAL read_only = 0");
  EXPECT_OK(CommitOne(backend.get(), "/a/2", 3));
}

// --- tests with a server of their own ---

TEST(MysqlServerTest, AStoppedServerIsUnavailableWithinThreeSeconds) {
  auto server = MariadbServer::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  auto backend = OpenAt((*server)->Options((*server)->NewDatabase()));
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  ASSERT_OK(CommitOne(backend.get(), "/a/1", 1));
  const RowSink sink = [](const Row&) { return true; };
  auto snapshot = *backend->OpenSnapshot();
  auto txn = *backend->BeginLane();
  ASSERT_OK(txn->Void(Us(), 5));
  (*server)->process().Pause();
  const auto expect = [](const char* what, const absl::Status& status, const Watchdog& watch,
                         Code code) {
    EXPECT_STREQ(CodeName(CodeOf(status)), CodeName(code)) << what << ": " << status;
    EXPECT_LT(watch.Spent().count(), 3000) << what;
  };
  {
    const Watchdog watch;
    expect("commit", txn->Commit(), watch, Code::kOutcomeUnknown);
    txn.reset();
  }
  {
    const Watchdog watch;
    expect("begin", backend->BeginLane().status(), watch, Code::kUnavailable);
  }
  {
    const Watchdog watch;
    expect("list", snapshot->List(All(), 0, 0, sink), watch, Code::kUnavailable);
    snapshot.reset();
  }
  {
    const Watchdog watch;
    const absl::Status status = backend->Get("/a/1", sink);
    expect("get", status, watch, Code::kUnavailable);
    EXPECT_EQ(status.message().find("s3cr3t"), std::string::npos) << status;
    EXPECT_NE(status.message().find("/d1"), std::string::npos) << status;
  }
  {
    const Watchdog watch;
    expect("ping", backend->Ping(), watch, Code::kUnavailable);
  }
  (*server)->process().Resume();
  EXPECT_TRUE(servers::WaitFor([&] { return Fence(backend.get()).ok(); }, absl::Seconds(10)));
  EXPECT_TRUE(servers::WaitFor([&] { return backend->Ping().ok(); }, absl::Seconds(10)));
  EXPECT_EQ(List(backend->OpenSnapshot()->get(), All()).size(), 1u);
}

TEST(MysqlServerTest, KillNineAmidBatchesLosesNothingThatWasAcknowledged) {
  auto server = MariadbServer::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  auto backend = OpenAt((*server)->Options((*server)->NewDatabase()));
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  std::atomic<int> acknowledged{0};
  std::set<std::string> sure;
  int number = 0;
  for (int round = 0; round < 3; ++round) {
    const int target = acknowledged.load() + 40;
    std::thread killer([&] {
      EXPECT_TRUE(
          servers::WaitFor([&] { return acknowledged.load() >= target; }, absl::Seconds(60)));
      (*server)->Kill();
    });
    absl::Status status;
    while (status.ok()) {
      const std::string key = absl::StrCat("/a/", ++number);
      status = CommitOne(backend.get(), key, number);
      if (status.ok()) {
        sure.insert(key);
        ++acknowledged;
      }
    }
    EXPECT_TRUE(CodeOf(status) == Code::kUnavailable || CodeOf(status) == Code::kOutcomeUnknown)
        << status;
    killer.join();
    EXPECT_CODE(backend->Ping(), kUnavailable);
    ASSERT_OK((*server)->Restart());
    EXPECT_TRUE(servers::WaitFor([&] { return Fence(backend.get()).ok(); }, absl::Seconds(20)));
    EXPECT_TRUE(servers::WaitFor([&] { return backend->Ping().ok(); }, absl::Seconds(20)));
    std::set<std::string> found;
    auto snapshot = *backend->OpenSnapshot();
    ASSERT_OK(snapshot->List(All(), 0, 0, [&](const Row& row) {
      found.insert(std::string(row.key));
      return true;
    }));
    for (const std::string& key : sure) EXPECT_EQ(found.count(key), 1u) << key;
    EXPECT_LE(found.size(), sure.size() + static_cast<size_t>(round) + 1);
    EXPECT_EQ(*snapshot->HasToken(number), found.count(absl::StrCat("/a/", number)) == 1);
  }
}

TEST(MysqlServerTest, AFullTablespace) {
  auto server = MariadbServer::Start({"--innodb-file-per-table=0",
                                      "--innodb-data-file-path=ibdata1:12M:autoextend:max:24M",
                                      "--innodb-autoextend-increment=1"});
  ASSERT_TRUE(server.ok()) << server.status();
  auto backend = OpenAt((*server)->Options((*server)->NewDatabase()));
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  absl::Status status;
  int rows = 0;
  for (; status.ok() && rows < 100; ++rows) {
    status = Write(backend.get(), {Create(absl::StrCat("/a/", rows), std::string(500000, 'x'))});
  }
  EXPECT_CODE(status, kNoSpace);
  EXPECT_EQ(List(backend->OpenSnapshot()->get(), All()).size(), static_cast<size_t>(rows - 1));
}

}  // namespace
}  // namespace storage::contract
