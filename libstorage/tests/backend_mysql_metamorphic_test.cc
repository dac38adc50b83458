// Random histories on memory and MariaDB (contract/metamorphic.h).
#include "src/backend/mysql/mysql_backend.h"
#include "tests/contract/metamorphic.h"
#include "tests/servers/mariadb_places.h"

namespace storage::contract {
namespace {

TEST(MetamorphicTest, MysqlAnswersAsMemoryDoes) {
  int places = 0;
  Metamorphic([&places]() -> Metamorphic::Open {
    return [options = servers::OptionsAt(std::to_string(++places))]() {
      return OpenMysqlBackend(options);
    };
  }).Run(std::chrono::seconds(5));
}

}  // namespace
}  // namespace storage::contract
