// The file that users have today, word by word, and where its keys go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/topology/topology.h"
#include "tests/topology_testing.h"

namespace storage {
namespace {

using ::testing::ElementsAre;

constexpr int kRbac = 0, kKubeSystem = 1, kPods = 2, kShirts = 3, kDefault = 4;

std::unique_ptr<Router> SampleRouter() {
  absl::StatusOr<Topology> topology = ParseTopology(kSampleTopology, "topology.yaml");
  EXPECT_TRUE(topology.ok()) << topology.status();
  EXPECT_TRUE(topology->warnings.empty());
  return *Router::Create(*std::move(topology));
}

TEST(TopologySample, RulesAreReadAsWritten) {
  std::unique_ptr<Router> router = SampleRouter();
  const std::vector<Rule>& rules = router->topology().rules;
  ASSERT_EQ(rules.size(), 4u);
  EXPECT_EQ(rules[0].name, "rbac");
  EXPECT_EQ(rules[0].policy, Policy::kRegexp);
  EXPECT_EQ(rules[0].endpoint.kind, EndpointKind::kEtcd);
  EXPECT_EQ(rules[0].prefix, rules[0].key);
  EXPECT_EQ(rules[0].line, 2);
  EXPECT_EQ(rules[0].column, 3);
  EXPECT_EQ(rules[1].ns, "kube-system");
  EXPECT_EQ(rules[1].endpoint.redacted, "mysql://root:***@tcp(127.0.0.1:3306)/kube_system");
  EXPECT_TRUE(rules[1].endpoint.has_password);
  EXPECT_EQ(rules[2].prefix, "pods");
  EXPECT_EQ(rules[2].endpoint.redacted, "postgres://postgres:***@127.0.0.1:5432/pods");
  EXPECT_EQ(rules[3].endpoint.path, "./db/shirts.db");
  EXPECT_EQ(rules[3].endpoint.options.at("_busy_timeout"), "30000");
  EXPECT_EQ(rules[3].group, "stable.example.com");
  EXPECT_EQ(rules[3].kind, "shirts");
}

TEST(TopologySample, ReachOfEveryKind) {
  std::unique_ptr<Router> router = SampleRouter();
  // The rbac rule takes these whole, so their reads ask one database.
  EXPECT_THAT(router->Reach(Cluster("clusterroles")), ElementsAre(kRbac));
  EXPECT_THAT(router->Reach(Cluster("clusterrolebindings")), ElementsAre(kRbac));
  EXPECT_THAT(router->Reach(Namespaced("roles")), ElementsAre(kRbac));
  EXPECT_THAT(router->Reach(Namespaced("serviceaccounts")), ElementsAre(kRbac));
  EXPECT_THAT(router->Reach(Namespaced("pods")), ElementsAre(kKubeSystem, kPods));
  EXPECT_THAT(router->Reach(Namespaced("podtemplates")), ElementsAre(kKubeSystem, kDefault));
  EXPECT_THAT(router->Reach(Services()), ElementsAre(kKubeSystem, kDefault));
  EXPECT_THAT(router->Reach(Cluster("minions", "nodes", "Node")), ElementsAre(kDefault));
  EXPECT_THAT(router->Reach(Shirts()), ElementsAre(kShirts));
  EXPECT_THAT(router->Reach(Custom("other.example.com", "shirts", "Shirt")), ElementsAre(kDefault));
  EXPECT_THAT(router->Reach(Cluster("masterleases")), ElementsAre(kDefault));
}

TEST(TopologySample, RouteOfEveryKey) {
  std::unique_ptr<Router> router = SampleRouter();
  struct Case {
    Resource resource;
    const char* rest;  // of the key, behind the resource's prefix
    int backend;
  };
  const Case cases[] = {
      {Cluster("clusterroles"), "admin", kRbac},
      {Namespaced("roles"), "kube-system/r", kRbac},
      {Namespaced("pods"), "kube-system/dns", kKubeSystem},
      {Namespaced("pods"), "default/web", kPods},
      {Namespaced("pods"), "kube-system-2/dns", kPods},
      {Namespaced("pods"), "default/kube-system", kPods},
      // The name says roles, the resource does not.
      {Namespaced("pods"), "default/roles", kPods},
      {Namespaced("podtemplates"), "default/t", kDefault},
      {Namespaced("secrets"), "kube-system/s", kKubeSystem},
      {Namespaced("secrets"), "default/s", kDefault},
      {Namespaced("leases"), "kube-system/kube-scheduler", kKubeSystem},
      {Namespaced("events"), "default/e", kDefault},
      {Services(), "kube-system/dns", kKubeSystem},
      {Services(), "default/kubernetes", kDefault},
      {Namespaced("services/endpoints", "endpoints", "Endpoints"), "default/kubernetes", kDefault},
      // Cluster-scoped: a node of that name is in no namespace.
      {Cluster("minions", "nodes", "Node"), "kube-system", kDefault},
      {Cluster("namespaces"), "kube-system", kDefault},
      {Cluster("ranges"), "serviceips", kDefault},
      {Cluster("masterleases"), "10.0.0.1", kDefault},
      {Shirts(), "default/s1", kShirts},
      // Custom resources need a rule of their own, also in kube-system.
      {Custom("other.example.com", "shirts", "Shirt"), "kube-system/s1", kDefault},
  };
  for (const Case& c : cases) {
    std::string key = c.resource.key_prefix + c.rest;
    EXPECT_EQ(router->Route(c.resource, key), c.backend) << key;
    EXPECT_EQ(router->Bind(c.resource)->Route(key), c.backend) << key;
  }
}

}  // namespace
}  // namespace storage
