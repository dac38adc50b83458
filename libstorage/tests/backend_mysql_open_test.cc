// Opening MySQL databases: what is refused, and with which words; creation that is
// resumed; servers that are set up in ways that matter.
#include <fstream>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "src/backend/mysql/mysql_backend.h"
#include "src/base/mutex.h"
#include "tests/contract/contract_test.h"
#include "tests/servers/mariadb_server.h"

namespace storage::contract {
namespace {

using servers::MariadbServer;

class Messages : public Logger {
 public:
  void Log(LogLevel, std::string message) override {
    MutexLock lock(&mutex_);
    text_ += message + "\n";
  }
  std::string text() {
    MutexLock lock(&mutex_);
    return text_;
  }

 private:
  Mutex mutex_;
  std::string text_;
};

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

#define EXPECT_REFUSED(status, code, part)                                                     \
  do {                                                                                         \
    const absl::Status refused_status = (status);                                              \
    EXPECT_CODE(refused_status, code);                                                         \
    EXPECT_TRUE(Contains(std::string(refused_status.message()), part)) << refused_status;      \
    EXPECT_FALSE(Contains(std::string(refused_status.message()), "s3cr3t")) << refused_status; \
  } while (false)

class MysqlOpenTest : public testing::Test {
 protected:
  MysqlOpenTest() : server_(MariadbServer::Shared()), database_(server_.NewDatabase()) {}
  MysqlOptions Options() { return server_.Options(database_); }
  absl::Status Open() { return OpenMysqlBackend(Options()).status(); }

