// Several engines on one topology: the fixture of the tests of servers that share, on
// each kind of database that can hold their metadata.
#ifndef LIBSTORAGE_TESTS_ENGINE_SHARED_H_
#define LIBSTORAGE_TESTS_ENGINE_SHARED_H_

#include <map>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "src/backend/etcd/codec.h"
#include "src/backend/etcd/keys.h"
#include "src/backend/etcd/meta_state.h"
#include "tests/contract/harness.h"
#include "tests/contract/test_logger.h"
#include "tests/engine/harness.h"
#include "tests/engine/hooks.h"
#include "tests/servers/etcd_server.h"
#include "tests/servers/mariadb_server.h"
#include "tests/servers/postgres_server.h"

namespace storage {

inline const Range kAllPods{"/registry/pods/", "/registry/pods0"};
inline const Range kAllNodes{"/registry/nodes/", "/registry/nodes0"};

enum class SharedOn { kPostgres, kMariadb, kEtcd };

inline std::string SharedOnName(const testing::TestParamInfo<SharedOn>& info) {
  if (info.param == SharedOn::kEtcd) return "etcd";
  return info.param == SharedOn::kPostgres ? "postgres" : "mariadb";
}

// Pods whose names begin with a are in a database of their own, all else, with the
// metadata, in the default one: pods are spread, nodes are not.
class SharedTest : public testing::TestWithParam<SharedOn> {
 protected:
  using PostgresServer = servers::PostgresServer;
  using MariadbServer = servers::MariadbServer;
  using EtcdServer = servers::EtcdServer;

  struct Server {
    std::unique_ptr<Hooks> hooks = std::make_unique<Hooks>();  // outlives the engine
    std::unique_ptr<Engine> engine;
    ResourceId pods = -1;
    ResourceId nodes = -1;
  };

  static bool OnPostgres() { return GetParam() == SharedOn::kPostgres; }
  static bool OnEtcd() { return GetParam() == SharedOn::kEtcd; }

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
  // The same on etcd: a cluster each.
  EtcdServer& Etcd(const std::string& name) {
    auto& place = places_[name];
    if (place == nullptr) place = std::make_unique<contract::TempDir>();
    return EtcdServer::ForPlace(place->path());
  }
  std::string Endpoint(const std::string& name) {
    if (OnEtcd()) return Etcd(name).Endpoints();
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
    for (const auto& [name, place] : places_) {
      Etcd(name).RevokeLeases();
      Etcd(name).Kill();
      EXPECT_TRUE(Etcd(name).Restart().ok());
    }
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

  // What the metadata store and the lanes say, past everybody.
  etcd::Stored Stored() {
    etcd::Stored stored;
    EXPECT_TRUE(etcd::DecodeState(Etcd("d").Value(etcd::StateKey()), "d", &stored).ok());
    return stored;
  }
  void Store(const etcd::Stored& stored) {
    Etcd("d").Put(etcd::StateKey(), etcd::EncodeState(stored));
  }
  std::string Topology() {
    if (!OnEtcd()) return Sql("d", "SELECT topo FROM $state");
    return Etcd("d").Value(etcd::TopologyKey()).substr(1);
  }
  int64_t Reserved() {
    return OnEtcd() ? Stored().state.reserved : Number(Sql("d", "SELECT reserved FROM $state"));
  }
  // The last server closed it in order.
  bool Clean() {
    if (OnEtcd()) return Stored().state.clean;
    return Sql("d", "SELECT CASE WHEN clean THEN 1 ELSE 0 END FROM $state") == "1";
  }
  void BeginAnEpoch() {
    if (!OnEtcd()) {
      Sql("d", "UPDATE $state SET epoch = epoch + 1");
      return;
    }
    etcd::Stored stored = Stored();
    ++stored.state.epoch;
    Store(stored);
  }
  int64_t Alloc(const std::string& lane) {
    if (OnEtcd()) return Stored().alloc.at(lane);
    return Number(Sql("d", "SELECT alloc FROM $backends WHERE name = '" + lane + "'"));
  }
  void SetAlloc(const std::string& lane, int64_t alloc) {
    if (!OnEtcd()) {
      Sql("d", absl::StrCat("UPDATE $backends SET alloc = ", alloc, " WHERE name = '", lane, "'"));
      return;
    }
    etcd::Stored stored = Stored();
    stored.alloc[lane] = alloc;
    Store(stored);
  }
  int64_t Head(const std::string& database) {
    if (!OnEtcd()) return Number(Sql(database, "SELECT head FROM $lane"));
    etcd::Head head;
    EXPECT_TRUE(etcd::DecodeHead(Etcd(database).Value(etcd::HeadKey()), &head));
    return head.lane.head;
  }
  void SetHead(const std::string& database, int64_t to) {
    if (!OnEtcd()) {
      Sql(database, absl::StrCat("UPDATE $lane SET head = ", to));
      return;
    }
    etcd::Head head;
    EXPECT_TRUE(etcd::DecodeHead(Etcd(database).Value(etcd::HeadKey()), &head));
    head.lane.head = to;
    Etcd(database).Put(etcd::HeadKey(), etcd::EncodeHead(head));
  }

  // Until when a test asks again what was UNAVAILABLE: nothing was done then, and a machine
  // under load can keep a database silent for the 2.2 s after which it counts as down.
  static absl::Time Patience() { return absl::Now() + absl::Seconds(60); }

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
    for (const absl::Time until = Patience(); !engine.ok() && absl::Now() < until;) {
      if (CodeOf(engine.status()) != Code::kUnavailable) break;
      engine = Engine::Open(options);
    }
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
  static int64_t Number(const std::string& text) {
    int64_t number = -1;
    EXPECT_TRUE(absl::SimpleAtoi(text, &number)) << text;
    return number;
  }
  std::map<std::string, std::string> databases_;
  std::map<std::string, std::unique_ptr<contract::TempDir>> places_;  // on etcd
};

#define STG_ON_EACH_METADATA_KIND(suite)                                                          \
  INSTANTIATE_TEST_SUITE_P(                                                                       \
      Metadata, suite, testing::Values(SharedOn::kPostgres, SharedOn::kMariadb, SharedOn::kEtcd), \
      SharedOnName)

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_ENGINE_SHARED_H_
