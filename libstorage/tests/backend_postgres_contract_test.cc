// The contract suite on PostgreSQL.
#include "src/backend/postgres/postgres.h"
#include "tests/contract/event_suite.h"
#include "tests/contract/lane_suite.h"
#include "tests/contract/metadata_suite.h"
#include "tests/contract/move_suite.h"
#include "tests/contract/read_suite.h"
#include "tests/servers/postgres_server.h"

namespace storage::contract {
namespace {

using servers::PostgresServer;

PostgresOptions At(const std::string& name, const std::string& place) {
  PostgresOptions options;
  options.name = name;
  options.conninfo = PostgresServer::Shared().Place(place);
  return options;
}

Factory Postgres() {
  Factory factory;
  factory.name = "postgres";
  factory.persistent = true;
  factory.open = [](const std::string& place) {
    return OpenPostgresBackend(At("postgres", place));
  };
  return factory;
}

INSTANTIATE_CONTRACT(ContractTest, Postgres());
INSTANTIATE_CONTRACT(PersistentTest, Postgres());

MetadataFactory PostgresMeta() {
  return {"postgres",
          [](const std::string& place) { return OpenPostgresMetadata(At("metadata", place)); }};
}

INSTANTIATE_CONTRACT(MetadataTest, PostgresMeta());
INSTANTIATE_CONTRACT(PersistentMetadataTest, PostgresMeta());

}  // namespace
}  // namespace storage::contract
