// A PostgreSQL server that dies, stops, loses replies or sessions: no acknowledged
// write is lost, an outage is never a conflict, and nobody waits for ever.
#include <signal.h>

#include <atomic>
#include <map>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/backend/postgres/postgres.h"
#include "tests/contract/contract_test.h"
#include "tests/contract/test_logger.h"
#include "tests/servers/postgres_server.h"
#include "tests/servers/tcp_proxy.h"

namespace storage::contract {
namespace {

using servers::PostgresServer;
using servers::TcpProxy;
using testing::HasSubstr;

// What the API server's callers wait at most, with room for a busy machine.
constexpr absl::Duration kLimit = absl::Seconds(3);

class PostgresFault : public testing::Test {
 protected:
  std::string Database() {
    std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    for (char& c : name) c = static_cast<char>(tolower(c));
    return name;
  }
  PostgresOptions At(PostgresServer* server, int port) {
    server->CreateDatabase(Database());
    PostgresOptions options;
    options.name = "shirts";
    options.conninfo =
        PostgresServer::UriOf(PostgresServer::kUser, PostgresServer::kPassword, port, Database());
    options.logger = &logger_;
    return options;
  }
  std::unique_ptr<Backend> MustOpen(const PostgresOptions& options) {
    auto backend = OpenPostgresBackend(options);
    EXPECT_TRUE(backend.ok()) << backend.status();
    if (backend.ok()) {
      EXPECT_OK(Adopt(backend->get(), Us(), 0));
    }
    return *std::move(backend);
  }
  // One batch as the engine writes it, up to what Commit says.
  static absl::Status Batch(Backend* backend, const std::vector<Op>& ops, int64_t token,
                            int64_t* last = nullptr) {
    auto txn = backend->BeginLane();
    if (!txn.ok()) return txn.status();
    std::vector<std::string_view> keys;
    std::vector<std::string> collections;
    std::vector<Op> now = ops;
    for (const Op& op : ops) {
      keys.push_back(op.key);
      collections.push_back(CollectionOf(op.key));
    }
    std::vector<Current> current(keys.size());
    absl::Status status = (*txn)->Read(keys, absl::MakeSpan(current));
    if (!status.ok()) return status;
    for (size_t i = 0; i < now.size(); ++i) {
      now[i].kind = current[i].meta.mod_rev == 0 ? ChangeKind::kCreate : ChangeKind::kUpdate;
    }
    const int64_t first = (*txn)->lane().head + 1;
    const int64_t end = first + static_cast<int64_t>(ops.size()) - 1;
    if (last != nullptr) *last = end;
    status = (*txn)->Apply(Mutations(now, collections, first), token);
    if (status.ok()) status = (*txn)->Guard(Us(), first, end);
    return status.ok() ? (*txn)->Commit() : status;
  }
  static absl::Status Fence(Backend* backend) {
    auto txn = backend->BeginLane();
    if (!txn.ok()) return txn.status();
    const absl::Status status = (*txn)->Void(Us(), 0);
    return status.ok() ? (*txn)->Commit() : status;
  }
  // As the engine does: again and again until the database is back.
  static void FenceAtLast(Backend* backend) {
    absl::Status status;
    EXPECT_TRUE(servers::WaitFor([&] { return (status = Fence(backend)).ok(); }, absl::Minutes(1)))
        << status;
  }
  static bool Landed(Backend* backend, int64_t token) {
    auto snapshot = backend->OpenSnapshot();
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    return snapshot.ok() && *(*snapshot)->HasToken(token);
  }

