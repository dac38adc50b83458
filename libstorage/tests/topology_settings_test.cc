// Accepted files: every field of both forms, and warnings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "src/topology/duration.h"
#include "src/topology/topology.h"
#include "tests/topology_testing.h"

namespace storage {
namespace {

using ::testing::ElementsAre;

Topology Parse(const std::string& yaml) {
  absl::StatusOr<Topology> topology = ParseTopology(yaml, "t.yaml");
  EXPECT_TRUE(topology.ok()) << topology.status();
  return topology.ok() ? *std::move(topology) : Topology();
}

std::vector<std::string> Warnings(const Topology& topology) {
  std::vector<std::string> out;
  for (const Diagnostic& warning : topology.warnings) out.push_back(warning.ToString());
  return out;
}

TEST(TopologySettings, EveryFieldOfTheNewerForm) {
  Topology topology = Parse(R"(
backends:
- name: kube-system
  endpoint: mysql://root:passwd@tcp(h:3306)/kube_system
  namespace:
    namespace: kube-system
    kinds: [pods, ConfigMap]
  backendTLS:
    caFile: /ca
    certFile: /cert
    keyFile: /key
    skipVerify: true
  connectionPool:
    maxIdle: 5
    maxOpen: 90
    maxLifeTime: 5m
    maxIdleLifeTime: 1h30m
  compactInterval: 5m
  compactIntervalJitter: 10
  compactTimeout: 5s
  compactMinRetain: 1000
  compactBatchSize: 500
)");
  ASSERT_EQ(topology.rules.size(), 1u);
  EXPECT_TRUE(topology.warnings.empty());
  const Rule& rule = topology.rules[0];
  EXPECT_EQ(rule.name, "kube-system");
  EXPECT_EQ(rule.line, 3);
  EXPECT_EQ(rule.column, 3);
  EXPECT_EQ(rule.policy, Policy::kNamespace);
  EXPECT_THAT(rule.kinds, ElementsAre("pods", "ConfigMap"));
  EXPECT_EQ(rule.tls.ca_file, "/ca");
  EXPECT_EQ(rule.tls.cert_file, "/cert");
  EXPECT_EQ(rule.tls.key_file, "/key");
  EXPECT_TRUE(rule.tls.skip_verify);
  EXPECT_EQ(rule.pool.max_idle, 5);
  EXPECT_EQ(rule.pool.max_open, 90);
  EXPECT_EQ(rule.pool.max_life_time_ms, 300000);
  EXPECT_EQ(rule.pool.max_idle_life_time_ms, 5400000);
  EXPECT_EQ(rule.compact.interval_ms, 300000);
  EXPECT_EQ(rule.compact.interval_jitter, 0.10);
  EXPECT_EQ(rule.compact.timeout_ms, 5000);
  EXPECT_EQ(rule.compact.min_retain, 1000);
  EXPECT_EQ(rule.compact.batch_size, 500);
}

TEST(TopologySettings, UnsetIsNotZero) {
  Topology topology = Parse(
      "backends:\n- name: a\n  endpoint: sqlite://a.db\n  prefix: {prefix: pods}\n"
      "  compactInterval: 0\n  compactMinRetain: 0\n  compactIntervalJitter: 0\n");
  const CompactSettings& compact = topology.rules.at(0).compact;
  EXPECT_EQ(compact.interval_ms, 0);
  EXPECT_EQ(compact.min_retain, 0);
  EXPECT_EQ(compact.interval_jitter, 0.0);
  EXPECT_FALSE(compact.timeout_ms.has_value());
  EXPECT_FALSE(compact.batch_size.has_value());
}

TEST(TopologySettings, NameInsideBesideOrBothAlike) {
  Topology topology = Parse(
      "backends:\n"
      "- {endpoint: memory://a, prefix: {name: inside, prefix: a}}\n"
      "- {name: beside, endpoint: memory://b, regexp: {key: b}}\n"
      "- {name: both, endpoint: memory://c, customresource: {name: both, group: c}}\n"
      "- {name: 123, endpoint: memory://d, namespace: {namespace: 456}}\n");
  ASSERT_EQ(topology.rules.size(), 4u);
  EXPECT_EQ(topology.rules[0].name, "inside");
  EXPECT_EQ(topology.rules[1].name, "beside");
  EXPECT_EQ(topology.rules[2].name, "both");
  // YAML reads these as numbers; a name of digits is a name all the same.
  EXPECT_EQ(topology.rules[3].name, "123");
  EXPECT_EQ(topology.rules[3].ns, "456");
}

TEST(TopologySettings, EmptyListAndOtherYaml) {
  EXPECT_TRUE(Parse("backends: []").rules.empty());
  EXPECT_TRUE(Parse("---\nbackends: []\n...\n").rules.empty());
  EXPECT_EQ(Parse("\xef\xbb\xbf{\"backends\": [{\"name\": \"a\", \"endpoint\": \"memory://a\", "
                  "\"prefix\": {\"prefix\": \"pods\"}}]}")
                .rules.size(),
            1u);
  // Anchors are plain YAML.
  EXPECT_EQ(Parse("backends:\n- {name: &n pods, endpoint: memory://a, prefix: {prefix: *n}}\n")
                .rules.at(0)
                .prefix,
            "pods");
}

TEST(TopologySettings, WarningsHavePlaceAndRemedy) {
  Topology topology = Parse(R"(backends:
- name: a
  endpoint: sqlite://a.db
  prefix: {prefix: pods}
  connectionPool: {maxOpen: 5}
  backendTLS: {skipVerify: true}
- name: b
  endpoint: http://h:2379
  regexp:
    key: ^/registry/secrets
  backendTLS: {caFile: /ca}
- name: c
  endpoint: memory://c
  prefix:
    prefix: pods/team-*
)");
  EXPECT_THAT(
      Warnings(topology),
      ElementsAre(
          "t.yaml:5:3: warning: \"connectionPool\" has no effect on an embedded database; remove "
          "it",
          "t.yaml:6:3: warning: \"backendTLS\" has no effect on an embedded database; remove it",
          "t.yaml:10:10: warning: the expression \"^/registry/secrets\" matches no key, because "
          "keys are matched without the storage root; write it without \"/registry/\"",
          "t.yaml:11:3: warning: \"backendTLS\" has no effect on an http:// endpoint; write "
          "https://",
          "t.yaml:14:3: warning: the rule \"c\" never gets an object: the rule \"a\" on line 2 "
          "comes first and matches all that it matches; write it above that rule, or remove it"));
}

TEST(TopologySettings, Durations) {
  const std::pair<const char*, int64_t> good[] = {
      {"0", 0},          {"0s", 0},         {"5m", 300000},     {"300", 300000}, {"1h30m", 5400000},
      {"1.5s", 1500},    {".5s", 500},      {"250ms", 250},     {"1us", 1},      {"1500us", 2},
      {"24h", 86400000}, {"1m0.5s", 60500}, {"100\xc2\xb5s", 1}};
  for (const auto& [text, ms] : good) {
    ASSERT_TRUE(ParseDurationMs(text).has_value()) << text;
    EXPECT_EQ(*ParseDurationMs(text), ms) << text;
  }
  for (const char* text : {"", "m", "-5m", "5 m", "5x", "1.2.3s", "1d", "5m ", "5m5", ".s",
                           "99999999999999999999h", "900000h", "1e3s", "0x5s"}) {
    EXPECT_FALSE(ParseDurationMs(text).has_value()) << text;
  }
}

class LoadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string dir = ::testing::TempDir() + "/topology-XXXXXX";
    ASSERT_NE(mkdtemp(dir.data()), nullptr);
    dir_ = dir;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string Error(const std::string& path) {
    absl::StatusOr<Topology> topology = LoadTopology(path);
    return topology.ok() ? "OK" : std::string(topology.status().message());
  }
  std::string dir_;
};

TEST_F(LoadTest, PathOrFileUri) {
  std::string path = dir_ + "/topology.yaml";
  std::ofstream(path) << kSampleTopology;
  EXPECT_EQ(LoadTopology(path)->rules.size(), 4u);
  EXPECT_EQ(LoadTopology("file://" + path)->rules.size(), 4u);
  std::ofstream(path) << "backends: [x]";
  EXPECT_THAT(Error("file://" + path), ::testing::StartsWith(path + ":1:12: a rule must be"));
}

TEST_F(LoadTest, Unreadable) {
  EXPECT_EQ(Error(dir_ + "/none"),
            dir_ +
                "/none: cannot be read: No such file or directory; name a readable file with "
                "--topology-config or TOPOLOGY_CONFIG");
  EXPECT_EQ(Error(dir_), dir_ +
                             ": cannot be read: Is a directory; name a readable file with "
                             "--topology-config or TOPOLOGY_CONFIG");
  std::ofstream(dir_ + "/empty") << "";
  EXPECT_THAT(Error(dir_ + "/empty"), ::testing::HasSubstr("empty:1:1: the file is empty"));
  EXPECT_EQ(Error("https://example.com/t.yaml"),
            "--topology-config: must be a path or file://path; other places are not supported");
  EXPECT_EQ(Error(""),
            "--topology-config: the path is empty; name a file, or leave it out to "
            "keep every object in the default database");
}

}  // namespace
}  // namespace storage
