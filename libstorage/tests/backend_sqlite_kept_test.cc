// Read transactions that readers keep while nothing is written (reader_pool.h):
// none is ever older than what was committed, and none holds the log back.
#include <filesystem>

#include "src/backend/sqlite/sqlite_backend.h"
#include "tests/contract/sqlite_files.h"

namespace storage::contract {
namespace {

class SqliteKeptTest : public SqliteFileTest {
 protected:
  void SetUp() override {
    SqliteFileTest::SetUp();
    backend_ = MustOpen();
    ASSERT_OK(Adopt(backend_.get(), Us(), 0));
  }
  int Kept() const { return dynamic_cast<sqlite::SqliteBackend*>(backend_.get())->KeptForTest(); }
  std::string ValueOf(const std::string& key) {
    std::string value = "absent";
    EXPECT_OK(backend_->Get(key, [&](const Row& row) {
      value.assign(row.value);
      return true;
    }));
    return value;
  }

  std::unique_ptr<Backend> backend_;
};

TEST_F(SqliteKeptTest, AReaderKeepsItsTransactionUntilTheNextChange) {
  ASSERT_OK(Write(backend_.get(), {Create("/a/1", "one")}));
  EXPECT_EQ(ValueOf("/a/1"), "one");
  EXPECT_EQ(Kept(), 0);  // a single read after a write is not worth it
  EXPECT_EQ(ValueOf("/a/1"), "one");
  EXPECT_EQ(Kept(), 1);
  EXPECT_EQ(Count((*backend_->OpenSnapshot()).get(), All()), "1");
  ASSERT_OK(Write(backend_.get(), {Update("/a/1", "two"), Create("/a/2", "")}));
  EXPECT_EQ(Kept(), 0);
  EXPECT_EQ(ValueOf("/a/1"), "two");
  EXPECT_EQ(ValueOf("/a/1"), "two");
  EXPECT_EQ(Kept(), 1);
  EXPECT_EQ(Count((*backend_->OpenSnapshot()).get(), All()), "2");
}

TEST_F(SqliteKeptTest, NothingIsKeptBesideAnOpenTransaction) {
  ASSERT_OK(Write(backend_.get(), {Create("/a/1", "one")}));
  auto txn = backend_->BeginLane();
  ASSERT_OK(txn.status());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ValueOf("/a/1"), "one");
  EXPECT_EQ(Kept(), 0);
  txn->reset();  // rolls back
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ValueOf("/a/1"), "one");
  EXPECT_EQ(Kept(), 1);
}

TEST_F(SqliteKeptTest, AReadThatOutlivesAChangeKeepsNothing) {
  ASSERT_OK(Write(backend_.get(), {Create("/a/1", "one")}));
  EXPECT_EQ(ValueOf("/a/1"), "one");
  auto snapshot = backend_->OpenSnapshot();  // on the transaction that is kept from here on
  ASSERT_OK(snapshot.status());
  ASSERT_OK(Write(backend_.get(), {Update("/a/1", "two")}));
  EXPECT_EQ(Count(snapshot->get(), All()), "1");
  snapshot->reset();
  EXPECT_EQ(Kept(), 0);
  EXPECT_EQ(ValueOf("/a/1"), "two");
}

TEST_F(SqliteKeptTest, TheLogStartsOverBetweenReads) {
  const std::string value(1 << 20, 'v');
  for (int i = 0; i < 80; ++i) {
    ASSERT_OK(Write(backend_.get(), {Create("/a/" + std::to_string(i), value)}));
    for (int read = 0; read < 3; ++read) {
      ASSERT_EQ(ValueOf("/a/" + std::to_string(i)).size(), value.size());
    }
    ASSERT_EQ(Kept(), 1);
    auto more = backend_->Maintain(true);
    while (more.ok() && *more) more = backend_->Maintain(true);
    ASSERT_OK(more.status());
  }
  EXPECT_LT(std::filesystem::file_size(Options().path + "-wal"), 32u << 20);
}

}  // namespace
}  // namespace storage::contract
