// stgctl topology check, route, version and the command line: texts, JSON, exit codes.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/stgctl_testing.h"
#include "tests/topology_testing.h"

namespace storage {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kFiles[] = R"(backends:
- name: pods
  endpoint: sqlite://./pods.db?_journal=WAL
  prefix: {prefix: pods}
- name: system
  endpoint: sqlite://./system.db
  namespace: {namespace: kube-system, kinds: [configmaps, secrets]}
- name: shirts
  endpoint: sqlite://./shirts.db
  customresource: {group: stable.example.com, kind: shirts}
)";

constexpr char kNote[] =
    "topology.yaml:5:3: note: the rule \"system\" splits configmaps, secrets over several "
    "databases: with the watch cache on, consistent lists of these kinds ask all of them, and one "
    "that is down stalls the lists. While one is down, writes, GETs and (watch cache off) lists of "
    "a namespace kept in a healthy one go on, the rest fails with 503 within 3 s. Kinds kept in "
    "one database only are not affected by another\n";

using StgctlCheck = StgctlTest;

TEST_F(StgctlCheck, ValidFile) {
  Write("topology.yaml", kFiles);
  Ran ran = Run({"topology", "check", "topology.yaml"});
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_EQ(ran.err, kNote);
  EXPECT_EQ(ran.out, R"(topology.yaml is valid: 3 rules, 0 warnings.

DATABASE   ENDPOINT                          TAKES                                              KINDS      SHARED KINDS
pods       sqlite://./pods.db?_journal=WAL   keys that begin with pods                          pods       -
system     sqlite://./system.db              configmaps, secrets of the namespace kube-system   -          configmaps,secrets
shirts     sqlite://./shirts.db              shirts of the group stable.example.com             -          -
default    (--etcd-servers)                  everything else                                    61 kinds   configmaps,secrets
)");
}

TEST_F(StgctlCheck, ValidFileAsJson) {
  Write("topology.yaml", kFiles);
  Ran ran = Run({"topology", "check", "topology.yaml", "-o", "json"});
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_EQ(ran.err, "");
  nlohmann::json json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json["valid"], true);
  ASSERT_EQ(json["diagnostics"].size(), 1u);
  EXPECT_EQ(json["diagnostics"][0]["severity"], "note");
  EXPECT_EQ(json["diagnostics"][0]["line"], 5);
  ASSERT_EQ(json["databases"].size(), 4u);
  EXPECT_EQ(json["databases"][0].dump(),
            R"({"endpoint":"sqlite://./pods.db?_journal=WAL","match":"keys that begin with pods",)"
            R"("name":"pods","partKinds":[],"wholeKinds":["pods"]})");
  EXPECT_EQ(json["databases"][1]["partKinds"].dump(), R"(["configmaps","secrets"])");
  EXPECT_EQ(json["databases"][3]["wholeKinds"].size(), 61u);
}

TEST_F(StgctlCheck, TheFileThatUsersHave) {
  Write("topology.yaml", kSampleTopology);
  Ran ran = Run({"topology", "check", "topology.yaml"});
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_THAT(ran.out, StartsWith("topology.yaml is valid: 4 rules, 0 warnings.\n"));
  EXPECT_THAT(ran.out, HasSubstr("clusterrolebindings,clusterroles,rolebindings,roles,"
                                 "serviceaccounts   -\n"));
  EXPECT_THAT(ran.err, HasSubstr(":7:3: note: the rule \"kube-system\" splits configmaps, "
                                 "controllerrevisions, controllers, cronjobs and 24 more over "));
  EXPECT_EQ((ran.out + ran.err).find("passwd"), std::string::npos);
  EXPECT_EQ(Run({"topology", "check", "--strict", "topology.yaml"}).exit_code, 0);
}

TEST_F(StgctlCheck, StrictRefusesWarnings) {
  Write("topology.yaml",
        "backends:\n- endpoint: sqlite://./a.db\n  prefix: {name: a, prefix: pods}\n"
        "- endpoint: sqlite://./b.db\n  prefix: {name: b, prefix: pods/x}\n");
  Ran ran = Run({"topology", "check", "topology.yaml"});
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_THAT(ran.out, StartsWith("topology.yaml is valid: 2 rules, 1 warning.\n"));
  Ran strict = Run({"topology", "check", "--strict", "topology.yaml"});
  EXPECT_EQ(strict.exit_code, 1);
  EXPECT_EQ(strict.out, "");
  EXPECT_THAT(strict.err, HasSubstr("\nerror: topology.yaml: 1 warning (--strict)\n"));
}

