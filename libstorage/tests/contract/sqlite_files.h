// What the tests of the SQLite backend share: a log that can be read, files
// opened with options, and a way to change a file behind the backend's back.
#ifndef LIBSTORAGE_TESTS_CONTRACT_SQLITE_FILES_H_
#define LIBSTORAGE_TESTS_CONTRACT_SQLITE_FILES_H_

#include <sqlite3.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "src/backend/sqlite/sqlite.h"
#include "tests/contract/contract_test.h"
#include "tests/contract/test_logger.h"

namespace storage::contract {

class SqliteFileTest : public testing::Test {
 protected:
  SqliteOptions Options(const std::string& file = "objects.db") {
    SqliteOptions options;
    options.name = "shirts";
    options.path = dir_.path() + "/" + file;
    options.logger = &logger_;
    return options;
  }
  absl::Status OpenStatus(const SqliteOptions& options) {
    return OpenSqliteBackend(options).status();
  }
  std::unique_ptr<Backend> MustOpen(const SqliteOptions& options) {
    auto backend = OpenSqliteBackend(options);
    EXPECT_TRUE(backend.ok()) << backend.status();
    return backend.ok() ? *std::move(backend) : nullptr;
  }
  std::unique_ptr<Backend> MustOpen() { return MustOpen(Options()); }
  // An adopted database with two objects, closed again.
  void MakeDatabase() {
    auto backend = MustOpen();
    ASSERT_OK(Adopt(backend.get(), Us(), 0));
    ASSERT_OK(Write(backend.get(), {Create("/a/1", "one"), Create("/a/2", "two")}));
  }

  // Runs SQL on a file as another program would.
  static void Sql(const std::string& path, const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK)
        << (error == nullptr ? "" : error);
    sqlite3_free(error);
    sqlite3_close(db);
  }

  const TempDir dir_;
  TestLogger logger_;
};

}  // namespace storage::contract

#endif  // LIBSTORAGE_TESTS_CONTRACT_SQLITE_FILES_H_
