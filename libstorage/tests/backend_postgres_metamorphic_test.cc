// Random histories on memory and PostgreSQL (contract/metamorphic.h).
#include "src/backend/postgres/postgres.h"
#include "tests/contract/metamorphic.h"
#include "tests/servers/postgres_server.h"

namespace storage::contract {
namespace {

TEST(MetamorphicTest, PostgresAnswersAsMemoryDoes) {
  Metamorphic([]() -> Metamorphic::Open {
    auto& server = servers::PostgresServer::Shared();
    server.CreateDatabase("histories");
    server.Sql("histories", "DROP SCHEMA IF EXISTS libstorage CASCADE");
    return [&server]() {
      PostgresOptions options;
      options.name = "postgres";
      options.conninfo = server.Uri("histories");
      return OpenPostgresBackend(options);
    };
  }).Run(std::chrono::seconds(8));
}

}  // namespace
}  // namespace storage::contract
