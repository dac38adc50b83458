// What opening a PostgreSQL database refuses, and how it says so.
#include <atomic>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/backend/postgres/postgres.h"
#include "src/backend/postgres/postgres_backend.h"
#include "tests/contract/contract_test.h"
#include "tests/contract/test_logger.h"
#include "tests/servers/postgres_server.h"

namespace storage::contract {
namespace {

using servers::PostgresServer;
using testing::HasSubstr;
using testing::Not;

class PostgresOpen : public testing::Test {
 protected:
  // A database of this test.
  std::string Database() {
    std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    for (char& c : name) c = static_cast<char>(tolower(c));
    server_.CreateDatabase(name);
    return name;
  }
  PostgresOptions At(const std::string& uri) {
    PostgresOptions options;
    options.name = "shirts";
    options.conninfo = uri;
    options.logger = &logger_;
    return options;
  }
  PostgresOptions Here() { return At(server_.Uri(Database())); }
  std::unique_ptr<Backend> MustOpen(const PostgresOptions& options) {
    auto backend = OpenPostgresBackend(options);
    EXPECT_TRUE(backend.ok()) << backend.status();
    return backend.ok() ? *std::move(backend) : nullptr;
  }
  // Of both kinds of stores; the message holds the words and no secret.
  void ExpectRefused(const PostgresOptions& options, Code code, const std::string& words) {
    for (const absl::Status& status :
         {OpenPostgresBackend(options).status(), OpenPostgresMetadata(options).status()}) {
      EXPECT_STREQ(CodeName(CodeOf(status)), CodeName(code)) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr(words));
      EXPECT_THAT(status.ToString(), Not(HasSubstr("geheim")));
      EXPECT_EQ(BackendOf(status), "shirts");
    }
  }