  MariadbServer& server_;
  const std::string database_;
};

TEST_F(MysqlOpenTest, AWrongPassword) {
  MysqlOptions options = Options();
  options.password = "s3cr3t-but-wrong";
  EXPECT_REFUSED(OpenMysqlBackend(options).status(), kInvalid, "check user and password");
  EXPECT_REFUSED(OpenMysqlMetadata(options, false).status(), kInvalid, "check user and password");
}

TEST_F(MysqlOpenTest, ADatabaseThatIsNotThere) {
  MysqlOptions options = Options();
  options.database = "nowhere";
  // Without any right there, the server does not say whether it exists.
  EXPECT_REFUSED(OpenMysqlBackend(options).status(), kInvalid, "GRANT");
  server_.Sql(absl::StrCat("GRANT ALL ON *.* TO ", database_, "@'%'"));
  EXPECT_REFUSED(OpenMysqlBackend(options).status(), kInvalid, "create the database");
}

TEST_F(MysqlOpenTest, ServersThatAreNotThere) {
  MysqlOptions options = Options();
  options.port = servers::FreePort();
  EXPECT_REFUSED(OpenMysqlBackend(options).status(), kUnavailable,
                 absl::StrCat("127.0.0.1:", options.port, "/", database_));
  options.socket = "/nowhere/mysql.sock";
  EXPECT_REFUSED(OpenMysqlBackend(options).status(), kUnavailable, "/nowhere/mysql.sock");
  options.socket.clear();
  options.host = "no-such-host.invalid";
  EXPECT_REFUSED(OpenMysqlBackend(options).status(), kUnavailable, "no-such-host.invalid");
}

TEST_F(MysqlOpenTest, AUnixSocket) {
  MysqlOptions options = Options();
  options.socket = server_.socket();
  options.port = 1;  // not used
  EXPECT_OK(OpenMysqlBackend(options).status());
}

TEST_F(MysqlOpenTest, AUserWithoutTheRightToCreate) {
  server_.Sql(absl::StrCat("REVOKE CREATE ON ", database_, ".* FROM ", database_, "@'%'"));
  EXPECT_REFUSED(Open(), kInvalid, "GRANT");
}

TEST_F(MysqlOpenTest, AUserWhoMayOnlyRead) {
  auto backend = OpenMysqlBackend(Options());
  ASSERT_TRUE(backend.ok());
  ASSERT_OK(Adopt(backend->get(), Us(), 0));
  backend->reset();
  server_.Sql(
      absl::StrCat("REVOKE UPDATE, INSERT, DELETE ON ", database_, ".* FROM ", database_, "@'%'"));
  backend = OpenMysqlBackend(Options());
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_OK((*backend)->Ping());
  EXPECT_REFUSED(Adopt(backend->get(), Us(), 0), kInvalid, "GRANT");
}

TEST_F(MysqlOpenTest, AForeignTableInTheWay) {
  server_.Sql("CREATE TABLE stg_objects(id INT PRIMARY KEY); CREATE TABLE kine(id INT)", database_);
  EXPECT_REFUSED(Open(), kInvalid, "stg_objects was not made by libstorage");
  EXPECT_EQ(server_.Sql("SHOW COLUMNS FROM stg_objects", database_).substr(0, 2), "id");
  server_.Sql("DROP TABLE stg_objects; CREATE TABLE stg_m_clock(id INT)", database_);
  EXPECT_OK(Open()) << "other tables do not matter";
  EXPECT_REFUSED(OpenMysqlMetadata(Options(), false).status(), kInvalid,
                 "stg_m_clock was not made");
}

TEST_F(MysqlOpenTest, TablesThatSomebodyChanged) {
  const struct {
    const char* change;
    const char* undo;
    const char* words;
  } changes[] = {
      {"ALTER TABLE stg_meta ENGINE=MyISAM", "ALTER TABLE stg_meta ENGINE=InnoDB",
       "ALTER TABLE stg_meta ENGINE=InnoDB"},
      {"ALTER TABLE stg_objects MODIFY k VARCHAR(700) COLLATE utf8mb4_general_ci NOT NULL",
       "ALTER TABLE stg_objects MODIFY k VARBINARY(1024) NOT NULL",
       "keys must be compared byte by byte"},
      {"ALTER TABLE stg_objects MODIFY value BLOB NOT NULL",
       "ALTER TABLE stg_objects MODIFY value LONGBLOB NOT NULL", "columns of stg_objects"},
      {"ALTER TABLE stg_events ADD extra INT", "ALTER TABLE stg_events DROP extra",
       "columns of stg_events"},
      {"ALTER TABLE stg_events DROP KEY events_key",
       "ALTER TABLE stg_events ADD KEY events_key(k, rev, kind, prev_create)",
       "indexes of stg_events"},
      {"RENAME TABLE stg_kinds TO gone", "RENAME TABLE gone TO stg_kinds", "stg_kinds is gone"},
  };
  ASSERT_OK(Open());
  for (const auto& change : changes) {
    server_.Sql(change.change, database_);
    const absl::Status refused = Open();
    EXPECT_FALSE(refused.ok()) << change.change;
    EXPECT_TRUE(Contains(std::string(refused.message()), change.words)) << refused;
    server_.Sql(change.undo, database_);
    EXPECT_OK(Open()) << change.undo;
  }
}

TEST_F(MysqlOpenTest, ANewerSchema) {
  ASSERT_OK(Open());
  ASSERT_OK(OpenMysqlMetadata(Options(), false).status());
  // A newer version may have other columns: that is not what is complained of.
  server_.Sql(
      "UPDATE stg_meta SET value = '7' WHERE name = 'version'; ALTER TABLE stg_events ADD x INT; "
      "UPDATE stg_m_state SET version = 8",
      database_);
  EXPECT_REFUSED(Open(), kInvalid, "schema version 7, but this build knows versions up to 1");
  EXPECT_REFUSED(OpenMysqlMetadata(Options(), false).status(), kInvalid, "schema version 8");
}

// MySQL commits each CREATE by itself: whatever was there when the first server was
// killed, the second one finishes.
TEST_F(MysqlOpenTest, CreationIsResumedAfterAnyStatement) {
  const std::vector<std::string> tables = {"stg_kinds", "stg_events", "stg_objects", "stg_lane",
                                           "stg_meta"};
  for (size_t missing = 0; missing <= tables.size(); ++missing) {
    ASSERT_OK(Open());
    // Back to the state after some of the statements: the first rows are the last one.
    server_.Sql("DELETE FROM stg_meta; DELETE FROM stg_lane", database_);
    for (size_t i = 0; i < missing; ++i) server_.Sql("DROP TABLE " + tables[i], database_);
    auto backend = OpenMysqlBackend(Options());
    ASSERT_TRUE(backend.ok()) << missing << " tables missing: " << backend.status();
    ASSERT_OK(Adopt(backend->get(), Us(), 0)) << missing;
    ASSERT_OK(Write(backend->get(), {Create("/a/1", "x")})) << missing;
    EXPECT_EQ((*backend)->identity().size(), 32u);
    backend->reset();
    server_.Sql(
        "DELETE FROM stg_objects; DELETE FROM stg_events; DELETE FROM stg_kinds; UPDATE stg_lane "
        "SET head = 0, floor = 0, seq = 0, seq_bytes = 0",
        database_);
  }
}

TEST_F(MysqlOpenTest, SeveralServersStartAtOnce) {
  std::vector<std::thread> threads;
  std::vector<std::string> identities(4);
  for (std::string& identity : identities) {
    threads.emplace_back([&identity, options = Options()] {
      auto backend = OpenMysqlBackend(options);
      EXPECT_TRUE(backend.ok()) << backend.status();
      if (backend.ok()) identity = (*backend)->identity();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(identities[0].size(), 32u);
  for (const std::string& identity : identities) EXPECT_EQ(identity, identities[0]);
}

// A copy, or another database, that answers after a reconnect is noticed.
TEST_F(MysqlOpenTest, AnotherDatabaseInThePlaceOfTheFirst) {
  auto backend = OpenMysqlBackend(Options());
  ASSERT_TRUE(backend.ok());
  ASSERT_OK(Adopt(backend->get(), Us(), 0));
  server_.Sql("UPDATE stg_meta SET value = 'other' WHERE name = 'identity'", database_);
  server_.Sql(server_.Sql(absl::StrCat(
      "SELECT CONCAT('KILL ', id, ';') FROM information_schema.PROCESSLIST WHERE user = '",
      database_, "'")));
  EXPECT_REFUSED((*backend)->BeginLane().status(), kCorrupt, "another database answers");
}

TEST_F(MysqlOpenTest, OptionsAreLoggedOnceAndSmallPacketsToo) {
  Messages messages;
  MysqlOptions options = Options();
  options.logger = &messages;
  options.slow_sql_ms = 1;
  options.options = {
      {"parseTime", "true"}, {"charset", "utf8mb4"}, {"maxAllowedPacket", "1000000"}};
  auto backend = OpenMysqlBackend(options);
  ASSERT_TRUE(backend.ok()) << backend.status();
  ASSERT_OK(Adopt(backend->get(), Us(), 0));
  const std::string text = messages.text();
  EXPECT_TRUE(Contains(text, "without effect here: charset=utf8mb4, parseTime=true")) << text;
  EXPECT_EQ(text.find("without effect"), text.rfind("without effect")) << text;
  EXPECT_TRUE(Contains(text, "max_allowed_packet is 1000000")) << text;
  // Long enough for any machine to be seen, and without the value.
  Op large = Create("/a/1", std::string(400000, 'Z'));
  ASSERT_OK(Write(backend->get(), {large}));
  EXPECT_FALSE(Contains(messages.text(), "ZZZ"));
}

TEST_F(MysqlOpenTest, SystemVariablesOfTheEndpoint) {
  MysqlOptions options = Options();
  options.options = {{"sort_buffer_size", "300000"}, {"connectionAttributes", "team:a,stage:b"}};
  EXPECT_OK(OpenMysqlBackend(options).status());
  options.options = {{"no_such_variable", "1"}};
  EXPECT_REFUSED(OpenMysqlBackend(options).status(), kInvalid,
                 "variable that this server does not");
}

TEST(MysqlSettingsTest, RelaxedAndStatementBasedServers) {
  auto server = MariadbServer::Start(
      {"--log-bin", "--server-id=1", "--binlog-format=MIXED", "--sync-binlog=0"});
  ASSERT_TRUE(server.ok()) << server.status();
  const MysqlOptions options = (*server)->Options((*server)->NewDatabase());
  EXPECT_REFUSED(OpenMysqlMetadata(options, false).status(), kInvalid, "sync_binlog is not 1");
  {
    auto backend = OpenMysqlBackend(options);
    ASSERT_TRUE(backend.ok()) << backend.status();
    EXPECT_FALSE((*backend)->durable());
  }
  (*server)->Sql("SET GLOBAL sync_binlog = 1");
  EXPECT_OK(OpenMysqlMetadata(options, false).status());
  {
    auto backend = OpenMysqlBackend(options);
    ASSERT_TRUE(backend.ok()) << backend.status();
    EXPECT_FALSE((*backend)->durable()) << "what was written before may be lost";
    ASSERT_OK(Adopt(backend->get(), Us(), 0));
    ASSERT_OK(Write(backend->get(), {Create("/a/1", "x")}));
    ASSERT_OK(Write(backend->get(), {Update("/a/1", "y")}));
    EXPECT_EQ(*(*backend)->DeleteHistory(5), 0);
  }
  auto backend = OpenMysqlBackend(options);
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_TRUE((*backend)->durable());
  backend->reset();
  (*server)->Sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2");
  EXPECT_REFUSED(OpenMysqlMetadata(options, false).status(), kInvalid,
                 "innodb_flush_log_at_trx_commit");
  EXPECT_FALSE((*OpenMysqlBackend(options))->durable());
  (*server)->Sql("SET GLOBAL binlog_format = STATEMENT");
  EXPECT_REFUSED(OpenMysqlBackend(options).status(), kInvalid, "binlog_format=MIXED or ROW");
}

TEST(MysqlVersionTest, OldServersAreRefused) {
  const struct {
    const char* version;
    bool refused;
  } servers[] = {{"10.2.44-MariaDB", true},
                 {"5.7.44-log", true},
                 {"5.7.25-TiDB-v7.5.0", false},
                 {"8.0.36", false}};
  for (const auto& each : servers) {
    auto server = MariadbServer::Start({absl::StrCat("--version=", each.version)});
    ASSERT_TRUE(server.ok()) << server.status();
    const MysqlOptions options = (*server)->Options((*server)->NewDatabase());
    if (!each.refused) {
      EXPECT_OK(OpenMysqlBackend(options).status()) << each.version;
      continue;
    }
    for (const absl::Status& status :
         {OpenMysqlBackend(options).status(), OpenMysqlMetadata(options, false).status()}) {
      EXPECT_REFUSED(status, kInvalid, "which is too old: use MariaDB 10.3, MySQL 8.0, or newer");
      EXPECT_TRUE(Contains(std::string(status.message()), absl::AsciiStrToLower(each.version)));
    }
  }
}

// --- TLS ---

class MysqlTlsTest : public testing::Test {
 protected:
  // A certificate that signs itself, for 127.0.0.1.
  void SetUp() override {
    key_ = dir_.path() + "/key.pem";
    cert_ = dir_.path() + "/cert.pem";
    ASSERT_OK(servers::RunToEnd({{"/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048",
                                  "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                                  "subjectAltName=IP:127.0.0.1", "-keyout", key_, "-out", cert_},
                                 "mysql",
                                 "/",
                                 dir_.path() + "/openssl.log",
                                 {}},
                                absl::Seconds(30)));
    auto server = MariadbServer::Start({"--ssl-cert=" + cert_, "--ssl-key=" + key_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    const std::string database = server_->NewDatabase();
    server_->Sql(absl::StrCat("ALTER USER ", database, "@'%' REQUIRE SSL"));
    options_ = server_->Options(database);
  }

  const servers::ServerDir dir_{"mysql"};
  std::string key_, cert_;
  std::unique_ptr<MariadbServer> server_;
  MysqlOptions options_;
};

TEST_F(MysqlTlsTest, TheModes) {
  EXPECT_REFUSED(OpenMysqlBackend(options_).status(), kInvalid, "check user and password");
  options_.options["tls"] = "skip-verify";
  auto backend = OpenMysqlBackend(options_);
  ASSERT_TRUE(backend.ok()) << backend.status();
  ASSERT_OK(Adopt(backend->get(), Us(), 0));
  ASSERT_OK((*backend)->Ping());
  ASSERT_OK((*backend)->Ping()) << "a TLS connection that talks by itself is alive";
  options_.options["tls"] = "preferred";
  EXPECT_OK(OpenMysqlBackend(options_).status());
  options_.options["tls"] = "true";
  EXPECT_REFUSED(OpenMysqlBackend(options_).status(), kUnavailable, "TLS failed");
  options_.options.clear();
  options_.tls.ca_file = cert_;
  EXPECT_OK(OpenMysqlBackend(options_).status());
  options_.tls.skip_verify = true;
  options_.tls.ca_file.clear();
  EXPECT_OK(OpenMysqlBackend(options_).status());
  // TLS that the server does not have is not quietly left out.
  MysqlOptions plain = MariadbServer::Shared().Options(MariadbServer::Shared().NewDatabase());
  plain.options["tls"] = "skip-verify";
  EXPECT_REFUSED(OpenMysqlBackend(plain).status(), kUnavailable, "TLS");
  plain.options["tls"] = "preferred";
  EXPECT_OK(OpenMysqlBackend(plain).status());
}

}  // namespace
}  // namespace storage::contract
