// Migrations from and to every kind of database: the fixture of their tests.
#ifndef LIBSTORAGE_TESTS_ENGINE_MIGRATE_SERVERS_H_
#define LIBSTORAGE_TESTS_ENGINE_MIGRATE_SERVERS_H_

#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "src/engine/backends.h"
#include "src/engine/migrate.h"
#include "tests/contract/fault_stride.h"
#include "tests/contract/harness.h"
#include "tests/engine/restart.h"
#include "tests/servers/etcd_server.h"
#include "tests/servers/mariadb_server.h"
#include "tests/servers/postgres_server.h"
#include "tests/servers/process.h"

namespace storage {

using servers::EtcdServer;
using servers::MariadbServer;
using servers::PostgresServer;

constexpr int kPodsOfEach = 60;  // more than one batch of etcd's

using Lines = std::vector<std::string>;

class MigrateServers : public Restart {
 protected:
  // A database of its own at each call.
  std::string NewEndpoint(const std::string& kind) {
    static int number = 0;
    const std::string name = absl::StrCat("migrate", ++number);
    if (kind == "sqlite") return absl::StrCat("sqlite://", dir_, "/", name, ".db");
    if (kind == "postgres") return PostgresServer::Shared().Uri(name);
    if (kind == "mysql") {
      MariadbServer& server = MariadbServer::Shared();
      const std::string database = server.NewDatabase();
      return absl::StrCat("mysql://", database, ":", server.Password(database),
                          "@tcp(127.0.0.1:", server.port(), ")/", database, "?parseTime=true");
    }
    places_.push_back(std::make_unique<contract::TempDir>());
    return EtcdServer::ForPlace(places_.back()->path()).Endpoints();
  }
  static std::string Rule(const std::string& endpoint) {
    return absl::StrCat("backends:\n- endpoint: \"", endpoint,
                        "\"\n  prefix: {name: a, prefix: pods/a*}\n");
  }
  EngineOptions Options(const std::string& topology) const {
    EngineOptions options;
    options.topology_text = topology;
    options.default_endpoint = default_;
    return options;
  }
  MigrateOptions Moving(const std::string& from, const std::string& to) const {
    MigrateOptions options;
    options.engine = Options(to);
    options.old_topology_text = from;
    return options;
  }
  static absl::Status Migrate(MigrateOptions options) {
    auto migration = Migration::Open(std::move(options));
    return migration.ok() ? (*migration)->Run() : migration.status();
  }

  void Fill(const std::string& topology) {
    auto engine = Engine::Open(Options(topology));
    ASSERT_TRUE(engine.ok()) << engine.status();
    const ResourceId pods = Register(**engine, "pods");
    for (int i = 0; i < kPodsOfEach; ++i) {
      for (const char* kind : {"a", "d"}) {
        auto op = MakePut(pods, absl::StrCat("/registry/pods/", kind, i),
                          std::string(static_cast<size_t>(i * 97 % 3000), 'v'), 0);
        op->attrs = std::string("at\0\xff", 4);
        if (i % 3 == 0) op->ttl_ms = 3600 * 1000;
        EXPECT_EQ(RunWrite(**engine, op).code, Code::kOk);
        if (i % 4 == 0) Put(**engine, pods, op->key, std::string("new\0\xff'\\", 7));
      }
    }
    ASSERT_TRUE((*engine)->Close().ok());
  }
  // On a busy machine a server may not answer in time.
  static void Look(const std::string& endpoint, const std::function<absl::Status(Backend&)>& body) {
    const auto parsed = ParseEndpoint(endpoint);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    absl::Status status;
    const auto looked = [&] {
      auto backend = OpenBackend("look", *parsed, nullptr, false, EngineOptions());
      status = backend.ok() ? body(**backend) : backend.status();
      return CodeOf(status) != Code::kUnavailable;
    };
    servers::WaitFor(looked, absl::Seconds(60));
    EXPECT_TRUE(status.ok()) << status;
  }
  static Lines ContentsOf(const std::string& endpoint) {
    Lines lines;
    Look(endpoint, [&](Backend& backend) {
      auto snapshot = backend.OpenSnapshot();
      if (snapshot.ok()) lines = contract::List(snapshot->get(), Range());
      return snapshot.status();
    });
    return lines;
  }
  static int64_t ObjectsOf(const std::string& endpoint) {
    int64_t objects = 0;
    Look(endpoint, [&](Backend& backend) {
      const auto stats = backend.Stats();
      if (!stats.ok()) return stats.status();
      for (const KindStats& kind : stats->kinds) objects += kind.objects;
      EXPECT_EQ(stats->debt_rows, 0);
      return absl::OkStatus();
    });
    return objects;
  }
  // An API server goes on with it, and history too.
  void ExpectServed(const std::string& topology) {
    auto engine = Engine::Open(Options(topology));
    ASSERT_TRUE(engine.ok()) << engine.status();
    const ResourceId pods = Register(**engine, "pods");
    ReadHeader header;
    EXPECT_EQ(ListAll(**engine, pods, kPods, {}, &header).size(), 2u * kPodsOfEach);
    Watcher watcher(**engine, pods, kPods, header.revision);
    ASSERT_TRUE(watcher.status.ok()) << watcher.status;
    EXPECT_EQ(Put(**engine, pods, "/registry/pods/a1", "w").code, Code::kOk);
    EXPECT_EQ(watcher.Events(1).size(), 1u);
    ReadOptions old;
    old.revision = header.revision;
    old.exact = true;
    const Pairs then = ListAll(**engine, pods, kPods, old, &header);
    EXPECT_EQ(then.size(), 2u * kPodsOfEach);
    EXPECT_TRUE((*engine)->Close().ok());
  }

  std::string default_;
  std::vector<std::unique_ptr<contract::TempDir>> places_;
};

// From which kind of database to which. Where a sanitizer makes a migration slow each kind
// once either way, shift kinds apart.
inline std::vector<std::tuple<const char*, const char*>> MovePairs(size_t shift) {
  const std::vector<const char*> kinds = {"sqlite", "postgres", "mysql", "etcd"};
  std::vector<std::tuple<const char*, const char*>> pairs;
  for (size_t from = 0; from < kinds.size(); ++from) {
    for (size_t to = 0; to < kinds.size(); ++to) {
      if (kFaultStride == 1 || to == (from + shift) % kinds.size()) {
        pairs.emplace_back(kinds[from], kinds[to]);
      }
    }
  }
  return pairs;
}

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_ENGINE_MIGRATE_SERVERS_H_
