// stgctl migrate between databases that want TLS: what goes keeps the settings of its rule.
#include <gmock/gmock.h>

#include "tests/servers/certificates.h"
#include "tests/servers/etcd_server.h"
#include "tests/stgctl_set_testing.h"

namespace storage {
namespace {

using ::testing::HasSubstr;

class StgctlMigrateTls : public StgctlSetTest {
 protected:
  // An etcd that talks to clients of its CA only.
  void SetUp() override {
    StgctlSetTest::SetUp();
    ASSERT_TRUE(certificates_.MakeCa("ca").ok());
    ASSERT_TRUE(certificates_.Make("server", "ca").ok());
    ASSERT_TRUE(certificates_.Make("client", "ca").ok());
    servers::EtcdSpec spec;
    spec.https = true;
    spec.arguments = {"--cert-file=" + certificates_.Crt("server"),
                      "--key-file=" + certificates_.Key("server"),
                      "--trusted-ca-file=" + certificates_.Crt("ca"), "--client-cert-auth=true"};
    auto server = servers::EtcdServer::Start(spec);
    ASSERT_TRUE(server.ok()) << server.status();
    etcd_ = *std::move(server);
  }
  void Fill(EngineOptions options) {
    auto engine = Engine::Open(std::move(options));
    ASSERT_TRUE(engine.ok()) << engine.status();
    EXPECT_EQ(*(*engine)->Register(Namespaced("pods")), 0);
    MustPut(engine->get(), kPod, "value");
    ASSERT_TRUE((*engine)->Close().ok());
  }
  const std::string kPod = "/registry/pods/default/web";
  servers::Certificates certificates_{""};
  std::unique_ptr<servers::EtcdServer> etcd_;
};

TEST_F(StgctlMigrateTls, OfTheRuleThatGoes) {
  Write("old.yaml", "backends:\n- name: pods\n  endpoint: " + etcd_->Endpoints() +
                        "\n  prefix: {prefix: pods}\n  backendTLS: {caFile: " +
                        certificates_.Crt("ca") + ", certFile: " + certificates_.Crt("client") +
                        ", keyFile: " + certificates_.Key("client") + "}\n");
  Write("new.yaml", "backends: []\n");
  EngineOptions options;
  options.topology_path = Path("old.yaml");
  options.default_endpoint = "sqlite://" + Path("default.db");
  Fill(options);
  const Ran ran = Run({"migrate", Path("new.yaml"), "--old", Path("old.yaml"), "--default",
                       "sqlite://" + Path("default.db")});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ReadFile(Path("default.db")).count(kPod), 1u);
}

TEST_F(StgctlMigrateTls, OfTheDefaultDatabase) {
  Write("new.yaml", "backends:\n- {name: pods, endpoint: 'sqlite://" + Path("pods.db") +
                        "', prefix: {prefix: pods}}\n");
  EngineOptions options;
  options.default_endpoint = etcd_->Endpoints();
  options.metadata_endpoint = "sqlite://" + Path("metadata.db");
  options.default_tls = {certificates_.Crt("ca"), certificates_.Crt("client"),
                         certificates_.Key("client")};
  Fill(options);
  std::vector<std::string> args = {"migrate",    Path("new.yaml"),
                                   "--default",  etcd_->Endpoints(),
                                   "--metadata", "sqlite://" + Path("metadata.db")};
  Ran ran = Run(args);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, HasSubstr(etcd_->Endpoints()));
  args.insert(args.end(),
              {"--etcd-cafile", certificates_.Crt("ca"), "--etcd-certfile",
               certificates_.Crt("client"), "--etcd-keyfile", certificates_.Key("client")});
  ran = Run(args);
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ReadFile(Path("pods.db")).count(kPod), 1u);
}

}  // namespace
}  // namespace storage
