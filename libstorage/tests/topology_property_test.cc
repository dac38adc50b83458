// Random topologies, resources and keys: Route stays within Reach, Bind is the
// same router, a rule said to be shadowed never gets an object, and what Reach
// says of all keys holds for each. A failing seed is printed; TOPOLOGY_SEED
// repeats it, TOPOLOGY_ROUNDS makes the test longer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "src/topology/pattern.h"
#include "src/topology/shadow.h"
#include "src/topology/topology.h"
#include "tests/topology_testing.h"

namespace storage {
namespace {

int64_t FromEnv(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoll(text);
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  size_t Below(size_t n) { return engine_() % n; }
  bool Chance(int percent) { return static_cast<int>(Below(100)) < percent; }
  template <typename T>
  const T& Of(const std::vector<T>& items) {
    return items[Below(items.size())];
  }

 private:
  std::mt19937_64 engine_;
};

const std::vector<Resource>& Resources() {
  static const std::vector<Resource>* const resources =
      new std::vector<Resource>{Namespaced("pods", "pods", "Pod"),
                                Namespaced("podtemplates", "podtemplates", "PodTemplate"),
                                Services(),
                                Namespaced("services/endpoints", "endpoints", "Endpoints"),
                                Cluster("minions", "nodes", "Node"),
                                Cluster("clusterroles", "clusterroles", "ClusterRole"),
                                Namespaced("roles", "roles", "Role"),
                                Cluster("ranges"),
                                Shirts(),
                                Custom("stable.example.com", "hats", "Hat", false),
                                Custom("a.b", "shirts", "Shirt")};
  return *resources;
}

// Few words, so that rules and keys meet often.
const std::vector<std::string> kSegments = {"kube-system", "a",  "team-a", "team-ab", "pods",
                                            "shirts",      "-x", "roles",  "a\nb",    "\xff"};
const std::vector<std::string> kPrefixes = {"pods",
                                            "pod*",
                                            "pods/a",
                                            "pods/team-*",
                                            "pods/team-a/a",
                                            "services",
                                            "*",
                                            "roles",
                                            "ranges",
                                            "stable.example.com",
                                            "services/specs/a",
                                            "stable.example.com/shirts",
                                            "a.b/*",
                                            "pods/*",
                                            "p*",
                                            "stable.example.com/hats/a"};
const std::vector<std::string> kExpressions = {"pods",
                                               "^pods",
                                               "^pods$",
                                               "pods/",
                                               "^pods/team-",
                                               "roles$",
                                               "^(pods|roles)$",
                                               ".*",
                                               "x*",
                                               "^",
                                               "$",
                                               "^$",
                                               "a",
                                               "team-a\\b",
                                               "\\bpods",
                                               "^stable",
                                               "/",
                                               "(?m)pods/$",
                                               "^r",
                                               "(?i)SHI",
                                               "pods/\\B",
                                               "/a",
                                               "s/..",
                                               "^s*",
                                               "shirts$",
                                               ".",
                                               "hats|a",
                                               "^pods/a|^s",
                                               "^pods/team-a/|^(a|b)",
                                               "^pods/team-a?|^a",
                                               "^pods/kube|"};
const std::vector<std::string> kNamespaces = {"kube-system", "a", "team-a"};
const std::vector<std::string> kGroups = {"stable.example.com", "a.b", "STABLE.example.com"};
const std::vector<std::string> kCustomKinds = {"", "shirts", "Shirt", "hats", "shirt"};

Rule RandomRule(Random* random, int number) {
  Rule rule;
  rule.name = "r" + std::to_string(number);
  rule.policy = static_cast<Policy>(random->Below(4));
  switch (rule.policy) {
    case Policy::kPrefix:
      rule.prefix = random->Of(kPrefixes);
      break;
    case Policy::kRegexp:
      if (random->Chance(50)) rule.prefix = random->Of(kExpressions);
      if (rule.prefix.empty() || random->Chance(50)) rule.key = random->Of(kExpressions);
      break;
    case Policy::kNamespace:
      rule.ns = random->Of(kNamespaces);
      if (random->Chance(40)) rule.kinds = {"pods"};
      if (random->Chance(20)) rule.kinds.push_back("Role");
      break;
    case Policy::kCustomResource:
      rule.group = random->Of(kGroups);
      rule.kind = random->Of(kCustomKinds);
      break;
  }
  return rule;
}

std::string RandomKey(Random* random, const Resource& resource) {
  std::string key = resource.key_prefix;
  if (resource.namespaced) key += random->Of(kSegments) + "/";
  key += random->Of(kSegments);
  if (random->Chance(20)) key += "/" + random->Of(kSegments);
  return key;
}

std::string Describe(const Topology& topology) {
  std::string out;
  for (const Rule& r : topology.rules) {
    out += r.name + " policy " + std::to_string(static_cast<int>(r.policy)) + " prefix '" +
           r.prefix + "' key '" + r.key + "' ns '" + r.ns + "' group '" + r.group + "' kind '" +
           r.kind + "' kinds " + std::to_string(r.kinds.size()) + "\n";
  }
  return out;
}

// Every start of the key: what is below it is in fewer backends, but that of the key stays.
void CheckStarts(const ResourceRoute& route, const Resource& resource, const std::string& key) {
  std::vector<int> wider = route.reach();
  for (size_t n = resource.key_prefix.size(); n != std::string::npos; n = key.find('/', n) + 1) {
    const std::vector<int> below = route.ReachBelow(key.substr(0, n));
    ASSERT_THAT(below, ::testing::Contains(route.Route(key))) << key << " below " << n;
    ASSERT_TRUE(std::is_sorted(below.begin(), below.end())) << key;
    ASSERT_TRUE(std::includes(wider.begin(), wider.end(), below.begin(), below.end())) << key;
    wider = below;
    if (key.find('/', n) == std::string::npos) break;
  }
}

void CheckOne(uint64_t seed) {
  Random random(seed);
  Topology topology;
  size_t count = random.Below(6);
  for (size_t i = 0; i < count; ++i) {
    topology.rules.push_back(RandomRule(&random, static_cast<int>(i)));
  }
  SCOPED_TRACE(Describe(topology));
  auto router = Router::Create(topology);
  ASSERT_TRUE(router.ok());
  std::vector<bool> shadowed;
  for (size_t i = 0; i < count; ++i) shadowed.push_back(ShadowedBy(topology.rules, i) >= 0);
  for (const Resource& resource : Resources()) {
    std::vector<int> reach = (*router)->Reach(resource);
    auto bound = (*router)->Bind(resource);
    ASSERT_EQ(bound->reach(), reach);
    ASSERT_FALSE(reach.empty());
    ASSERT_TRUE(std::is_sorted(reach.begin(), reach.end()));
    for (int i = 0; i < 12; ++i) {
      std::string key = RandomKey(&random, resource);
      int backend = (*router)->Route(resource, key);
      ASSERT_EQ(bound->Route(key), backend) << key;
      ASSERT_THAT(reach, ::testing::Contains(backend)) << key;
      CheckStarts(*bound, resource, key);
      ASSERT_FALSE(backend < static_cast<int>(count) && shadowed[backend])
          << key << " is in r" << backend << ", which is said to be shadowed";
      ASSERT_EQ((*router)->Explain(resource, key).size(), static_cast<size_t>(backend) + 1);
    }
  }
}

TEST(TopologyProperty, RouteIsWithinReachAndShadowedRulesGetNothing) {
  const uint64_t first = static_cast<uint64_t>(FromEnv("TOPOLOGY_SEED", 1));
  const int64_t rounds = FromEnv("TOPOLOGY_ROUNDS", 300);
  for (uint64_t seed = first; seed < first + static_cast<uint64_t>(rounds); ++seed) {
    SCOPED_TRACE("TOPOLOGY_SEED=" + std::to_string(seed));
    CheckOne(seed);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

// What is claimed of every continuation is tried on many, for expressions made
// of the pieces that make the claim hard: anchors, word boundaries, classes.
TEST(TopologyProperty, ClaimsAboutAllTextsHold) {
  const std::vector<std::string> pieces = {"^",    "$",   "\\b",  "\\B", "a",   "/",   ".",
                                           "-",    "a*",  "(a|)", "|",   "\\z", "\\A", "[^a]",
                                           "(?m)", "\\C", "a?",   "\n",  "()",  "^a",  "|^a/"};
  const std::vector<std::string> starts = {"", "a/", "a-/", "aa/", "/"};
  const std::vector<std::string> tails = {"a",        "-",    "/",      "\n", "a/", "-a", "\na",
                                          "\xc3\xa9", "\xff", "aa/-\n", "_",  "9",  ".",  "a\n/"};
  const int64_t rounds = FromEnv("TOPOLOGY_ROUNDS", 300) * 8;
  int decided_all = 0, decided_none = 0;
  for (int64_t seed = 1; seed <= rounds; ++seed) {
    Random random(static_cast<uint64_t>(seed));
    std::string text;
    for (size_t i = 0, n = 1 + random.Below(6); i < n; ++i) text += random.Of(pieces);
    auto pattern = RegexPattern::Create(text);
    if (!pattern.ok()) continue;
    for (const std::string& start : starts) {
      bool all = (*pattern)->MatchesAll(start, Follow::kAnything);
      bool segment = (*pattern)->MatchesAll(start, Follow::kSegment);
      bool none = (*pattern)->Of(start) == Cover::kNone;
      decided_all += all ? 1 : 0;
      decided_none += none ? 1 : 0;
      EXPECT_TRUE(!all || (*pattern)->Matches(start)) << text << " on " << start;
      EXPECT_TRUE(!segment || (*pattern)->Matches(start)) << text << " on " << start;
      for (const std::string& tail : tails) {
        bool matches = (*pattern)->Matches(start + tail);
        EXPECT_TRUE(!all || matches) << text << " on " << start << tail;
        EXPECT_TRUE(!segment || (*pattern)->Matches(start + "/" + tail)) << text << " " << start;
        EXPECT_TRUE(!none || !matches) << text << " on " << start << tail;
      }
    }
  }
  // The claims are made at all.
  EXPECT_GT(decided_all, 100);
  EXPECT_GT(decided_none, 10);
}

}  // namespace
}  // namespace storage