TEST_F(StgctlCheck, WrongFile) {
  Write("topology.yaml",
        "backends:\n- name: a\n  endpoint: sqlite://./a.db\n  prefx: {prefix: pods}\n"
        "- name: a\n  endpoint: sqlite://./b.db\n  prefix: {prefix: pods}\n");
  Ran ran = Run({"topology", "check", "topology.yaml"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err,
            "topology.yaml:4:3: unknown field \"prefx\" in a rule; did you mean \"prefix\"?\n"
            "topology.yaml:5:9: the name \"a\" is used twice (first on line 2); names must be "
            "unique, write another\n"
            "error: topology.yaml: 2 errors\n");
  Ran json = Run({"topology", "check", "topology.yaml", "-o", "json"});
  EXPECT_EQ(json.exit_code, 1);
  EXPECT_EQ(json.err, "");
  EXPECT_EQ(nlohmann::json::parse(json.out).dump(),
            R"({"diagnostics":[{"column":3,"file":"topology.yaml","line":4,"message":"unknown )"
            R"(field \"prefx\" in a rule; did you mean \"prefix\"?","severity":"error"},)"
            R"({"column":9,"file":"topology.yaml","line":5,"message":"the name \"a\" is used )"
            R"(twice (first on line 2); names must be unique, write another","severity":"error"}],)"
            R"("valid":false})");
}

TEST_F(StgctlCheck, OptionsThatTheServerRefuses) {
  Write("t.yaml",
        "backends:\n- name: a\n  endpoint: sqlite://./a.db?_journal=DELETE\n"
        "  prefix: {prefix: pods}\n");
  Ran ran = Run({"topology", "check", "t.yaml"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, StartsWith("t.yaml:2:3: the rule \"a\": sqlite option _journal=DELETE of "
                                  "./a.db: only WAL is supported"));
}

TEST_F(StgctlCheck, Unreadable) {
  Ran ran = Run({"topology", "check", "none.yaml"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.err,
            "none.yaml: cannot be read: No such file or directory; name a readable file with "
            "--topology-config or TOPOLOGY_CONFIG\nerror: none.yaml: 1 error\n");
}

using StgctlRoute = StgctlTest;

TEST_F(StgctlRoute, SaysWhy) {
  Write("topology.yaml", kFiles);
  Ran ran = Run({"route", "topology.yaml", "/registry/secrets/kube-system/s"});
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.out,
            "key:        /registry/secrets/kube-system/s\n"
            "database:   system\n"
            "endpoint:   sqlite://./system.db\n"
            "taken for:  built-in resource secrets (Secret), namespaced\n"
            "            (the built-in kind of that name, namespaced; --resource, --group, --kind, "
            "--namespaced and --custom say otherwise)\n"
            "why:\n"
            "  rule \"pods\" (line 2, prefix) does not: prefix \"pods\" does not match "
            "\"secrets/kube-system/s\".\n"
            "  rule \"system\" (line 5, namespace) matches: namespace \"kube-system\" is "
            "\"kube-system\".\n"
            "all keys of this resource live in: system, default\n");
}

TEST_F(StgctlRoute, AsJson) {
  Write("topology.yaml", kFiles);
  Ran ran = Run({"route", "topology.yaml", "stable.example.com/shirts/ns/a", "-o", "json"});
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_EQ(
      nlohmann::json::parse(ran.out).dump(),
      R"({"database":"shirts","endpoint":"sqlite://./shirts.db",)"
      R"("key":"/registry/stable.example.com/shirts/ns/a","reach":["shirts"],"resource":)"
      R"({"custom":true,"group":"stable.example.com","inferredFrom":"a custom resource, because )"
      R"(its key begins with an API group, namespaced, because more than one segment follows",)"
      R"("keyPrefix":"/registry/stable.example.com/shirts/","kind":"","namespaced":true,)"
      R"("resource":"shirts","root":"/registry/"},"rule":{"line":8,"name":"shirts"},"why":)"
      R"(["rule \"pods\" (line 2, prefix) does not: prefix \"pods\" does not match )"
      R"(\"stable.example.com/shirts/ns/a\".","rule \"system\" (line 5, namespace) does not: a )"
      R"(custom resource is not subject to namespace rules; it needs a customresource rule.",)"
      R"("rule \"shirts\" (line 8, customresource) matches: \"shirts\" of group )"
      R"(\"stable.example.com\" is \"shirts\"."]})");
}

