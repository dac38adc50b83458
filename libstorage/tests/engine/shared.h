// Several engines on one topology on PostgreSQL: the fixture of the tests of servers
// that share.
#ifndef LIBSTORAGE_TESTS_ENGINE_SHARED_H_
#define LIBSTORAGE_TESTS_ENGINE_SHARED_H_

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/contract/test_logger.h"
#include "tests/engine/harness.h"
#include "tests/engine/hooks.h"
#include "tests/servers/postgres_server.h"

namespace storage {

inline const Range kAllPods{"/registry/pods/", "/registry/pods0"};
inline const Range kAllNodes{"/registry/nodes/", "/registry/nodes0"};

// Pods whose names begin with a are in a database of their own, all else, with the
// metadata, in the default one: pods are spread, nodes are not.
class SharedTest : public testing::Test {
 protected:
  using PostgresServer = servers::PostgresServer;

  struct Server {
    std::unique_ptr<Hooks> hooks = std::make_unique<Hooks>();  // outlives the engine
    std::unique_ptr<Engine> engine;
    ResourceId pods = -1;
    ResourceId nodes = -1;
  };

  EngineOptions Options(PostgresServer& server = PostgresServer::Shared()) {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    std::string name = absl::StrCat(info->test_suite_name(), "_", info->name());
    for (char& c : name) c = static_cast<char>(tolower(c));
    name = name.substr(0, 50);
    EngineOptions options;
    options.default_endpoint = server.Uri(name + "_d");
    options.topology_text = absl::StrCat("backends:\n- endpoint: \"", server.Uri(name + "_a"),
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
};

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_ENGINE_SHARED_H_