  TestLogger logger_;
};

TEST_F(PostgresFault, TheReplyToCommitIsLost) {
  PostgresServer& server = PostgresServer::Shared();
  TcpProxy proxy(server.port());
  auto backend = MustOpen(At(&server, proxy.port()));
  for (const auto& [fault, token, landed] : {std::tuple(TcpProxy::Fault::kLoseReply, 71, true),
                                             std::tuple(TcpProxy::Fault::kLoseRequest, 72, false),
                                             std::tuple(TcpProxy::Fault::kHoldReply, 73, true)}) {
    // In a request "commit" is the name of the statement, in a reply it is the tag.
    ASSERT_OK(Batch(backend.get(), {Create("/a/before", "x")}, token + 100));
    proxy.Arm(fault, fault == TcpProxy::Fault::kLoseRequest ? "commit" : "COMMIT");
    const absl::Time begin = absl::Now();
    const absl::Status status =
        Batch(backend.get(), {Create("/a/1", std::to_string(token)), Create("/a/2", "two")}, token);
    EXPECT_CODE(status, kOutcomeUnknown);
    EXPECT_LT(absl::Now() - begin, kLimit);
    EXPECT_TRUE(proxy.fired());
    FenceAtLast(backend.get());
    EXPECT_EQ(Landed(backend.get(), token), landed);
    EXPECT_TRUE(Landed(backend.get(), token + 100));
    EXPECT_FALSE(Landed(backend.get(), 99));
  }
}

// Whatever breaks before COMMIT was sent is a failure, not an unknown outcome.
TEST_F(PostgresFault, ASessionThatEndsBeforeCommit) {
  PostgresServer& server = PostgresServer::Shared();
  auto backend = MustOpen(At(&server, server.port()));
  ASSERT_OK(Batch(backend.get(), {Create("/a/1", "one")}, 1));
  const std::string end =
      absl::StrCat("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '",
                   Database(), "' AND application_name LIKE 'libstorage%'");
  for (int stage = 0; stage < 4; ++stage) {
    SCOPED_TRACE(stage);
    auto txn = backend->BeginLane();
    ASSERT_TRUE(txn.ok()) << txn.status();
    const int64_t first = (*txn)->lane().head + 1;
    const std::vector<Op> ops = {Update("/a/1", "uno")};
    const std::vector<std::string> collections = {"/a/"};
    std::vector<Current> current(1);
    absl::Status status;
    if (stage == 0) server.Sql("postgres", end);
    status = (*txn)->Read({"/a/1"}, absl::MakeSpan(current));
    if (stage == 1) server.Sql("postgres", end);
    if (status.ok()) status = (*txn)->Apply(Mutations(ops, collections, first), 50 + stage);
    if (stage == 2) server.Sql("postgres", end);
    if (status.ok()) status = (*txn)->Guard(Us(), first, first);
    if (stage == 3) server.Sql("postgres", end);
    if (status.ok()) status = (*txn)->Commit();
    EXPECT_CODE(status, kUnavailable);
    txn->reset();
    // Readers were ended too: they come back by themselves.
    EXPECT_FALSE(Landed(backend.get(), 50 + stage));
    EXPECT_OK(Batch(backend.get(), {Update("/a/2", "x")}, 60 + stage)) << "the lane is back";
  }
}

// Another session has the lane locked, as a client that the network lost.
TEST_F(PostgresFault, ALockThatIsNotGivenUp) {
  PostgresServer& server = PostgresServer::Shared();
  const PostgresOptions options = At(&server, server.port());
  auto backend = MustOpen(options);
  auto other = *OpenPostgresBackend(options);
  auto holder = *other->BeginLane();
  const absl::Time begin = absl::Now();
  EXPECT_CODE(backend->BeginLane().status(), kBusy);
  EXPECT_LT(absl::Now() - begin, kLimit);
  // A holder that does nothing is ended by the server itself.
  EXPECT_TRUE(servers::WaitFor([&] { return backend->BeginLane().ok(); }, absl::Seconds(20)));
  EXPECT_FALSE(holder->Guard(Us(), 5, 5).ok() && holder->Commit().ok()) << "it was ended";
}

TEST_F(PostgresFault, AStoppedServer) {
  auto started = PostgresServer::Start();
  ASSERT_TRUE(started.ok()) << started.status();
  PostgresServer& server = **started;
  const PostgresOptions options = At(&server, server.port());
  auto backend = MustOpen(options);
  auto metadata = *OpenPostgresMetadata(options);
  ASSERT_OK(metadata->Start().status());
  ASSERT_OK(Batch(backend.get(), {Create("/a/1", "one")}, 1));
  auto snapshot = *backend->OpenSnapshot();
  auto txn = *backend->BeginLane();
  ASSERT_OK(txn->Void(Us(), 5));
  const auto within = [](const char* what, Code code, const std::function<absl::Status()>& call) {
    const absl::Time begin = absl::Now();
    const absl::Status status = call();
    EXPECT_STREQ(CodeName(CodeOf(status)), CodeName(code)) << what << ": " << status;
    EXPECT_LT(absl::Now() - begin, kLimit) << what;
    EXPECT_EQ(status.ToString().find("geheim"), std::string::npos);
  };
  const RowSink sink = [](const Row&) { return true; };
  server.process()->Pause();
  within("commit", Code::kOutcomeUnknown, [&] { return txn->Commit(); });
  txn.reset();
  // At the same time, as callers are; the lane's own calls one after the other.
  std::vector<std::thread> callers;
  const auto call = [&](const char* what, std::function<absl::Status()> body) {
    callers.emplace_back([=] { within(what, Code::kUnavailable, body); });
  };
  call("lane", [&] {
    within("lane, at once", Code::kUnavailable, [&] { return backend->BeginLane().status(); });
    return backend->BeginLane().status();
  });
  call("snapshot", [&] { return backend->OpenSnapshot().status(); });
  call("open snapshot", [&] { return snapshot->Get("/a/1", 0, sink); });
  call("get", [&] { return backend->Get("/a/1", sink); });
  call("ping", [&] { return backend->Ping(); });
  call("metadata", [&] { return metadata->Reserve(10, {}); });
  call("open", [&] { return OpenPostgresBackend(options).status(); });
  for (std::thread& caller : callers) caller.join();
  // In an outage a call that comes too soon costs nothing.
  EXPECT_CODE(backend->Ping(), kUnavailable);
  const absl::Time begin = absl::Now();
  EXPECT_CODE(backend->Ping(), kUnavailable);
  EXPECT_LT(absl::Now() - begin, absl::Milliseconds(100));
  server.process()->Resume();
  snapshot.reset();
  FenceAtLast(backend.get());
  EXPECT_TRUE(servers::WaitFor([&] { return backend->Get("/a/1", sink).ok(); }, absl::Seconds(30)));
  EXPECT_TRUE(servers::WaitFor([&] { return metadata->Reserve(10, {}).ok(); }, absl::Seconds(30)));
}

// kill -9 in the middle of batches, again and again: each acknowledged write is
// there, each refused one is not, and each unknown one is what its token says.
TEST_F(PostgresFault, AKilledServerLosesNoAcknowledgedWrite) {
  auto started = PostgresServer::Start();
  ASSERT_TRUE(started.ok()) << started.status();
  PostgresServer& server = **started;
  const PostgresOptions options = At(&server, server.port());
  auto backend = MustOpen(options);
  std::map<std::string, std::string> model;  // what was acknowledged
  int64_t token = 1000;
  int unknown = 0, acknowledged = 0;
  for (int round = 0; round < 5; ++round) {
    std::atomic<int> batches{0};
    std::atomic<bool> killed{false};
    std::thread killer([&] {
      servers::WaitFor([&] { return batches > 20 + 7 * round; }, absl::Seconds(30));
      server.Kill();
      killed = true;
    });
    for (absl::Status status; status.ok(); ++batches) {
      ++token;
      std::vector<Op> ops;
      for (int i = 0; i < 8; ++i) {
        ops.push_back(Create(absl::StrCat("/a/", (token * 3 + i) % 40),
                             absl::StrCat(token, std::string(1000, 'v'))));
      }
      status = Batch(backend.get(), ops, token);
      bool landed = status.ok();
      if (!status.ok()) {
        killer.join();
        ASSERT_OK(server.Restart());
        FenceAtLast(backend.get());
        const bool maybe = CodeOf(status) == Code::kOutcomeUnknown;
        EXPECT_TRUE(maybe || CodeOf(status) == Code::kUnavailable) << status;
        landed = Landed(backend.get(), token);
        EXPECT_TRUE(maybe || !landed) << "a definite failure was committed";
        unknown += maybe ? 1 : 0;
      }
      acknowledged += landed ? 1 : 0;
      if (landed) {
        for (const Op& op : ops) model[op.key] = op.value;
      }
    }
    std::map<std::string, std::string> found;
    ASSERT_OK((*backend->OpenSnapshot())->List(All(), 0, 0, [&](const Row& row) {
      found[std::string(row.key)] = std::string(row.value);
      return true;
    }));
    EXPECT_EQ(found == model, true) << "round " << round;
    const auto stats = backend->Stats();
    ASSERT_TRUE(stats.ok()) << stats.status();
    EXPECT_EQ(stats->history_rows, acknowledged * 8);
  }
  std::cout << acknowledged << " batches, " << unknown << " of unknown outcome\n";
}

// Only the lane's connection to the server is cut: reads and the next batch go on.
TEST_F(PostgresFault, AnOutageOfTheNetwork) {
  PostgresServer& server = PostgresServer::Shared();
  TcpProxy proxy(server.port());
  auto backend = MustOpen(At(&server, proxy.port()));
  ASSERT_OK(Batch(backend.get(), {Create("/a/1", "one")}, 1));
  proxy.SetOff(true);
  EXPECT_TRUE(
      servers::WaitFor([&] { return CodeOf(backend->BeginLane().status()) == Code::kUnavailable; },
                       absl::Seconds(10)));
  const absl::Status down = backend->Ping();
  EXPECT_CODE(down, kUnavailable);
  EXPECT_THAT(std::string(down.message()),
              HasSubstr(absl::StrCat("127.0.0.1:", proxy.port(), "/")));
  EXPECT_EQ(down.ToString().find("geheim"), std::string::npos);
  proxy.SetOff(false);
  FenceAtLast(backend.get());
  EXPECT_OK(Batch(backend.get(), {Create("/a/2", "two")}, 2));
  EXPECT_EQ(Count(backend->OpenSnapshot()->get(), All()), "2");
}

// The endpoint leads to another database all of a sudden: nothing is written there.
TEST_F(PostgresFault, AnotherDatabaseBehindTheSameName) {
  PostgresServer& server = PostgresServer::Shared();
  const PostgresOptions options = At(&server, server.port());
  auto backend = MustOpen(options);
  const std::string name = Database();
  server.Sql("postgres", "DROP DATABASE " + name + " WITH (FORCE)");
  server.Sql("postgres", "CREATE DATABASE " + name + " OWNER stg");
  { auto other = MustOpen(options); }
  EXPECT_CODE(backend->BeginLane().status(), kUnavailable);
  absl::Status status;
  EXPECT_TRUE(servers::WaitFor(
      [&] {
        status = backend->BeginLane().status();
        return absl::StrContains(std::string(status.message()), "another database than at start");
      },
      absl::Seconds(10)))
      << status;
}

// The server says of a commit that it is on this server only.
TEST_F(PostgresFault, ACommitThatIsNotReplicatedIsNoSuccess) {
  auto started = PostgresServer::Start();
  ASSERT_TRUE(started.ok()) << started.status();
  PostgresServer& server = **started;
  auto backend = MustOpen(At(&server, server.port()));
  ASSERT_OK(Batch(backend.get(), {Create("/a/1", "one")}, 1));
  server.Sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  server.Sql("postgres", "SELECT pg_reload_conf()");
  // The server takes the setting up when it likes. Somebody ends the wait.
  std::atomic<bool> stop{false};
  std::thread canceller([&] {
    while (!stop) {
      server.Sql(
          "postgres",
          "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    }
  });
  absl::Status status;
  EXPECT_TRUE(servers::WaitFor(
      [&] {
        status = Batch(backend.get(), {Create("/a/2", "two")}, 2);
        return !status.ok();
      },
      absl::Seconds(20)));
  stop = true;
  canceller.join();
  EXPECT_CODE(status, kOutcomeUnknown);
  EXPECT_THAT(std::string(status.message()), HasSubstr("synchronous replication"));
  // Nobody does: the server waits for ever, the lane does not.
  const absl::Time begin = absl::Now();
  status = Batch(backend.get(), {Create("/a/2", "three")}, 3);
  EXPECT_CODE(status, kOutcomeUnknown);
  EXPECT_LT(absl::Now() - begin, kLimit);
  EXPECT_CODE(backend->BeginLane().status(), kBusy);
  server.Sql("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
  server.Sql("postgres", "SELECT pg_reload_conf()");
  FenceAtLast(backend.get());
  EXPECT_TRUE(Landed(backend.get(), 3));
}

}  // namespace
}  // namespace storage::contract
