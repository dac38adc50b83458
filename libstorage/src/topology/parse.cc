// ParseTopology and LoadTopology: the file as a whole, and what must be unique
// in it. A rule: rule_parser.cc.
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/topology/diagnostics.h"
#include "src/topology/document.h"
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
  plain.reserve(rules.size());
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

void ParseDocument(const YAML::Node& document, std::vector<ParsedRule>* rules,
                   DiagnosticList* out) {
  if (document.IsNull()) {
    out->Error({1, 1}, absl::StrCat("the file is empty; ", kHowToBegin));
    return;
  }
  Fields top(document, MarkOf(document), "the file", {"backends"}, "backends: with a list of rules",
             out);
  if (!top.ok()) return;
  if (top.Lacks("backends")) {
    out->Error(top.place(), absl::StrCat("the field \"backends\" is missing; ", kHowToBegin));
  }
  if (top.Has("backends")) ParseBackends(top, rules, out);
}

absl::StatusOr<Topology> ParseOrThrow(std::string_view yaml, DiagnosticList* out) {
  std::vector<ParsedRule> rules;
  std::optional<YAML::Node> document = LoadDocument(std::string(yaml), out);
  if (document.has_value()) ParseDocument(*document, &rules, out);
  CheckNames(rules, out);
  CheckEndpoints(rules, out);
  if (out->has_errors()) return out->ToStatus();
  WarnShadowed(rules, out);
  Topology topology;
  for (ParsedRule& parsed : rules) topology.rules.push_back(std::move(parsed.rule));
  topology.warnings = out->Warnings();
  return topology;
}

// Reads at most one byte more than a topology may have. Answers an errno.
int ReadFile(const std::string& path, std::string* text) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                       &std::fclose);
  if (file == nullptr) return errno;
  text->resize(kMaxFileBytes + 1);
  errno = 0;
  text->resize(std::fread(text->data(), 1, text->size(), file.get()));
  return std::ferror(file.get()) != 0 ? (errno != 0 ? errno : EIO) : 0;
}

absl::StatusOr<Topology> ParseBytes(std::string_view yaml, DiagnosticList* out) {
  if (yaml.size() > kMaxFileBytes) {
    out->Error({}, absl::StrCat("the file has ", yaml.size(), " bytes; a topology has at most ",
                                kMaxFileBytes));
    return out->ToStatus();
  }
  try {
    return ParseOrThrow(yaml, out);
  } catch (const std::exception& e) {  // yaml-cpp's own, and std::bad_alloc
    out->Error({}, absl::StrCat("cannot be parsed: ", e.what()));
    return out->ToStatus();
  }
}

absl::StatusOr<Topology> LoadFile(const std::string& path, DiagnosticList* out) {
  std::string text;
  if (int error = ReadFile(path, &text); error != 0) {
    out->Error({}, absl::StrCat("cannot be read: ", std::strerror(error),
                                "; name a readable file with --topology-config or "
                                "TOPOLOGY_CONFIG"));
    return out->ToStatus();
  }
  return ParseBytes(text, out);
}

absl::Status CheckPath(const std::string& path, DiagnosticList* out) {
  if (path.empty()) {
    out->Error({},
               "the path is empty; name a file, or leave it out to keep every object in the "
               "default database");
    return out->ToStatus();
  }
  if (absl::StrContains(path, "://")) {
    out->Error({}, "must be a path or file://path; other places are not supported");
    return out->ToStatus();
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Topology> ParseTopology(std::string_view yaml, const std::string& file) {
  DiagnosticList out(file);
  return ParseBytes(yaml, &out);
}

absl::StatusOr<Topology> LoadTopology(const std::string& path, std::vector<Diagnostic>* all) {
  std::string plain = absl::StartsWith(path, "file://") ? path.substr(7) : path;
  DiagnosticList flag("--topology-config");
  DiagnosticList out(plain);
  absl::Status legal = CheckPath(plain, &flag);
  absl::StatusOr<Topology> topology = legal.ok() ? LoadFile(plain, &out) : legal;
  if (all != nullptr) *all = legal.ok() ? out.Sorted() : flag.Sorted();
  return topology;
}

}  // namespace storage
