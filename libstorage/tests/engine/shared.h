// Several engines on one topology: the fixture of the tests of servers that share, on
// each kind of database that can hold their metadata.
#ifndef LIBSTORAGE_TESTS_ENGINE_SHARED_H_
#define LIBSTORAGE_TESTS_ENGINE_SHARED_H_

#include <map>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/contract/test_logger.h"
#include "tests/engine/harness.h"
#include "tests/engine/hooks.h"
#include "tests/servers/mariadb_server.h"
#include "tests/servers/postgres_server.h"

namespace storage {

inline const Range kAllPods{"/registry/pods/", "/registry/pods0"};
inline const Range kAllNodes{"/registry/nodes/", "/registry/nodes0"};

enum class SharedOn { kPostgres, kMariadb };

inline std::string SharedOnName(const testing::TestParamInfo<SharedOn>& info) {
  return info.param == SharedOn::kPostgres ? "postgres" : "mariadb";
}

// Pods whose names begin with a are in a database of their own, all else, with the
// metadata, in the default one: pods are spread, nodes are not.
class SharedTest : public testing::TestWithParam<SharedOn> {
 protected:
  using PostgresServer = servers::PostgresServer;
  using MariadbServer = servers::MariadbServer;

  struct Server {
    std::unique_ptr<Hooks> hooks = std::make_unique<Hooks>();  // outlives the engine
    std::unique_ptr<Engine> engine;
    ResourceId pods = -1;
    ResourceId nodes = -1;
  };

  static bool OnPostgres() { return GetParam() == SharedOn::kPostgres; }

  // The database of this test that goes by this name ("d", the default one, and "a").
  const std::string& Database(const std::string& name) {
    std::string& database = databases_[name];
    if (!database.empty()) return database;
    if (!OnPostgres()) return database = MariadbServer::Shared().NewDatabase();
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    database = absl::StrCat(info->test_suite_name(), "_", info->name());
    for (char& c : database) c = c == '/' ? '_' : absl::ascii_tolower(c);
    return database = absl::StrCat(database.substr(0, 50), "_", name);
  }
  std::string Endpoint(const std::string& name) {
    const std::string& database = Database(name);
    if (OnPostgres()) return PostgresServer::Shared().Uri(database);
    const MariadbServer& server = MariadbServer::Shared();
    return absl::StrCat("mysql://", database, ":", server.Password(database),
                        "@tcp(127.0.0.1:", server.port(), ")/", database);
  }
  // One statement there, with our tables as $state, $backends and $lane. One value.
  std::string Sql(const std::string& name, const std::string& statement) {
    const std::string& database = Database(name);
    if (OnPostgres()) {
      return PostgresServer::Shared().Sql(
          database, absl::StrReplaceAll(statement, {{"$state", "libstorage_meta.state"},
                                                    {"$backends", "libstorage_meta.backends"},
                                                    {"$lane", "libstorage.lane"}}));
    }
    return std::string(absl::StripAsciiWhitespace(MariadbServer::Shared().Sql(
        absl::StrReplaceAll(
            statement,
            {{"$state", "stg_m_state"}, {"$backends", "stg_m_backends"}, {"$lane", "stg_lane"}}),
        database)));
  }
  // The server ends every session of this test.
  void EndSessions() {
    for (const auto& [name, database] : databases_) {
      if (OnPostgres()) {
        PostgresServer::Shared().Sql(
            "postgres",
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
            "datname = '" +
                database + "'");
        continue;
      }
      MariadbServer::Shared().Sql("KILL USER " + database);
    }
  }

  EngineOptions Options() {
    EngineOptions options;
    options.default_endpoint = Endpoint("d");
    options.topology_text = absl::StrCat("backends:\n- endpoint: \"", Endpoint("a"),
                                         "\"\n  prefix: {name: a, prefix: pods/a*}\n");
    options.logger = &logger_;
    return options;
  }
  Server Open(EngineOptions options) {
    Server out;
    options.wrap_backend_for_test = [hooks = out.hooks.get()](std::unique_ptr<Backend> inner) {
      return std::make_unique<HookedBackend>(std::move(inner), hooks);
    };
    auto engine = Engine::Open(options);
    EXPECT_TRUE(engine.ok()) << engine.status();
    if (!engine.ok()) return out;
    out.engine = *std::move(engine);
    out.pods = Register(*out.engine, "pods");
    out.nodes = Register(*out.engine, "nodes");
    return out;
  }
  Server Open() { return Open(Options()); }

  contract::TestLogger logger_;

 private:
  std::map<std::string, std::string> databases_;
};

#define STG_ON_EACH_METADATA_KIND(suite)    \
  INSTANTIATE_TEST_SUITE_P(Metadata, suite, \
                           testing::Values(SharedOn::kPostgres, SharedOn::kMariadb), SharedOnName)

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_ENGINE_SHARED_H_
