// ParseTopology and LoadTopology: the file as a whole, and what must be unique
// in it. A rule: rule_parser.cc.
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/topology/diagnostics.h"
#include "src/topology/fields.h"
#include "src/topology/rule_parser.h"
#include "src/topology/shadow.h"
#include "src/topology/topology.h"

namespace storage {
namespace {

constexpr size_t kMaxFileBytes = 4 << 20;
constexpr size_t kMaxRules = 1000;  // each is a database; the checks below compare pairs
constexpr char kHowToBegin[] =
    "write \"backends:\" with a list of rules, or \"backends: []\" to keep every object in the "
    "default database";

void CheckNames(const std::vector<ParsedRule>& rules, DiagnosticList* out) {
  std::map<std::string, int> lines;
  for (const ParsedRule& parsed : rules) {
    if (parsed.rule.name.empty()) continue;
    auto [at, fresh] = lines.emplace(parsed.rule.name, parsed.name.line);
    if (!fresh) {
      out->Error(parsed.name,
                 absl::StrCat("the name \"", parsed.rule.name, "\" is used twice (first on line ",
                              at->second, "); names must be unique, write another"));
    }
  }
}

void CheckEndpoints(const std::vector<ParsedRule>& rules, DiagnosticList* out) {
  std::map<std::string, const ParsedRule*> seen;
  for (const ParsedRule& parsed : rules) {
    if (parsed.rule.endpoint.text.empty()) continue;
    auto [at, fresh] = seen.emplace(EndpointIdentity(parsed.rule.endpoint), &parsed);
    if (!fresh) {
      out->Error(parsed.endpoint,
                 absl::StrCat("the endpoint is the same database as that of the rule on line ",
                              at->second->rule.line,
                              "; endpoints must be unique: name another database, or join the two "
                              "rules with the policy \"regexp\""));
    }
  }
}

void WarnShadowed(const std::vector<ParsedRule>& rules, DiagnosticList* out) {
  std::vector<Rule> plain;
  for (const ParsedRule& parsed : rules) plain.push_back(parsed.rule);
  for (size_t i = 0; i < plain.size(); ++i) {
    int by = ShadowedBy(plain, i);
    if (by < 0) continue;
    out->Warning(rules[i].policy,
                 absl::StrCat("the rule \"", plain[i].name, "\" never gets an object: the rule \"",
                              plain[by].name, "\" on line ", plain[by].line,
                              " comes first and matches all that it matches; write it above that "
                              "rule, or remove it"));
  }
}

void ParseBackends(const Fields& top, std::vector<ParsedRule>* rules, DiagnosticList* out) {
  const YAML::Node& backends = top.Value("backends");
  if (!backends.IsSequence()) {
    out->Error(top.ValueMark("backends"), absl::StrCat("\"backends\" must be a list, but it is ",
                                                       KindOf(backends), "; ", kHowToBegin));
    return;
  }
  if (backends.size() > kMaxRules) {
    out->Error(top.ValueMark("backends"), absl::StrCat("\"backends\" has ", backends.size(),
                                                       " rules; write at most ", kMaxRules));
    return;
  }
  for (const YAML::Node& node : backends) {
    Mark place = node.IsNull() ? top.ValueMark("backends") : MarkOf(node);
    std::optional<ParsedRule> parsed = ParseRule(node, place, out);
    if (parsed.has_value()) rules->push_back(*std::move(parsed));
  }
}

void ParseDocuments(const std::vector<YAML::Node>& documents, std::vector<ParsedRule>* rules,
                    DiagnosticList* out) {
  if (documents.empty() || documents[0].IsNull()) {
    out->Error({1, 1}, absl::StrCat("the file is empty; ", kHowToBegin));
    return;
  }
  for (size_t i = 1; i < documents.size(); ++i) {
    if (documents[i].IsNull()) continue;
    out->Error(MarkOf(documents[i]),
               "a second YAML document begins here; write one document, without \"---\"");
  }
  Fields top(documents[0], MarkOf(documents[0]), "the file", {"backends"},
             "backends: with a list of rules", out);
  if (!top.ok()) return;
  if (top.Lacks("backends")) {
    out->Error(top.place(), absl::StrCat("the field \"backends\" is missing; ", kHowToBegin));
  }
  if (top.Has("backends")) ParseBackends(top, rules, out);
}

absl::StatusOr<Topology> ParseOrThrow(std::string_view yaml, DiagnosticList* out) {
  std::vector<ParsedRule> rules;
  try {
    ParseDocuments(YAML::LoadAll(std::string(yaml)), &rules, out);
  } catch (const YAML::Exception& e) {
    Mark mark = e.mark.line < 0 ? Mark{1, 1} : Mark{e.mark.line + 1, e.mark.column + 1};
    out->Error(mark, absl::StrCat("not valid YAML: ", e.msg,
                                  "; indent with blanks, and put text with \": \", \" #\" or a "
                                  "special first character in quotes"));
  }
  CheckNames(rules, out);
  CheckEndpoints(rules, out);
  if (out->has_errors()) return out->ToStatus();
  WarnShadowed(rules, out);
  Topology topology;
  for (ParsedRule& parsed : rules) topology.rules.push_back(std::move(parsed.rule));
  topology.warnings = out->Warnings();
  return topology;
}

}  // namespace

absl::StatusOr<Topology> ParseTopology(std::string_view yaml, const std::string& file) {
  DiagnosticList out(file);
  if (yaml.size() > kMaxFileBytes) {
    out.Error({}, absl::StrCat("the file has ", yaml.size(), " bytes; a topology has at most ",
                               kMaxFileBytes));
    return out.ToStatus();
  }
  try {
    return ParseOrThrow(yaml, &out);
  } catch (const std::exception& e) {  // yaml-cpp's own, and std::bad_alloc
    out.Error({}, absl::StrCat("cannot be parsed: ", e.what()));
    return out.ToStatus();
  }
}

absl::StatusOr<Topology> LoadTopology(const std::string& path) {
  std::string plain = absl::StartsWith(path, "file://") ? path.substr(7) : path;
  DiagnosticList out(plain);
  size_t scheme = plain.find("://");
  if (scheme != std::string::npos) {
    DiagnosticList named("--topology-config");
    named.Error({}, "must be a path or file://path; other places are not supported");
    return named.ToStatus();
  }
  std::ifstream file(plain, std::ios::binary);
  std::ostringstream text;
  errno = 0;
  if (!file.is_open() || !(text << file.rdbuf()) || file.bad()) {
    // An empty file sets failbit of text, but not errno.
    if (errno != 0) {
      out.Error({}, absl::StrCat("cannot be read: ", std::strerror(errno),
                                 "; name a readable file with --topology-config or "
                                 "TOPOLOGY_CONFIG"));
      return out.ToStatus();
    }
  }
  return ParseTopology(text.str(), plain);
}

}  // namespace storage
