// Every kind of wrong topology: the exact text, with line and column.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/topology/topology.h"

namespace storage {
namespace {

constexpr char kHowToBegin[] =
    "write \"backends:\" with a list of rules, or \"backends: []\" to keep every object in the "
    "default database";
constexpr char kRe2[] = "; write it in RE2 syntax (https://github.com/google/re2/wiki/Syntax)";

std::string Errors(const std::string& yaml) {
  absl::StatusOr<Topology> topology = ParseTopology(yaml, "t.yaml");
  if (topology.ok()) return "OK";
  EXPECT_EQ(CodeOf(topology.status()), Code::kInvalid);
  return std::string(topology.status().message());
}

// A rule that is right but for what stands under it.
std::string WithRule(const std::string& lines) {
  return "backends:\n- name: a\n  endpoint: sqlite://./a.db\n" + lines;
}

struct Case {
  const char* what;
  std::string yaml;
  std::string want;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.yaml; }

class TopologyErrors : public ::testing::TestWithParam<Case> {};

TEST_P(TopologyErrors, TextNamesPlaceAndRemedy) {
  EXPECT_EQ(Errors(GetParam().yaml), GetParam().want);
}

std::string CaseName(const ::testing::TestParamInfo<Case>& info) { return info.param.what; }

INSTANTIATE_TEST_SUITE_P(
    File, TopologyErrors,
    ::testing::Values(
        Case{"Empty", "", std::string("t.yaml:1:1: the file is empty; ") + kHowToBegin},
        Case{"OnlyAComment", "# x\n", std::string("t.yaml:1:1: the file is empty; ") + kHowToBegin},
        Case{"BackendsMissing", "{}",
             std::string("t.yaml:1:1: the field \"backends\" is missing; ") + kHowToBegin},
        Case{"BackendsMisspelt", "backend: []",
             "t.yaml:1:1: unknown field \"backend\" in the file; did you mean \"backends\"?"},
        Case{"BackendsEmpty", "backends:",
             std::string("t.yaml:1:1: \"backends\" must be a list, but it is empty; ") +
                 kHowToBegin},
        Case{"BackendsText", "backends: 5",
             std::string("t.yaml:1:11: \"backends\" must be a list, but it is text; ") +
                 kHowToBegin},
        Case{"AList", "- a",
             "t.yaml:1:1: the file must be a mapping, but it is a list; write backends: with a "
             "list of rules"},
        Case{"UnknownTopField", "version: 1\nbackends: []",
             "t.yaml:1:1: unknown field \"version\" in the file; known fields are backends"},
        Case{"TwoDocuments", "backends: []\n---\nbackends: []",
             "t.yaml:2:1: a second YAML document begins here; write one document, without "
             "\"---\""},
        Case{"TrailingBracket", "backends: [] ]",
             "t.yaml:1:14: not valid YAML: illegal flow end; indent with blanks, and put text "
             "with \": \", \" #\" or a special first character in quotes"},
        // yaml-cpp's own loop does not end on this one.
        Case{"Comma", ", a\n",
             "t.yaml:1:1: not valid YAML: this belongs to nothing before it; remove it, or put "
             "it in quotes"},
        Case{"Tab", "backends:\n\t- a",
             "t.yaml:2:2: not valid YAML: illegal block entry; indent with blanks, and put text "
             "with \": \", \" #\" or a special first character in quotes"},
        Case{"OpenQuote", "backends: \"a",
             "t.yaml:1:13: not valid YAML: illegal EOF in scalar; indent with blanks, and put "
             "text with \": \", \" #\" or a special first character in quotes"}),
    CaseName);

INSTANTIATE_TEST_SUITE_P(
    Rule, TopologyErrors,
    ::testing::Values(
        Case{"NotAMapping", "backends:\n- x",
             "t.yaml:2:3: a rule must be a mapping, but it is text; write - name: my-backend, "
             "endpoint: sqlite://./db/my.db and a policy under it"},
        Case{"UnknownField", WithRule("  prefx:\n    prefix: pods"),
             "t.yaml:4:3: unknown field \"prefx\" in a rule; did you mean \"prefix\"?"},
        Case{"UnknownFieldFarFromAll", WithRule("  colour: red\n  prefix: {prefix: pods}"),
             "t.yaml:4:3: unknown field \"colour\" in a rule; known fields are name, endpoint, "
             "prefix, regexp, namespace, customresource, backendTLS, connectionPool, "
             "compactInterval, compactIntervalJitter, compactTimeout, compactMinRetain and "
             "compactBatchSize"},
        Case{"WrongCase", WithRule("  customResource: {group: a.b}"),
             "t.yaml:4:3: unknown field \"customResource\" in a rule; did you mean "
             "\"customresource\"?"},
        Case{"RepeatedKey", WithRule("  name: b\n  prefix: {prefix: pods}"),
             "t.yaml:4:3: the field \"name\" is given twice in a rule (first on line 2); remove "
             "one"},
        Case{"KeyIsAList", WithRule("  ? [a]\n  : b\n  prefix: {prefix: pods}"),
             "t.yaml:4:5: a field name in a rule must be a word, but it is a list; known fields "
             "are name, endpoint, prefix, regexp, namespace, customresource, backendTLS, "
             "connectionPool, compactInterval, compactIntervalJitter, compactTimeout, "
             "compactMinRetain and compactBatchSize"},
        Case{"MergeKey", WithRule("  <<: {prefix: {prefix: pods}}\n  prefix: {prefix: pods}"),
             "t.yaml:4:3: YAML merge keys (<<) are not supported; write the fields out"},
        Case{"NoPolicy", WithRule(""),
             "t.yaml:2:3: the rule has no policy; add exactly one of prefix, regexp, namespace or "
             "customresource"},
        Case{"SecondPolicy",
             WithRule("  prefix:\n    prefix: pods\n  namespace:\n    namespace: kube-system"),
             "t.yaml:6:3: a second policy \"namespace\" in a rule that has \"prefix\" (line 4); a "
             "rule holds exactly one: write another rule for it"},
        Case{"NoEndpoint", "backends:\n- name: a\n  prefix: {prefix: pods}",
             "t.yaml:2:3: the rule has no endpoint; add endpoint: with http://, https://, "
             "mysql://, postgres:// or sqlite://"},
        Case{"EndpointMisspelt", "backends:\n- name: a\n  endpint: x\n  prefix: {prefix: pods}",
             "t.yaml:3:3: unknown field \"endpint\" in a rule; did you mean \"endpoint\"?"},
        Case{"EndpointIsAList", "backends:\n- name: a\n  endpoint: [x]\n  prefix: {prefix: pods}",
             "t.yaml:3:13: \"endpoint\" must be text like endpoint: sqlite://./db/name.db, but it "
             "is a list"},
        Case{"EndpointEmpty", "backends:\n- name: a\n  endpoint:\n  prefix: {prefix: pods}",
             "t.yaml:3:3: \"endpoint\" must be text like endpoint: sqlite://./db/name.db, but it "
             "is empty"},
        Case{"EndpointOfTheDefault",
             "backends:\n- name: a\n  endpoint: multi://sqlite://./x.db\n  prefix: {prefix: pods}",
             "t.yaml:3:13: multi:// is for the default database (--etcd-servers) only; write the "
             "endpoint without it"},
        Case{"EndpointScheme",
             "backends:\n- name: a\n  endpoint: mysqll://u:p@tcp(h)/d\n  prefix: {prefix: pods}",
             "t.yaml:3:13: the endpoint has an unknown scheme; did you mean mysql://? It must "
             "begin with http:// or https:// (etcd), mysql://, postgres:// or sqlite://"}),
    CaseName);

INSTANTIATE_TEST_SUITE_P(
    Names, TopologyErrors,
    ::testing::Values(
        Case{"Missing", "backends:\n- endpoint: sqlite://./a.db\n  prefix: {prefix: pods}",
             "t.yaml:2:3: the rule has no name; add name: beside \"endpoint\", like name: "
             "my-backend"},
        Case{"Twice",
             "backends:\n- name: a\n  endpoint: sqlite://./a.db\n  prefix: {prefix: pods}\n"
             "- endpoint: sqlite://./b.db\n  prefix: {name: a, prefix: secrets}",
             "t.yaml:6:18: the name \"a\" is used twice (first on line 2); names must be unique, "
             "write another"},
        Case{"InsideAndBesideDiffer", WithRule("  prefix: {name: b, prefix: pods}"),
             "t.yaml:4:18: the rule has two different names (the other on line 2); keep the one "
             "beside \"endpoint\""},
        Case{"BadCharacters",
             "backends:\n- name: a b\n  endpoint: sqlite://./a.db\n  prefix: {prefix: pods}",
             "t.yaml:2:9: a name consists of letters, digits, \"-\", \"_\" and \".\", begins and "
             "ends with a letter or digit and has at most 63 characters; write name: my-backend"},
        Case{"Reserved",
             "backends:\n- name: default\n  endpoint: sqlite://./a.db\n  prefix: {prefix: pods}",
             "t.yaml:2:9: the name \"default\" is taken by the default database; write another, "
             "like name: default-objects"},
        Case{"IsAList",
             "backends:\n- name: [a]\n  endpoint: sqlite://./a.db\n  prefix: {prefix: pods}",
             "t.yaml:2:9: \"name\" must be text like name: my-backend, but it is a list"},
        Case{"SameEndpoint",
             "backends:\n- name: a\n  endpoint: sqlite://./a.db\n  prefix: {prefix: pods}\n"
             "- name: b\n  endpoint: sqlite://a.db?_journal=WAL\n  prefix: {prefix: secrets}",
             "t.yaml:6:13: the endpoint is the same database as that of the rule on line 2; "
             "endpoints must be unique: name another database, or join the two rules with the "
             "policy \"regexp\""}),
    CaseName);

INSTANTIATE_TEST_SUITE_P(
    PrefixAndRegexp, TopologyErrors,
    ::testing::Values(
        Case{"PolicyIsText", WithRule("  prefix: pods"),
             "t.yaml:4:11: the policy \"prefix\" must be a mapping, but it is text; write prefix: "
             "{prefix: pods}"},
        Case{"PrefixMissing", WithRule("  prefix: {}"),
             "t.yaml:4:11: the policy \"prefix\" has no \"prefix\"; write prefix: pods"},
        Case{"PrefixUnknownField", WithRule("  prefix: {prefix: pods, key: a}"),
             "t.yaml:4:26: unknown field \"key\" in the policy \"prefix\"; known fields are name "
             "and prefix"},
        Case{"PrefixIsAKey", WithRule("  prefix: {prefix: /registry/pods}"),
             "t.yaml:4:20: the prefix \"/registry/pods\" begins with \"/\", but keys are matched "
             "without the storage root; write \"pods\""},
        Case{"PrefixStarInside", WithRule("  prefix: {prefix: a*b}"),
             "t.yaml:4:20: the prefix \"a*b\" has a \"*\" before its end; write it last, or use "
             "the policy \"regexp\""},
        Case{"PrefixIsAnEndpoint", WithRule("  prefix: {prefix: 'mysql://u:pw@tcp(h)/d'}"),
             "t.yaml:4:20: \"prefix\" looks like an endpoint; write prefix: pods"},
        Case{"RegexpEmpty", WithRule("  regexp: {}"),
             "t.yaml:4:11: the policy \"regexp\" has neither \"prefix\" nor \"key\"; write "
             "prefix: with an expression for the resource, or key: with one for the whole key"},
        Case{"RegexpBadPrefix", WithRule("  regexp: {prefix: (pods}"),
             std::string("t.yaml:4:20: bad regular expression in \"prefix\": missing ): (pods") +
                 kRe2},
        Case{"RegexpLookahead", WithRule("  regexp: {key: '(?=pods)'}"),
             std::string("t.yaml:4:17: bad regular expression in \"key\": invalid perl operator: "
                         "(?=") +
                 kRe2},
        Case{"RegexpFieldMisspelt", WithRule("  regexp: {perfix: pods}"),
             "t.yaml:4:12: unknown field \"perfix\" in the policy \"regexp\"; did you mean "
             "\"prefix\"?"}),
    CaseName);

INSTANTIATE_TEST_SUITE_P(
    NamespaceAndCustom, TopologyErrors,
    ::testing::Values(
        Case{"NamespaceMissing", WithRule("  namespace: {name: a}"),
             "t.yaml:4:14: the policy \"namespace\" has no \"namespace\"; write namespace: "
             "kube-system"},
        Case{"NamespaceEmpty", WithRule("  namespace:\n    namespace:\n"),
             "t.yaml:5:5: \"namespace\" must be text like namespace: kube-system, but it is "
             "empty"},
        Case{"NamespacePattern", WithRule("  namespace: {namespace: kube-*}"),
             "t.yaml:4:26: \"kube-*\" is not the name of one namespace (lower-case letters, "
             "digits and \"-\", at most 63); for several write a rule for each"},
        Case{"KindsText", WithRule("  namespace: {namespace: a, kinds: pods}"),
             "t.yaml:4:36: \"kinds\" must be a list like kinds: [pods, configmaps], but it is "
             "text"},
        Case{"KindsEmpty", WithRule("  namespace: {namespace: a, kinds: []}"),
             "t.yaml:4:36: \"kinds\" must be a list like kinds: [pods, configmaps], but it is "
             "empty"},
        Case{"KindsNested", WithRule("  namespace: {namespace: a, kinds: [pods, [x]]}"),
             "t.yaml:4:43: an item of \"kinds\" is not a name; write kinds: [pods, configmaps]"},
        Case{"GroupMissing", WithRule("  customresource: {kind: shirts}"),
             "t.yaml:4:19: the policy \"customresource\" has no \"group\"; write group: "
             "stable.example.com"},
        Case{"GroupWithVersion", WithRule("  customresource: {group: a.b/v1}"),
             "t.yaml:4:27: \"a.b/v1\" is not the name of one API group; write it without version "
             "and \"*\", like group: stable.example.com"},
        Case{"KindWithGroup", WithRule("  customresource: {group: a.b, kind: shirts.a.b}"),
             "t.yaml:4:38: \"shirts.a.b\" is not the name of one kind; write the plural resource "
             "name like kind: shirts, or leave it out for the whole group"}),
    CaseName);

const char kMinutes[] =
    " must be a duration like 5m, 1h30m or 500ms (a plain number means seconds)";

INSTANTIATE_TEST_SUITE_P(
    Settings, TopologyErrors,
    ::testing::Values(
        Case{"TlsHalf",
             "backends:\n- name: a\n  endpoint: https://h:1\n  prefix: {prefix: pods}\n"
             "  backendTLS: {keyFile: k}",
             "t.yaml:5:16: certFile and keyFile belong together; write both"},
        Case{"TlsBool",
             "backends:\n- name: a\n  endpoint: https://h:1\n  prefix: {prefix: pods}\n"
             "  backendTLS: {skipVerify: maybe}",
             "t.yaml:5:28: \"skipVerify\" must be true or false"},
        Case{"TlsIsAList",
             "backends:\n- name: a\n  endpoint: https://h:1\n  prefix: {prefix: pods}\n"
             "  backendTLS: [a]",
             "t.yaml:5:15: \"backendTLS\" must be a mapping, but it is a list; write backendTLS: "
             "{caFile: /path/ca.crt}"},
        Case{"PoolCount",
             "backends:\n- name: a\n  endpoint: mysql://tcp(h)/d\n  prefix: {prefix: pods}\n"
             "  connectionPool: {maxOpen: many}",
             "t.yaml:5:29: \"maxOpen\" must be a whole number from 0 to 100000"},
        Case{"PoolCase",
             "backends:\n- name: a\n  endpoint: mysql://tcp(h)/d\n  prefix: {prefix: pods}\n"
             "  connectionPool: {maxIdleLifetime: 5m}",
             "t.yaml:5:20: unknown field \"maxIdleLifetime\" in \"connectionPool\"; did you mean "
             "\"maxIdleLifeTime\"?"},
        Case{"Interval", WithRule("  prefix: {prefix: pods}\n  compactInterval: 5 minutes"),
             std::string("t.yaml:5:20: \"compactInterval\"") + kMinutes},
        Case{"TimeoutNegative", WithRule("  prefix: {prefix: pods}\n  compactTimeout: -5s"),
             std::string("t.yaml:5:19: \"compactTimeout\"") + kMinutes},
        Case{"JitterFraction", WithRule("  prefix: {prefix: pods}\n  compactIntervalJitter: 0.1"),
             "t.yaml:5:26: \"compactIntervalJitter\" must be a whole number from 0 to 99"},
        Case{"Retain", WithRule("  prefix: {prefix: pods}\n  compactMinRetain: -1"),
             "t.yaml:5:21: \"compactMinRetain\" must be a whole number from 0 to 1099511627776"},
        Case{"BatchZero", WithRule("  prefix: {prefix: pods}\n  compactBatchSize: 0"),
             "t.yaml:5:21: \"compactBatchSize\" must be a whole number from 1 to 1000000"}),
    CaseName);

TEST(TopologyErrorList, ReportsAllAtOnceInTheOrderOfTheFile) {
  EXPECT_EQ(Errors("backends:\n"
                   "- name: a b\n"
                   "  endpoint: nothing\n"
                   "  prefix: {prefix: /x}\n"
                   "- name: c\n"
                   "  endpoint: sqlite://./c.db\n"
                   "  regexp: {key: '('}\n"
                   "  compactBatchSize: x\n"),
            "t.yaml:2:9: a name consists of letters, digits, \"-\", \"_\" and \".\", begins and "
            "ends with a letter or digit and has at most 63 characters; write name: my-backend\n"
            "t.yaml:3:13: the endpoint must begin with http:// or https:// (etcd), mysql://, "
            "postgres:// or sqlite://\n"
            "t.yaml:4:20: the prefix \"/x\" begins with \"/\", but keys are matched without the "
            "storage root; write \"x\"\n"
            "t.yaml:7:17: bad regular expression in \"key\": missing ): (; write it in RE2 syntax "
            "(https://github.com/google/re2/wiki/Syntax)\n"
            "t.yaml:8:21: \"compactBatchSize\" must be a whole number from 1 to 1000000");
}

TEST(TopologyErrorList, IsCut) {
  std::string yaml = "backends:\n";
  for (int i = 0; i < 70; ++i) yaml += "- x\n";
  std::string errors = Errors(yaml);
  EXPECT_EQ(std::count(errors.begin(), errors.end(), '\n'), 50);
  EXPECT_THAT(errors, ::testing::EndsWith("\nt.yaml: and 20 more"));
}

TEST(TopologyErrorList, SizeIsBounded) {
  EXPECT_EQ(Errors(std::string((4 << 20) + 1, ' ')),
            "t.yaml: the file has 4194305 bytes; a topology has at most 4194304");
  std::string yaml = "backends:\n";
  for (int i = 0; i < 1001; ++i) yaml += "- x\n";
  EXPECT_EQ(Errors(yaml), "t.yaml:2:1: \"backends\" has 1001 rules; write at most 1000");
  // Deep nesting ends in an error, not in a stack overflow.
  EXPECT_THAT(Errors(std::string(100000, '[')), ::testing::HasSubstr("not valid YAML"));
}

}  // namespace
}  // namespace storage
