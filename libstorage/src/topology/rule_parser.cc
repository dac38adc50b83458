#include "src/topology/rule_parser.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace storage {
namespace {

// Names that the library gives to what no rule names.
bool IsReserved(const std::string& name) { return name == "default" || name == "metadata"; }

// The name beside `endpoint` (newer form) or inside the policy (older form).
void ParseName(const Fields& fields, const std::optional<std::string>& inner, bool inner_given,
               Mark inner_mark, ParsedRule* parsed, DiagnosticList* out) {
  std::optional<std::string> outer = fields.Text("name", "my-backend");
  if (outer.has_value() && inner.has_value() && *outer != *inner) {
    out->Error(inner_mark,
               absl::StrCat("the rule has two different names (the other on line ",
                            fields.ValueMark("name").line, "); keep the one beside \"endpoint\""));
  }
  if (fields.Lacks("name") && !inner_given) {
    out->Error(fields.place(),
               "the rule has no name; add name: beside \"endpoint\", like name: my-backend");
  }
  if (!outer.has_value() && !inner.has_value()) return;
  parsed->rule.name = outer.has_value() ? *outer : *inner;
  parsed->name = outer.has_value() ? fields.ValueMark("name") : inner_mark;
  if (!IsBackendName(parsed->rule.name)) {
    out->Error(parsed->name,
               "a name consists of letters, digits, \"-\", \"_\" and \".\", begins and ends with a "
               "letter or digit and has at most 63 characters; write name: my-backend");
    parsed->rule.name.clear();
  } else if (IsReserved(parsed->rule.name)) {
    out->Error(
        parsed->name,
        absl::StrCat("the name \"", parsed->rule.name, "\" is taken by the ", parsed->rule.name,
                     parsed->rule.name == "default" ? " database" : " store",
                     "; write another, like name: ", parsed->rule.name, "-objects"));
  }
}

void ParseRuleEndpoint(const Fields& fields, ParsedRule* parsed, DiagnosticList* out) {
  if (fields.Lacks("endpoint")) {
    out->Error(fields.place(),
               "the rule has no endpoint; add endpoint: with http://, https://, mysql://, "
               "postgres:// or sqlite://");
  }
  std::optional<std::string> text = fields.Text("endpoint", "sqlite://./db/name.db");
  if (!text.has_value()) return;
  parsed->endpoint = fields.ValueMark("endpoint");
  if (text->rfind("multi://", 0) == 0) {
    out->Error(parsed->endpoint,
               "multi:// is for the default database (--etcd-servers) only; write the endpoint "
               "without it");
    return;
  }
  absl::StatusOr<Endpoint> endpoint = ParseEndpoint(*text);
  if (!endpoint.ok()) {
    out->Error(parsed->endpoint, std::string(endpoint.status().message()));
    return;
  }
  parsed->rule.endpoint = *std::move(endpoint);
}

std::vector<std::string> KnownFields() {
  std::vector<std::string> known = {"name",   "endpoint",  "prefix",
                                    "regexp", "namespace", "customresource"};
  known.insert(known.end(), SettingNames().begin(), SettingNames().end());
  return known;
}

}  // namespace

bool IsBackendName(const std::string& name) {
  auto alnum = [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); };
  if (name.empty() || name.size() > 63 || !alnum(name.front()) || !alnum(name.back())) return false;
  for (char c : name) {
    if (!alnum(c) && c != '-' && c != '_' && c != '.') return false;
  }
  return true;
}

std::optional<ParsedRule> ParseRule(const YAML::Node& node, Mark place, DiagnosticList* out) {
  Fields fields(node, place, "a rule", KnownFields(),
                "- name: my-backend, endpoint: sqlite://./db/my.db and a policy under it", out);
  if (!fields.ok()) return std::nullopt;
  ParsedRule parsed;
  parsed.rule.line = place.line;
  parsed.rule.column = place.column;
  ParseRuleEndpoint(fields, &parsed, out);
  std::optional<std::string> inner;
  Mark inner_mark;
  bool policy = ParsePolicy(fields, &parsed.rule, &inner, &inner_mark, &parsed.policy, out);
  // Without a readable policy the name may stand in it: one error is enough.
  if (policy || fields.Has("name")) {
    ParseName(fields, inner, inner_mark.line > 0, inner_mark, &parsed, out);
  }
  ParseSettings(fields, &parsed.rule, out);
  return parsed;
}

}  // namespace storage