TEST_F(StgctlRoute, FlagsOverruleTheGuess) {
  Write("topology.yaml",
        "backends:\n- {name: a, endpoint: 'sqlite://a.db', namespace: {namespace: ns}}\n"
        "- {name: b, endpoint: 'sqlite://b.db', customresource: {group: g.h, kind: Thing}}\n");
  auto database = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {"route", "topology.yaml"});
    args.insert(args.end(), {"-o", "json"});
    Ran ran = Run(args);
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    return nlohmann::json::parse(ran.out)["database"].get<std::string>();
  };
  EXPECT_EQ(database({"/registry/pods/ns/x"}), "a");
  EXPECT_EQ(database({"/registry/pods/ns/x", "--cluster-scoped"}), "default");
  EXPECT_EQ(database({"/registry/widgets/ns/x"}), "a");
  EXPECT_EQ(database({"/registry/minions/ns"}), "default");
  EXPECT_EQ(database({"/registry/g.h/things/ns/x"}), "default");
  EXPECT_EQ(database({"/registry/g.h/things/ns/x", "--kind", "Thing"}), "b");
  EXPECT_EQ(database({"/registry/g.h/things/ns/x", "--built-in", "--namespaced"}), "a");
  EXPECT_EQ(database({"/registry/pods/ns/x", "--custom", "--group=g.h", "--kind=thing"}), "b");
  EXPECT_EQ(database({"/u-1/registry/pods/ns/x", "--root", "/u-1/registry"}), "a");
}

TEST_F(StgctlRoute, Errors) {
  Write("topology.yaml", kFiles);
  Ran ran = Run({"route", "topology.yaml", "/other/pods/a/b"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.err,
            "error: the key is not below the storage root /registry/; write it like "
            "/registry/pods/default/web, or name its root with --root\n");
  Write("topology.yaml", "backends: 5");
  ran = Run({"route", "topology.yaml", "/registry/pods/a/b"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, StartsWith("error: topology.yaml:1:11: \"backends\" must be a list"));
}

using StgctlUsage = StgctlTest;

TEST_F(StgctlUsage, VersionAndHelp) {
  Ran version = Run({"version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, ::testing::MatchesRegex("stgctl [0-9]+\\.[0-9]+\\.[0-9]+ \\(.*\\)\n"));
  EXPECT_TRUE(nlohmann::json::parse(Run({"version", "-o", "json"}).out).contains("version"));
  Ran help = Run({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* command : {"topology", "route", "stats", "backup", "restore", "version"}) {
    EXPECT_THAT(help.out, HasSubstr(command));
    EXPECT_EQ(Run({command, "--help"}).exit_code, 0) << command;
  }
  EXPECT_THAT(help.out, HasSubstr("Exit codes: 0 done, 1 failed"));
}

TEST_F(StgctlUsage, WrongCommandLine) {
  const std::vector<std::string> wrong[] = {{},
                                            {"nothing"},
                                            {"route", "topology.yaml"},
                                            {"stats", "--colour"},
                                            {"version", "-o", "yaml"},
                                            {"backup", "--wait", "0", "d"}};
  for (const std::vector<std::string>& args : wrong) {
    Ran ran = Run(args);
    EXPECT_EQ(ran.exit_code, 2);
    EXPECT_THAT(ran.err, StartsWith("error: "));
    EXPECT_THAT(ran.err, HasSubstr("\nSee 'stgctl --help' for usage.\n"));
    EXPECT_EQ(ran.out, "");
  }
}

}  // namespace
}  // namespace storage
