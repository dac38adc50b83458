// The metadata store on MySQL: one holder at a time, and fenced by more than that.
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "src/backend/mysql/mysql_backend.h"
#include "tests/contract/contract_test.h"
#include "tests/servers/mariadb_server.h"
#include "tests/servers/tcp_proxy.h"

namespace storage::contract {
namespace {

using servers::MariadbServer;
using servers::TcpProxy;

class MysqlMetadataTest : public testing::Test {
 protected:
  MysqlMetadataTest() : server_(MariadbServer::Shared()), database_(server_.NewDatabase()) {}

  std::unique_ptr<MetadataStore> Open() {
    auto store = OpenMysqlMetadata(server_.Options(database_), false);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  void KillSessions() {
    server_.Sql(server_.Sql(absl::StrCat(
        "SELECT CONCAT('KILL ', id, ';') FROM information_schema.PROCESSLIST WHERE user = '",
        database_, "'")));
  }

  MariadbServer& server_;
  const std::string database_;
};

TEST_F(MysqlMetadataTest, ASecondHolderIsRefusedAndTheFirstNamed) {
  auto first = Open();
  ASSERT_EQ(*first->Start(), 1);
  const auto second = OpenMysqlMetadata(server_.Options(database_), false);
  EXPECT_CODE(second.status(), kBusy);
  const std::string message(second.status().message());
  EXPECT_NE(message.find(absl::StrCat("pid ", getpid(), " on host ")), std::string::npos)
      << message;
  EXPECT_NE(message.find("KILL "), std::string::npos) << message;
  EXPECT_EQ(message.find("s3cr3t"), std::string::npos) << message;
  ASSERT_OK(first->Reserve(10, {}));
  first.reset();
  EXPECT_EQ(*Open()->Start(), 2);
}

// Another database of the same server is another store.
TEST_F(MysqlMetadataTest, TheLockIsPerDatabase) {
  auto first = Open();
  EXPECT_OK(OpenMysqlMetadata(server_.Options(server_.NewDatabase()), false).status());
}

TEST_F(MysqlMetadataTest, AHolderWhoseSessionEndedIsReplacedAndFenced) {
  auto first = Open();
  ASSERT_EQ(*first->Start(), 1);
  ASSERT_OK(first->Reserve(1000, {{"b", {"id", 5}}}));
  KillSessions();
  auto second = Open();
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->found().reserved, 1000);
  EXPECT_CODE(first->Reserve(2000, {}), kUnavailable);
  ASSERT_EQ(*second->Start(), 2);
  EXPECT_CODE(first->Reserve(2000, {}), kUnavailable);
  second.reset();  // the lock is free: the epoch alone must hold now
  const absl::Status late = first->Reserve(2000, {});
  EXPECT_CODE(late, kUnavailable);
  EXPECT_NE(late.message().find("took the metadata store"), std::string::npos) << late;
  EXPECT_CODE(first->Finish(3, {}), kUnavailable);
  EXPECT_CODE(first->SetTopology(3, "{}"), kUnavailable);
  EXPECT_CODE(first->MarkTime(3, 3), kUnavailable);
  EXPECT_CODE(first->ForgetBefore(3), kUnavailable);
  EXPECT_CODE(first->Start().status(), kUnavailable);
  first.reset();
  auto third = Open();
  EXPECT_EQ(third->found().reserved, 1000);
  EXPECT_EQ(third->found().topo_version, 0);
  EXPECT_FALSE(third->found().clean);
  EXPECT_EQ(*third->RevisionAt(100), 0);
}

// Without any lock in the game: somebody raised the epoch.
TEST_F(MysqlMetadataTest, TheEpochAloneFences) {
  auto store = Open();
  ASSERT_EQ(*store->Start(), 1);
  ASSERT_OK(store->Reserve(10, {}));
  server_.Sql("UPDATE stg_m_state SET epoch = 2", database_);
  EXPECT_CODE(store->Reserve(20, {{"b", {"id", 1}}}), kUnavailable);
  EXPECT_EQ(server_.Sql("SELECT reserved FROM stg_m_state", database_), "10\n");
  EXPECT_EQ(server_.Sql("SELECT COUNT(*) FROM stg_m_backends", database_), "0\n");
}

TEST_F(MysqlMetadataTest, AStartSinceOpenIsNoticed) {
  auto store = Open();
  server_.Sql("UPDATE stg_m_state SET epoch = 5", database_);
  EXPECT_CODE(store->Start().status(), kUnavailable);
  EXPECT_EQ(server_.Sql("SELECT epoch FROM stg_m_state", database_), "5\n");
}

TEST_F(MysqlMetadataTest, AnOutageIsGoneThrough) {
  auto store = Open();
  ASSERT_EQ(*store->Start(), 1);
  KillSessions();
  EXPECT_OK(store->Reserve(10, {})) << "an idle session that was ended is replaced";
  EXPECT_OK(store->Ping());
}

// A reservation whose reply was lost counts for nothing, but may be there.
TEST_F(MysqlMetadataTest, ALostReplyIsAnError) {
  TcpProxy proxy(server_.port());
  MysqlOptions options = server_.Options(database_);
  options.port = proxy.port();
  auto store = OpenMysqlMetadata(options, false);
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_EQ(*(*store)->Start(), 1);
  proxy.Arm(TcpProxy::Fault::kLoseAnswer, "COMMIT");
  EXPECT_CODE((*store)->Reserve(70, {}), kUnavailable);
  EXPECT_EQ(server_.Sql("SELECT reserved FROM stg_m_state", database_), "70\n");
  EXPECT_OK((*store)->Reserve(80, {}));
  EXPECT_EQ(server_.Sql("SELECT reserved FROM stg_m_state", database_), "80\n");
}

// Objects and metadata may share a database.
TEST_F(MysqlMetadataTest, BesideTheObjects) {
  auto backend = OpenMysqlBackend(server_.Options(database_));
  ASSERT_TRUE(backend.ok()) << backend.status();
  auto store = Open();
  ASSERT_EQ(*store->Start(), 1);
  ASSERT_OK(Adopt(backend->get(), Us(), 0));
  ASSERT_OK(Write(backend->get(), {Create("/a/1", "x")}));
  ASSERT_OK(store->Finish(1, {{"b", {(*backend)->identity(), 1}}}));
}

}  // namespace
}  // namespace storage::contract
