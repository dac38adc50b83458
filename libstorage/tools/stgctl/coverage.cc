#include "tools/stgctl/coverage.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "src/backend/sqlite/options.h"
#include "src/engine/backends.h"
#include "tools/stgctl/infer.h"

namespace storage::stgctl {
namespace {

constexpr char kRoot[] = "/registry/";

std::string Words(const Rule& rule) {
  switch (rule.policy) {
    case Policy::kPrefix:
      return absl::StrCat("keys that begin with ", rule.prefix);
    case Policy::kRegexp:
      if (rule.key.empty()) return absl::StrCat("resources that match ", rule.prefix);
      if (rule.prefix.empty()) return absl::StrCat("keys that match ", rule.key);
      return absl::StrCat("resources that match ", rule.prefix, " with keys that match ", rule.key);
    case Policy::kNamespace:
      return absl::StrCat(rule.kinds.empty() ? "built-in objects" : absl::StrJoin(rule.kinds, ", "),
                          " of the namespace ", rule.ns);
    case Policy::kCustomResource:
      return absl::StrCat(rule.kind.empty() ? "custom resources" : rule.kind, " of the group ",
                          rule.group);
  }
  return "";
}

// "pods, secrets and 30 more".
std::string Some(const std::vector<std::string>& kinds) {
  constexpr size_t kShown = 4;
  if (kinds.size() <= kShown + 1) return absl::StrJoin(kinds, ", ");
  std::vector<std::string> shown(kinds.begin(), kinds.begin() + kShown);
  return absl::StrCat(absl::StrJoin(shown, ", "), " and ", kinds.size() - kShown, " more");
}

}  // namespace

std::vector<RuleCoverage> CoverageOf(const Router& router) {
  std::vector<RuleCoverage> out;
  for (const Rule& rule : router.topology().rules) out.push_back({rule.name, Words(rule), {}, {}});
  out.push_back({"default", "everything else", {}, {}});
  for (const KnownKind& known : KnownKinds()) {
    std::vector<int> reach = router.Reach(ToResource(known, kRoot));
    for (int backend : reach) {
      RuleCoverage& coverage = out[static_cast<size_t>(backend)];
      (reach.size() == 1 ? coverage.whole : coverage.part).push_back(known.path);
    }
  }
  return out;
}

std::vector<Diagnostic> NotesOf(const Router& router, const std::string& file) {
  std::vector<Diagnostic> out;
  const std::vector<Rule>& rules = router.topology().rules;
  const std::vector<RuleCoverage> coverage = CoverageOf(router);
  for (size_t i = 0; i < rules.size(); ++i) {
    // The rule splits what it takes a part of, unless an earlier rule took the
    // other part: then it gets the rest, and the note is at that rule.
    std::vector<std::string> split;
    for (const KnownKind& known : KnownKinds()) {
      std::vector<int> reach = router.Reach(ToResource(known, kRoot));
      bool here = std::find(reach.begin(), reach.end(), static_cast<int>(i)) != reach.end();
      if (here && reach.back() != static_cast<int>(i)) split.push_back(known.path);
    }
    if (split.empty()) continue;
    const bool one = split.size() == 1;
    out.push_back(
        {false, file, rules[i].line, rules[i].column,
         absl::StrCat("the rule \"", rules[i].name, "\" splits ", Some(split),
                      " over several databases: with the watch cache on, consistent lists of ",
                      one ? "this kind" : "these kinds",
                      " ask all of them, and one that is down stalls the lists. While one is down, "
                      "writes, GETs and (watch cache off) lists of a namespace kept in a healthy "
                      "one go on, the rest fails with 503 within 3 s. Kinds kept in one database "
                      "only are not affected by another")});
  }
  return out;
}

std::vector<Diagnostic> EndpointProblems(const Router& router, const std::string& file) {
  std::vector<Diagnostic> out;
  for (const Rule& rule : router.topology().rules) {
    if (rule.endpoint.kind != EndpointKind::kSqlite) continue;
    SqliteOptions options;
    options.name = rule.name;
    options.path = rule.endpoint.path;
    options.options = rule.endpoint.options;
    absl::StatusOr<sqlite::Settings> settings = sqlite::ParseOptions(options);
    if (settings.ok()) continue;
    out.push_back({true, file, rule.line, rule.column,
                   absl::StrCat("the rule \"", rule.name, "\": ", settings.status().message())});
  }
  return out;
}

}  // namespace storage::stgctl
