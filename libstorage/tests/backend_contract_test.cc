// The contract suite on the backends of this build.
#include "src/backend/memory/memory.h"
#include "src/backend/sqlite/sqlite.h"
#include "tests/contract/event_suite.h"
#include "tests/contract/lane_suite.h"
#include "tests/contract/metadata_suite.h"
#include "tests/contract/move_suite.h"
#include "tests/contract/read_suite.h"

namespace storage::contract {
namespace {

Factory Memory() {
  Factory factory;
  factory.name = "memory";
  factory.open = [](const std::string&) -> absl::StatusOr<std::unique_ptr<Backend>> {
    return NewMemoryBackend("memory");
  };
  return factory;
}

Factory Sqlite() {
  Factory factory;
  factory.name = "sqlite";
  factory.persistent = true;
  factory.open = [](const std::string& place) {
    SqliteOptions options;
    options.name = "sqlite";
    options.path = place + "/objects.db";
    return OpenSqliteBackend(options);
  };
  return factory;
}

INSTANTIATE_CONTRACT(ContractTest, Memory(), Sqlite());
INSTANTIATE_CONTRACT(PersistentTest, Sqlite());

MetadataFactory MemoryMeta() {
  return {"memory", [](const std::string&) -> absl::StatusOr<std::unique_ptr<MetadataStore>> {
            return NewMemoryMetadata();
          }};
}

MetadataFactory SqliteMeta() {
  return {"sqlite", [](const std::string& place) {
            SqliteOptions options;
            options.name = "metadata";
            options.path = place + "/objects.db.meta";
            return OpenSqliteMetadata(options);
          }};
}

INSTANTIATE_CONTRACT(MetadataTest, MemoryMeta(), SqliteMeta());
INSTANTIATE_CONTRACT(PersistentMetadataTest, SqliteMeta());

}  // namespace
}  // namespace storage::contract
