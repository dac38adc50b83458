// The contract suite on MariaDB.
#include "src/backend/mysql/mysql_backend.h"
#include "tests/contract/event_suite.h"
#include "tests/contract/lane_suite.h"
#include "tests/contract/metadata_suite.h"
#include "tests/contract/move_suite.h"
#include "tests/contract/read_suite.h"
#include "tests/servers/mariadb_places.h"

namespace storage::contract {
namespace {

Factory Mysql() {
  Factory factory;
  factory.name = "mysql";
  factory.persistent = true;
  factory.open = [](const std::string& place) {
    return OpenMysqlBackend(servers::OptionsAt(place));
  };
  return factory;
}

INSTANTIATE_CONTRACT(ContractTest, Mysql());
INSTANTIATE_CONTRACT(PersistentTest, Mysql());

MetadataFactory MysqlMeta() {
  return {"mysql", [](const std::string& place) {
            return OpenMysqlMetadata(servers::OptionsAt(place), false);
          }};
}

INSTANTIATE_CONTRACT(MetadataTest, MysqlMeta());
INSTANTIATE_CONTRACT(PersistentMetadataTest, MysqlMeta());

}  // namespace
}  // namespace storage::contract
