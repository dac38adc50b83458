// What each policy matches, rule by rule, and what Reach knows of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/topology/topology.h"
#include "tests/topology_testing.h"

namespace storage {
namespace {

using ::testing::ElementsAre;

std::unique_ptr<Router> RouterFor(const std::string& policy) {
  absl::StatusOr<Topology> topology =
      ParseTopology("backends:\n- {name: r, endpoint: memory://r, " + policy + "}\n", "t.yaml");
  EXPECT_TRUE(topology.ok()) << topology.status();
  return *Router::Create(*std::move(topology));
}

// Which part of the resource's keys the one rule takes: "all", "none", "some".
std::string Part(const Router& router, const Resource& resource) {
  std::vector<int> reach = router.Reach(resource);
  EXPECT_EQ(router.Bind(resource)->reach(), reach);
  if (reach == std::vector<int>{0}) return "all";
  return reach == std::vector<int>{1} ? "none" : "some";
}

bool Takes(const Router& router, const Resource& resource, const std::string& rest) {
  std::string key = resource.key_prefix + rest;
  int backend = router.Route(resource, key);
  EXPECT_EQ(router.Bind(resource)->Route(key), backend) << key;
  EXPECT_THAT(router.Reach(resource), ::testing::Contains(backend)) << key;
  return backend == 0;
}

TEST(TopologyRouter, PrefixEndsAtASegment) {
  auto router = RouterFor("prefix: {prefix: pods}");
  EXPECT_EQ(Part(*router, Namespaced("pods")), "all");
  EXPECT_EQ(Part(*router, Namespaced("podtemplates")), "none");
  EXPECT_TRUE(Takes(*router, Namespaced("pods"), "ns/a"));
  EXPECT_FALSE(Takes(*router, Namespaced("podtemplates"), "ns/a"));
  // A trailing slash says the same.
  EXPECT_EQ(Part(*RouterFor("prefix: {prefix: pods/}"), Namespaced("pods")), "all");
}

TEST(TopologyRouter, PrefixWithinAKind) {
  auto router = RouterFor("prefix: {prefix: pods/team-a}");
  EXPECT_EQ(Part(*router, Namespaced("pods")), "some");
  EXPECT_TRUE(Takes(*router, Namespaced("pods"), "team-a/x"));
  EXPECT_FALSE(Takes(*router, Namespaced("pods"), "team-ab/x"));
  EXPECT_FALSE(Takes(*router, Namespaced("pods"), "team/x"));
  EXPECT_EQ(Part(*router, Namespaced("secrets")), "none");
}

TEST(TopologyRouter, StarLiftsTheBoundary) {
  auto within = RouterFor("prefix: {prefix: 'pods/team-*'}");
  EXPECT_EQ(Part(*within, Namespaced("pods")), "some");
  EXPECT_TRUE(Takes(*within, Namespaced("pods"), "team-a/x"));
  EXPECT_TRUE(Takes(*within, Namespaced("pods"), "team-ab/x"));
  EXPECT_FALSE(Takes(*within, Namespaced("pods"), "tea/x"));
  auto kinds = RouterFor("prefix: {prefix: 'pod*'}");
  EXPECT_EQ(Part(*kinds, Namespaced("pods")), "all");
  EXPECT_EQ(Part(*kinds, Namespaced("podtemplates")), "all");
  EXPECT_EQ(Part(*kinds, Namespaced("secrets")), "none");
  EXPECT_EQ(Part(*RouterFor("prefix: {prefix: '*'}"), Cluster("minions")), "all");
}

TEST(TopologyRouter, OneNamespaceOfASpreadKind) {
  const auto below = [](const std::string& policy, const std::string& start) {
    const std::unique_ptr<Router> router = RouterFor(policy);
    const auto route = router->Bind(Namespaced("pods"));
    EXPECT_THAT(route->reach(), ElementsAre(0, 1)) << policy;
    return route->ReachBelow("/registry/pods/" + start);
  };
  const std::string ns = "namespace: {namespace: a}";
  EXPECT_THAT(below(ns, ""), ElementsAre(0, 1));
  EXPECT_THAT(below(ns, "a/"), ElementsAre(0));
  EXPECT_THAT(below(ns, "ab/"), ElementsAre(1));
  EXPECT_THAT(below(ns, "b/a/"), ElementsAre(1));
  const std::string prefix = "prefix: {prefix: 'pods/team-*'}";
  EXPECT_THAT(below(prefix, "team-a/"), ElementsAre(0));
  EXPECT_THAT(below(prefix, "tea/"), ElementsAre(1));
  const std::string within = "prefix: {prefix: pods/a/x}";
  EXPECT_THAT(below(within, "a/"), ElementsAre(0, 1));
  EXPECT_THAT(below(within, "b/"), ElementsAre(1));
  const std::string regexp = "regexp: {key: '^pods/a/'}";
  EXPECT_THAT(below(regexp, "a/"), ElementsAre(0));
  EXPECT_THAT(below(regexp, "b/"), ElementsAre(1));
  const std::string several = "regexp: {prefix: '^(pods|secrets)$', key: '^secrets/|^pods/a/'}";
  EXPECT_THAT(below(several, "a/"), ElementsAre(0));
  EXPECT_THAT(below(several, "b/"), ElementsAre(1));
}

TEST(TopologyRouter, NamesThatUsersKnowFromKeys) {
  struct Known {
    const char* prefix;
    Resource resource;
  };
  const Known known[] = {
      {"services/specs", Services()},
      {"services/endpoints", Namespaced("services/endpoints", "endpoints", "Endpoints")},
      {"minions", Cluster("minions", "nodes", "Node")},
      {"ingress", Namespaced("ingress", "ingresses", "Ingress")},
      {"events", Namespaced("events", "events", "Event")},
      {"leases", Namespaced("leases", "leases", "Lease")},
      {"ranges", Cluster("ranges")},
      {"masterleases", Cluster("masterleases")},
      {"stable.example.com/shirts", Shirts()},
      {"stable.example.com", Shirts()},
  };
  for (const Known& a : known) {
    for (const char* policy : {"prefix: {prefix: ", "regexp: {prefix: ^", "regexp: {key: ^"}) {
      auto router = RouterFor(policy + std::string(a.prefix) + "}");
      EXPECT_EQ(Part(*router, a.resource), "all") << policy << a.prefix;
      EXPECT_EQ(Part(*router, Namespaced("pods")), "none") << policy << a.prefix;
    }
  }
  auto services = RouterFor("prefix: {prefix: services}");
  EXPECT_EQ(Part(*services, Services()), "all");
  EXPECT_EQ(Part(*services, known[1].resource), "all");
  auto ips = RouterFor("prefix: {prefix: ranges/serviceips}");
  EXPECT_TRUE(Takes(*ips, Cluster("ranges"), "serviceips"));
  EXPECT_FALSE(Takes(*ips, Cluster("ranges"), "servicenodeports"));
}

TEST(TopologyRouter, RegexpPrefixSeesTheResourceOnly) {
  auto router = RouterFor("regexp: {prefix: kube-system}");
  EXPECT_EQ(Part(*router, Namespaced("pods")), "none");
  EXPECT_FALSE(Takes(*router, Namespaced("pods"), "kube-system/x"));
  auto anchored =
      RouterFor("regexp: {prefix: '^(pods|services/specs|stable[.]example[.]com/shirts)$'}");
  EXPECT_EQ(Part(*anchored, Namespaced("pods")), "all");
  EXPECT_EQ(Part(*anchored, Services()), "all");
  EXPECT_EQ(Part(*anchored, Shirts()), "all");
  EXPECT_EQ(Part(*anchored, Namespaced("podtemplates")), "none");
  // Unanchored: also where the word is a part of another.
  auto roles = RouterFor("regexp: {prefix: roles}");
  EXPECT_EQ(Part(*roles, Cluster("clusterroles")), "all");
}

TEST(TopologyRouter, RegexpKeySeesTheWholeKey) {
  auto router = RouterFor("regexp: {key: kube-system}");
  EXPECT_EQ(Part(*router, Namespaced("pods")), "some");
  EXPECT_TRUE(Takes(*router, Namespaced("pods"), "kube-system/x"));
  EXPECT_TRUE(Takes(*router, Namespaced("pods"), "a/kube-system"));
  EXPECT_FALSE(Takes(*router, Namespaced("pods"), "a/b"));
  // Without the storage root.
  EXPECT_FALSE(Takes(*RouterFor("regexp: {key: registry}"), Namespaced("pods"), "a/b"));
}

TEST(TopologyRouter, RegexpBothMustMatch) {
  auto router = RouterFor("regexp: {prefix: ^pods$, key: /team-}");
  EXPECT_EQ(Part(*router, Namespaced("pods")), "some");
  EXPECT_EQ(Part(*router, Namespaced("secrets")), "none");
  EXPECT_TRUE(Takes(*router, Namespaced("pods"), "team-a/x"));
  EXPECT_FALSE(Takes(*router, Namespaced("pods"), "a/x"));
  EXPECT_FALSE(Takes(*router, Namespaced("secrets"), "team-a/x"));
}

TEST(TopologyRouter, RegexpReach) {
  const std::pair<const char*, const char*> cases[] = {
      {"pods", "all"},      {"^pods", "all"},       {"^pods/", "all"},    {"od", "all"},
      {"pods.*", "all"},    {"pods/.*", "all"},     {"pods/.", "some"},   {"pods$", "some"},
      {"^pods$", "some"},   {"pods/$", "some"},     {"pods\\z", "some"},  {"pods\\b", "all"},
      {"pods/\\b", "some"}, {"pods/\\B", "some"},   {"x*", "all"},        {"^", "all"},
      {"$", "some"},        {"^$", "some"},         {"(?i)PODS", "all"},  {"^(?i)PODS", "all"},
      {"pods|x", "all"},    {"x|^pods/", "all"},    {"^secrets", "none"}, {"^podsx", "none"},
      {"^po?x", "some"},    {"^pods/team", "some"}, {"^podz?", "all"},    {"^secrets|x", "some"},
      {"secrets", "some"},  {"pods/(|a)", "all"},   {"^s*ods", "some"},   {"(?m)pods/$", "some"},
      {"\\Qpods", "some"},  {"\\Qpods\\E", "all"}};
  for (const auto& [expression, part] : cases) {
    auto router = RouterFor("regexp: {key: '" + std::string(expression) + "'}");
    EXPECT_EQ(Part(*router, Namespaced("pods")), part) << expression;
  }
}

TEST(TopologyRouter, NamespaceOfBuiltInKindsOnly) {
  auto router = RouterFor("namespace: {namespace: kube-system}");
  EXPECT_TRUE(Takes(*router, Namespaced("pods"), "kube-system/x"));
  EXPECT_TRUE(Takes(*router, Services(), "kube-system/x"));
  EXPECT_FALSE(Takes(*router, Namespaced("pods"), "kube-systemx/x"));
  EXPECT_FALSE(Takes(*router, Namespaced("pods"), "a/kube-system"));
  EXPECT_FALSE(Takes(*router, Namespaced("pods"), "kube-system"));
  EXPECT_EQ(Part(*router, Namespaced("pods")), "some");
  EXPECT_EQ(Part(*router, Cluster("namespaces")), "none");
  EXPECT_EQ(Part(*router, Shirts()), "none");
}

TEST(TopologyRouter, NamespaceKinds) {
  auto router = RouterFor("namespace: {namespace: a, kinds: [Pods, service, services/endpoints]}");
  EXPECT_EQ(Part(*router, Namespaced("pods")), "some");
  EXPECT_EQ(Part(*router, Services()), "some");
  EXPECT_EQ(Part(*router, Namespaced("services/endpoints", "endpoints", "Endpoints")), "some");
  EXPECT_EQ(Part(*router, Namespaced("secrets")), "none");
  EXPECT_TRUE(Takes(*router, Services(), "a/x"));
  EXPECT_FALSE(Takes(*router, Services(), "b/x"));
  EXPECT_FALSE(Takes(*router, Namespaced("secrets"), "a/x"));
}

TEST(TopologyRouter, CustomResource) {
  for (const char* kind : {"shirts", "Shirt", "shirt", "SHIRTS"}) {
    auto router =
        RouterFor("customresource: {group: stable.example.com, kind: " + std::string(kind) + "}");
    EXPECT_EQ(Part(*router, Shirts()), "all") << kind;
    EXPECT_EQ(Part(*router, Custom("stable.example.com", "hats", "Hat")), "none") << kind;
    EXPECT_EQ(Part(*router, Custom("example.com", "shirts", "Shirt")), "none") << kind;
  }
  auto group = RouterFor("customresource: {group: stable.example.com}");
  EXPECT_EQ(Part(*group, Custom("stable.example.com", "hats", "Hat", false)), "all");
  // A built-in kind of that group is no custom resource.
  Resource built_in = Shirts();
  built_in.custom = false;
  EXPECT_EQ(Part(*group, built_in), "none");
}

TEST(TopologyRouter, OtherStorageRoots) {
  auto router = RouterFor("prefix: {prefix: pods}");
  Resource pods = Namespaced("pods");
  pods.root = "/7c9e/registry/";
  pods.key_prefix = "/7c9e/registry/pods/";
  EXPECT_TRUE(Takes(*router, pods, "a/b"));
  pods.root = "/";
  pods.key_prefix = "/pods/";
  EXPECT_TRUE(Takes(*router, pods, "a/b"));
}

TEST(TopologyRouter, FirstMatchWins) {
  absl::StatusOr<Topology> topology = ParseTopology(
      "backends:\n"
      "- {name: a, endpoint: memory://a, prefix: {prefix: pods/x}}\n"
      "- {name: b, endpoint: memory://b, namespace: {namespace: y}}\n"
      "- {name: c, endpoint: memory://c, regexp: {key: ^pods/}}\n"
      "- {name: d, endpoint: memory://d, regexp: {key: z}}\n",
      "t.yaml");
  auto router = *Router::Create(*std::move(topology));
  Resource pods = Namespaced("pods");
  EXPECT_THAT(router->Reach(pods), ElementsAre(0, 1, 2));
  EXPECT_EQ(router->Route(pods, "/registry/pods/x/z"), 0);
  EXPECT_EQ(router->Route(pods, "/registry/pods/y/z"), 1);
  EXPECT_EQ(router->Route(pods, "/registry/pods/w/z"), 2);
  Resource secrets = Namespaced("secrets");
  EXPECT_THAT(router->Reach(secrets), ElementsAre(1, 3, 4));
  EXPECT_EQ(router->Route(secrets, "/registry/secrets/y/z"), 1);
  EXPECT_EQ(router->Route(secrets, "/registry/secrets/w/z"), 3);
  EXPECT_EQ(router->Route(secrets, "/registry/secrets/w/w"), 4);
}

TEST(TopologyRouter, Explains) {
  absl::StatusOr<Topology> topology = ParseTopology(kSampleTopology, "t.yaml");
  auto router = *Router::Create(*std::move(topology));
  constexpr char kRbac[] =
      "\"(clusterrolebindings|clusterroles|rolebindings|roles|serviceaccounts)\"";
  EXPECT_THAT(
      router->Explain(Namespaced("pods"), "/registry/pods/default/web"),
      ElementsAre(std::string("rule \"rbac\" (line 2, regexp) does not: prefix ") + kRbac +
                      " does not match \"pods\".",
                  "rule \"kube-system\" (line 7, namespace) does not: namespace \"default\" is "
                  "not \"kube-system\".",
                  "rule \"pods\" (line 11, prefix) matches: prefix \"pods\" matches "
                  "\"pods/default/web\"."));
  EXPECT_THAT(
      router->Explain(Custom("a.b", "hats", "Hat"), "/registry/a.b/hats/x"),
      ElementsAre(std::string("rule \"rbac\" (line 2, regexp) does not: prefix ") + kRbac +
                      " does not match \"a.b/hats\".",
                  "rule \"kube-system\" (line 7, namespace) does not: a custom resource is not "
                  "subject to namespace rules; it needs a customresource rule.",
                  "rule \"pods\" (line 11, prefix) does not: prefix \"pods\" does not match "
                  "\"a.b/hats/x\".",
                  "rule \"shirts\" (line 15, customresource) does not: group \"a.b\" is not "
                  "\"stable.example.com\".",
                  "no rule matches: the default database."));
  EXPECT_THAT(
      router->Explain(Cluster("clusterroles"), "/registry/clusterroles/x"),
      ElementsAre(std::string("rule \"rbac\" (line 2, regexp) matches: prefix ") + kRbac +
                  " matches \"clusterroles\", key " + kRbac + " matches \"clusterroles/x\"."));
}

TEST(TopologyRouter, BadExpressionInAHandMadeTopology) {
  Topology topology;
  topology.rules.emplace_back();
  topology.rules[0].name = "a";
  topology.rules[0].policy = Policy::kRegexp;
  topology.rules[0].key = "(";
  absl::StatusOr<std::unique_ptr<Router>> router = Router::Create(topology);
  ASSERT_FALSE(router.ok());
  EXPECT_EQ(router.status().message(), "rule \"a\" (line 0): bad regular expression: missing ): (");
}

}  // namespace
}  // namespace storage
