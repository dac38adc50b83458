// Random histories on memory and SQLite (contract/metamorphic.h).
#include "src/backend/sqlite/ballast.h"
#include "src/backend/sqlite/sqlite_backend.h"
#include "tests/contract/metamorphic.h"

namespace storage::contract {
namespace {

TEST(MetamorphicTest, SqliteAnswersAsMemoryDoes) {
  sqlite::Ballast::SetBytesForTest(1 << 20, 0);
  sqlite::SqliteBackend::SetUpkeepForTest(sqlite::Upkeep{20, 4, 1, false});
  Metamorphic([]() -> Metamorphic::Open {
    return [dir = std::make_shared<TempDir>("/dev/shm")]() {
      SqliteOptions options;
      options.name = "sqlite";
      options.path = dir->path() + "/objects.db";
      return OpenSqliteBackend(options);
    };
  }).Run(std::chrono::seconds(3));
}

}  // namespace
}  // namespace storage::contract
