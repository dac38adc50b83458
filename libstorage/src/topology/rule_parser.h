// One item of `backends:` into a Rule.
#ifndef LIBSTORAGE_SRC_TOPOLOGY_RULE_PARSER_H_
#define LIBSTORAGE_SRC_TOPOLOGY_RULE_PARSER_H_

#include <yaml-cpp/yaml.h>

#include <optional>

#include "src/topology/diagnostics.h"
#include "src/topology/fields.h"
#include "src/topology/topology.h"

namespace storage {

struct ParsedRule {
  Rule rule;
  Mark name, endpoint, policy;  // for diagnostics that compare rules
};

// nullopt: the rule has an error, which was reported.
std::optional<ParsedRule> ParseRule(const YAML::Node& node, Mark place, DiagnosticList* out);

// The four policies (rule_policy.cc). Reads the name inside into *inner_name.
// False: reported.
bool ParsePolicy(const Fields& rule_fields, Rule* rule, std::optional<std::string>* inner_name,
                 Mark* inner_mark, Mark* policy_mark, DiagnosticList* out);

// backendTLS, connectionPool and compact* (rule_settings.cc).
void ParseSettings(const Fields& rule_fields, Rule* rule, DiagnosticList* out);
const std::vector<std::string>& SettingNames();

// "pods": the plain words that names and examples are made of.
bool IsBackendName(const std::string& name);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_TOPOLOGY_RULE_PARSER_H_