  PostgresServer& server_ = PostgresServer::Shared();
  TestLogger logger_;
};

TEST_F(PostgresOpen, WrongPassword) {
  const PostgresOptions options =
      At(PostgresServer::UriOf("stg", "geheim-falsch", server_.port(), Database()));
  ExpectRefused(options, Code::kInvalid, "pg_hba.conf");
  ExpectRefused(options, Code::kInvalid, "28P01");
  ExpectRefused(options, Code::kInvalid, absl::StrCat(":", server_.port(), "/wrongpassword"));
}

TEST_F(PostgresOpen, WrongDatabase) {
  ExpectRefused(At(PostgresServer::UriOf("stg", PostgresServer::kPassword, server_.port(), "none")),
                Code::kInvalid, "CREATE DATABASE");
}

TEST_F(PostgresOpen, NobodyListens) {
  ExpectRefused(
      At(PostgresServer::UriOf("stg", PostgresServer::kPassword, servers::FreePort(), "db")),
      Code::kUnavailable, "/db");
}

TEST_F(PostgresOpen, EndpointsThatCannotBeRead) {
  for (const char* uri :
       {"postgres://u:geheim%zz@h/db", "postgres://u:geheim@h/db?nonsense=1", "postgres://h/db",
        "postgres://u:geheim@h/", "postgres://u:geheim@h/db?replication=true"}) {
    ExpectRefused(At(uri), Code::kInvalid, "the postgres endpoint");
  }
}

TEST_F(PostgresOpen, TlsSettings) {
  PostgresOptions options = At("postgres://u:geheim@h/db?sslmode=disable");
  options.tls.ca_file = "/ca.pem";
  ExpectRefused(options, Code::kInvalid, "backendTLS");
  options = At("postgres://u:geheim@h/db?sslmode=verify-full");
  options.tls.skip_verify = true;
  ExpectRefused(options, Code::kInvalid, "skipVerify");
  options = At("postgres://u:geheim@h/db");
  options.tls.cert_file = "/cert.pem";
  ExpectRefused(options, Code::kInvalid, "caFile");
  // The server of this test has no TLS: asking for it must not fall back.
  options = Here();
  options.tls.skip_verify = true;
  ExpectRefused(options, Code::kUnavailable, "SSL");
}

// Debian has one version only: what libpq says of an older one.
TEST_F(PostgresOpen, AnOldServer) {
  const postgres::Site site{"shirts", "h:5432/db", nullptr, 0};
  const absl::Status status = postgres::CheckServerVersion(110022, site);
  EXPECT_CODE(status, kInvalid);
  EXPECT_EQ(std::string(status.message()),
            "h:5432/db is PostgreSQL 11, which is too old: use PostgreSQL 12 or newer");
  EXPECT_THAT(std::string(postgres::CheckServerVersion(90624, site).message()),
              HasSubstr("is PostgreSQL 9.6,"));
  EXPECT_OK(postgres::CheckServerVersion(120000, site));
  EXPECT_OK(postgres::CheckServerVersion(150004, site));
}

TEST_F(PostgresOpen, ReadOnlyServer) {
  const std::string database = Database();
  MustOpen(Here());
  server_.Sql("postgres",
              absl::StrCat("ALTER DATABASE ", database, " SET default_transaction_read_only = on"));
  ExpectRefused(Here(), Code::kReadOnly, "read-only");
  ExpectRefused(At(server_.Uri(database, "target_session_attrs=read-write")), Code::kReadOnly,
                "read-only");
}

TEST_F(PostgresOpen, MissingPrivilege) {
  server_.Sql("postgres", "CREATE ROLE poor LOGIN PASSWORD 'geheim'");
  const PostgresOptions options =
      At(PostgresServer::UriOf("poor", "geheim", server_.port(), Database()));
  ExpectRefused(options, Code::kInvalid, "GRANT CREATE ON DATABASE");
  // An administrator may make the schema for a user who may not.
  server_.Sql(Database(), "CREATE SCHEMA libstorage AUTHORIZATION poor");
  auto backend = MustOpen(options);
  ASSERT_NE(backend, nullptr);
  EXPECT_OK(Adopt(backend.get(), Us(), 0));
  EXPECT_OK(Write(backend.get(), {Create("/a/1", "one")}));
}

TEST_F(PostgresOpen, TablesOfAnotherProgram) {
  server_.Sql(Database(),
              "SET ROLE stg; CREATE SCHEMA libstorage; CREATE TABLE libstorage.shirts(id int)");
  server_.Sql(
      Database(),
      "SET ROLE stg; CREATE SCHEMA libstorage_meta; CREATE TABLE libstorage_meta.x(id int)");
  ExpectRefused(Here(), Code::kInvalid, "another program");
  server_.Sql(Database(),
              "SET ROLE stg; CREATE TABLE libstorage.meta(id int);"
              "CREATE TABLE libstorage_meta.meta(name text, value text)");
  ExpectRefused(Here(), Code::kInvalid, "another program");
  // What has another schema is in nobody's way.
  server_.Sql(Database(),
              "DROP SCHEMA libstorage CASCADE; CREATE SCHEMA AUTHORIZATION stg;"
              "CREATE TABLE stg.objects(id int); CREATE TABLE public.events(id int)");
  EXPECT_NE(MustOpen(Here()), nullptr);
}

TEST_F(PostgresOpen, NewerSchema) {
  ASSERT_NE(MustOpen(Here()), nullptr);
  ASSERT_TRUE(OpenPostgresMetadata(Here()).ok());
  for (const char* schema : {"libstorage", "libstorage_meta"}) {
    server_.Sql(Database(),
                absl::StrCat("UPDATE ", schema, ".meta SET value = '99' WHERE name = 'version'"));
  }
  ExpectRefused(Here(), Code::kInvalid, "schema version 99");
}

TEST_F(PostgresOpen, TwoProcessesMakeTheSchemaAtOnce) {
  const PostgresOptions options = Here();
  for (int round = 0; round < 5; ++round) {
    server_.Sql(Database(), "DROP SCHEMA IF EXISTS libstorage CASCADE");
    std::vector<std::string> identities(4);
    std::vector<std::thread> threads;
    for (std::string& identity : identities) {
      threads.emplace_back([&] {
        auto backend = OpenPostgresBackend(options);
        EXPECT_TRUE(backend.ok()) << backend.status();
        if (backend.ok()) identity = (*backend)->identity();
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::string& identity : identities) EXPECT_EQ(identity, identities[0]);
    EXPECT_NE(identities[0], "");
  }
}

TEST_F(PostgresOpen, TheIdentityHasThreeParts) {
  const std::string expected =
      server_.Sql(Database(),
                  "SELECT (SELECT system_identifier FROM pg_control_system()) || '/' "
                  "|| oid FROM pg_database WHERE datname = current_database()");
  auto backend = MustOpen(Here());
  const std::string uuid =
      server_.Sql(Database(), "SELECT value FROM libstorage.meta WHERE name = 'identity'");
  EXPECT_EQ(backend->identity(), absl::StrCat(uuid, "/", expected));
}

TEST_F(PostgresOpen, RelaxedDurabilityIsReportedAndRemembered) {
  const std::string database = Database();
  EXPECT_TRUE(MustOpen(Here())->durable());
  server_.Sql("postgres",
              absl::StrCat("ALTER DATABASE ", database, " SET synchronous_commit = off"));
  EXPECT_FALSE(MustOpen(Here())->durable());
  EXPECT_THAT(logger_.messages(), testing::Contains(HasSubstr("synchronous_commit=off")));
  server_.Sql("postgres", absl::StrCat("ALTER DATABASE ", database, " RESET synchronous_commit"));
  auto backend = MustOpen(Here());
  EXPECT_FALSE(backend->durable()) << "what the server before lost is not known";
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  backend = MustOpen(Here());
  EXPECT_TRUE(backend->durable());
  // Not every setting below "on" loses commits of this server.
  EXPECT_TRUE(
      MustOpen(At(server_.Uri(database, "options=-csynchronous_commit%3Dlocal")))->durable());
  EXPECT_FALSE(
      MustOpen(At(server_.Uri(database, "options=-csynchronous_commit%3Doff")))->durable());
}

TEST_F(PostgresOpen, TheSettingsOfTheSessions) {
  auto backend = MustOpen(Here());
  auto snapshot = *backend->OpenSnapshot();
  EXPECT_EQ(server_.Sql("postgres",
                        "SELECT count(*), min(application_name) FROM pg_stat_activity "
                        "WHERE datname = 'thesettingsofthesessions'"),
            "2|libstorage/shirts");
}

TEST_F(PostgresOpen, TheReadersAreBounded) {
  PostgresOptions options = Here();
  options.pool.max_open = 3;
  options.pool.max_idle = 1;
  auto opened = postgres::PostgresBackend::Open(options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  postgres::PostgresBackend& backend = **opened;
  auto one = *backend.OpenSnapshot();
  auto two = *backend.OpenSnapshot();
  EXPECT_EQ(backend.OpenReadersForTest(), 2);
  EXPECT_CODE(backend.OpenSnapshot().status(), kBusy);
  std::thread waiting([&] { EXPECT_TRUE(backend.OpenSnapshot().ok()); });
  one.reset();
  waiting.join();
  two.reset();
  EXPECT_EQ(backend.OpenReadersForTest(), 1) << "maxIdle";
}

TEST_F(PostgresOpen, OldConnectionsAreClosed) {
  PostgresOptions options = Here();
  options.pool.max_idle_life_time_ms = 1;
  auto backend = *postgres::PostgresBackend::Open(options);
  ASSERT_OK(backend->Ping());
  EXPECT_TRUE(servers::WaitFor(
      [&] {
        EXPECT_TRUE(backend->Maintain(true).ok());
        return backend->OpenReadersForTest() == 0;
      },
      absl::Seconds(10)));
  options.pool = PostgresPool();
  options.pool.max_life_time_ms = 1;
  backend = *postgres::PostgresBackend::Open(options);
  EXPECT_TRUE(servers::WaitFor(
      [&] {
        EXPECT_OK(backend->Ping());
        return backend->OpenReadersForTest() == 0;
      },
      absl::Seconds(10)));
}

TEST_F(PostgresOpen, ASecondMetadataStoreIsRefusedAndTheHolderNamed) {
  auto first = *OpenPostgresMetadata(Here());
  ASSERT_EQ(*first->Start(), 1);
  const auto second = OpenPostgresMetadata(Here());
  EXPECT_CODE(second.status(), kBusy);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr(absl::StrCat("used by another process: pid ", getpid(), " on host ")));
  EXPECT_OK(first->Reserve(5, {}));
  first.reset();
  EXPECT_TRUE(OpenPostgresMetadata(Here()).ok());
}

// The fence does not rest on the claim: here the claim is taken away by force.
TEST_F(PostgresOpen, WhoWasReplacedWritesNothingMore) {
  auto first = *OpenPostgresMetadata(Here());
  ASSERT_EQ(*first->Start(), 1);
  ASSERT_OK(first->Reserve(10, {}));
  const std::string holder = "(SELECT session FROM libstorage_meta.holder)::int";
  server_.Sql(Database(), "SELECT pg_terminate_backend(" + holder + ", 5000)");
  auto second = OpenPostgresMetadata(Here());
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_CODE(first->Reserve(20, {}), kUnavailable) << "the second has the claim";
  ASSERT_EQ(*(*second)->Start(), 2);
  ASSERT_OK((*second)->Reserve(15, {}));
  second->reset();
  const auto replaced = [&](const absl::Status& status) {
    EXPECT_CODE(status, kUnavailable);
    EXPECT_THAT(std::string(status.message()), HasSubstr("another process took"));
  };
  EXPECT_TRUE(servers::WaitFor(  // its back-off is over
      [&] {
        return absl::StrContains(std::string(first->Reserve(20, {}).message()),
                                 "another process took");
      },
      absl::Seconds(10)));
  replaced(first->SetTopology(9, "x"));
  replaced(first->MarkTime(1, 1));
  replaced(first->ForgetBefore(1));
  replaced(first->Finish(3, {}));
  replaced(first->Start().status());
  first.reset();
  auto third = *OpenPostgresMetadata(Here());
  EXPECT_EQ(third->found().epoch, 2);
  EXPECT_EQ(third->found().reserved, 15);
  EXPECT_FALSE(third->found().clean);
}

// A store whose session was lost, but whose claim nobody took, goes on.
TEST_F(PostgresOpen, AMetadataStoreComesBackAfterALostSession) {
  auto store = *OpenPostgresMetadata(Here());
  ASSERT_EQ(*store->Start(), 1);
  server_.Sql(
      Database(),
      "SELECT pg_terminate_backend((SELECT session FROM libstorage_meta.holder)::int, 5000)");
  EXPECT_OK(store->Reserve(20, {}));
  EXPECT_OK(store->Ping());
}

}  // namespace
}  // namespace storage::contract
