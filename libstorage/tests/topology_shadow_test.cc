// Which rules are said to be shadowed by the one before, and which are not.
#include <gtest/gtest.h>

#include "src/topology/shadow.h"
#include "src/topology/topology.h"

namespace storage {
namespace {

// Is the second rule reported, with the first as the reason?
bool Shadowed(const std::string& first, const std::string& second) {
  absl::StatusOr<Topology> topology =
      ParseTopology("backends:\n- {name: a, endpoint: memory://a, " + first +
                        "}\n- {name: b, endpoint: memory://b, " + second + "}\n",
                    "t.yaml");
  EXPECT_TRUE(topology.ok()) << topology.status();
  if (topology->warnings.empty()) return false;
  EXPECT_EQ(topology->warnings.size(), 1u);
  EXPECT_EQ(topology->warnings[0].line, 3);
  EXPECT_EQ(ShadowedBy(topology->rules, 1), 0);
  return true;
}

struct Case {
  const char* first;
  const char* second;
  bool shadowed;
};

TEST(TopologyShadow, PrefixOverPrefix) {
  const Case cases[] = {
      {"prefix: {prefix: pods}", "prefix: {prefix: pods}", true},
      {"prefix: {prefix: pods/}", "prefix: {prefix: pods}", true},
      {"prefix: {prefix: pods}", "prefix: {prefix: pods/a}", true},
      {"prefix: {prefix: pods}", "prefix: {prefix: 'pods/*'}", true},
      {"prefix: {prefix: pods}", "prefix: {prefix: 'pods*'}", false},
      {"prefix: {prefix: pods}", "prefix: {prefix: podtemplates}", false},
      {"prefix: {prefix: pods/a}", "prefix: {prefix: pods}", false},
      {"prefix: {prefix: 'pod*'}", "prefix: {prefix: podtemplates}", true},
      {"prefix: {prefix: '*'}", "prefix: {prefix: 'a*'}", true},
  };
  for (const Case& c : cases) EXPECT_EQ(Shadowed(c.first, c.second), c.shadowed) << c.second;
}

TEST(TopologyShadow, PrefixOverOthers) {
  const Case cases[] = {
      {"prefix: {prefix: a.b}", "customresource: {group: a.b}", true},
      {"prefix: {prefix: a.b/shirts}", "customresource: {group: a.b, kind: shirts}", true},
      {"prefix: {prefix: a.b/shirts}", "customresource: {group: a.b}", false},
      // Kind does not say the plural.
      {"prefix: {prefix: a.b/shirts}", "customresource: {group: a.b, kind: Shirts}", false},
      {"prefix: {prefix: a.b/hats}", "customresource: {group: a.b, kind: shirts}", false},
      {"prefix: {prefix: pods}", "namespace: {namespace: a, kinds: [pods]}", false},
      {"prefix: {prefix: '*'}", "namespace: {namespace: a}", true},
      {"prefix: {prefix: '*'}", "regexp: {key: a}", true},
      {"prefix: {prefix: pods}", "regexp: {key: ^pods/}", false},
  };
  for (const Case& c : cases) EXPECT_EQ(Shadowed(c.first, c.second), c.shadowed) << c.second;
}

TEST(TopologyShadow, Namespace) {
  const Case cases[] = {
      {"namespace: {namespace: a}", "namespace: {namespace: a}", true},
      {"namespace: {namespace: a}", "namespace: {namespace: a, kinds: [pods]}", true},
      {"namespace: {namespace: a, kinds: [pods, secrets]}",
       "namespace: {namespace: a, kinds: [Pods]}", true},
      {"namespace: {namespace: a, kinds: [pods]}", "namespace: {namespace: a}", false},
      {"namespace: {namespace: a, kinds: [pods]}", "namespace: {namespace: a, kinds: [secrets]}",
       false},
      {"namespace: {namespace: a}", "namespace: {namespace: b}", false},
      {"namespace: {namespace: a}", "prefix: {prefix: pods}", false},
  };
  for (const Case& c : cases) EXPECT_EQ(Shadowed(c.first, c.second), c.shadowed) << c.second;
}

TEST(TopologyShadow, CustomResource) {
  const Case cases[] = {
      {"customresource: {group: a.b}", "customresource: {group: a.b, kind: shirts}", true},
      {"customresource: {group: a.b, kind: Shirts}", "customresource: {group: A.b, kind: shirts}",
       true},
      {"customresource: {group: a.b, kind: shirts}", "customresource: {group: a.b}", false},
      {"customresource: {group: a.b}", "customresource: {group: c.d}", false},
      {"customresource: {group: a.b}", "prefix: {prefix: a.b/shirts}", true},
      {"customresource: {group: a.b}", "prefix: {prefix: a.b}", true},
      {"customresource: {group: a.b}", "prefix: {prefix: 'a.b*'}", false},
      {"customresource: {group: a.b, kind: shirts}", "prefix: {prefix: a.b/shirts/ns}", true},
      {"customresource: {group: a.b, kind: Shirt}", "prefix: {prefix: a.b/shirts}", false},
      // Built-in objects of these groups have the group in their key as well.
      {"customresource: {group: apiregistration.k8s.io}",
       "prefix: {prefix: apiregistration.k8s.io}", false},
  };
  for (const Case& c : cases) EXPECT_EQ(Shadowed(c.first, c.second), c.shadowed) << c.second;
}

TEST(TopologyShadow, Regexp) {
  const Case cases[] = {
      {"regexp: {prefix: ^pods$}", "prefix: {prefix: pods}", false},  // pods/x/y may be a kind
      {"regexp: {prefix: ^pods}", "prefix: {prefix: pods/a}", true},
      {"regexp: {key: ^pods/}", "prefix: {prefix: pods/a}", true},
      {"regexp: {key: ^pods}", "prefix: {prefix: 'pods*'}", true},
      {"regexp: {key: a$}", "prefix: {prefix: pods/a}", false},
      {"regexp: {prefix: ^pods, key: a}", "prefix: {prefix: pods}", false},
      {"regexp: {prefix: x}", "regexp: {prefix: x}", true},
      {"regexp: {prefix: x}", "regexp: {prefix: x, key: y}", true},
      {"regexp: {prefix: x, key: y}", "regexp: {prefix: x}", false},
      {"regexp: {prefix: .*}", "regexp: {key: y}", true},
      {"regexp: {key: ''''}", "regexp: {key: y}", false},
      {"regexp: {key: ^a.b/}", "customresource: {group: a.b}", true},
      {"regexp: {prefix: ^a.b/shirts$}", "customresource: {group: a.b, kind: shirts}", true},
      {"regexp: {prefix: ^a.b/shirts$}", "customresource: {group: a.b}", false},
      {"regexp: {key: x*}", "namespace: {namespace: a}", true},
      {"regexp: {key: /a/}", "namespace: {namespace: a}", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Shadowed(c.first, c.second), c.shadowed) << c.first << " before " << c.second;
  }
}

}  // namespace
}  // namespace storage
