#include "src/topology/shadow.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "src/topology/pattern.h"

namespace storage {
namespace {

// The two groups of kube-apiserver whose keys name their group although they
// are built in (apiextensions' CRDs and APIServices).
bool IsBuiltInGroup(const std::string& group) {
  return group == "apiextensions.k8s.io" || group == "apiregistration.k8s.io";
}

bool SameKind(const std::string& a, const std::string& b) {
  return absl::AsciiStrToLower(a) == absl::AsciiStrToLower(b);
}

// True when the expression (empty = not given) matches all such texts.
bool All(const std::string& expression, std::string_view start, Follow follow) {
  if (expression.empty()) return true;
  auto pattern = RegexPattern::Create(expression);
  return pattern.ok() && (*pattern)->MatchesAll(start, follow);
}

// The keys that a customresource rule can match all begin with this: the group,
// and the plural when `kind` is written as one (a Kind is not lower case).
std::string CustomStart(const Rule& rule) {
  if (rule.kind.empty() || absl::AsciiStrToLower(rule.kind) != rule.kind) return rule.group;
  return absl::StrCat(rule.group, "/", rule.kind);
}

bool PrefixCovers(const Rule& rule, const Rule& later) {
  PrefixPattern mine(rule.prefix);
  switch (later.policy) {
    case Policy::kPrefix:
      return mine.Covers(PrefixPattern(later.prefix));
    case Policy::kCustomResource:
      return mine.Covers(PrefixPattern(CustomStart(later)));
    case Policy::kRegexp:
    case Policy::kNamespace:
      break;
  }
  return mine.open() && mine.text().empty();  // "*" takes everything
}

// rule.prefix is tried on the resource's path, of which a prefix rule tells the
// first segment only; rule.key on keys, of which it tells the begin.
bool RegexpCoversPrefix(const Rule& rule, const PrefixPattern& later) {
  size_t slash = later.text().find('/');
  bool whole = slash == std::string::npos;
  Follow path_follow = whole && later.open() ? Follow::kAnything : Follow::kSegment;
  Follow key_follow = later.open() ? Follow::kAnything : Follow::kSegment;
  return All(rule.prefix, std::string_view(later.text()).substr(0, slash), path_follow) &&
         All(rule.key, later.text(), key_follow);
}

bool RegexpCovers(const Rule& rule, const Rule& later) {
  switch (later.policy) {
    case Policy::kPrefix:
      return RegexpCoversPrefix(rule, PrefixPattern(later.prefix));
    case Policy::kRegexp: {
      bool prefix = rule.prefix == later.prefix || All(rule.prefix, "", Follow::kAnything);
      bool key = rule.key == later.key || All(rule.key, "", Follow::kAnything);
      return prefix && key;
    }
    case Policy::kCustomResource: {
      std::string start = CustomStart(later);
      bool plural = start.size() > later.group.size();
      return All(rule.prefix, plural ? start : start + "/",
                 plural ? Follow::kNothing : Follow::kAnything) &&
             All(rule.key, start + "/", Follow::kAnything);
    }
    case Policy::kNamespace:
      break;
  }
  return All(rule.prefix, "", Follow::kAnything) && All(rule.key, "", Follow::kAnything);
}

bool NamespaceCovers(const Rule& rule, const Rule& later) {
  if (later.policy != Policy::kNamespace || later.ns != rule.ns) return false;
  if (rule.kinds.empty()) return true;
  if (later.kinds.empty()) return false;
  return std::all_of(later.kinds.begin(), later.kinds.end(), [&](const std::string& kind) {
    return std::any_of(rule.kinds.begin(), rule.kinds.end(),
                       [&](const std::string& mine) { return SameKind(mine, kind); });
  });
}

bool CustomCovers(const Rule& rule, const Rule& later) {
  if (later.policy == Policy::kCustomResource) {
    return SameKind(rule.group, later.group) &&
           (rule.kind.empty() || SameKind(rule.kind, later.kind));
  }
  if (later.policy == Policy::kPrefix && !IsBuiltInGroup(rule.group)) {
    return PrefixPattern(CustomStart(rule)).Covers(PrefixPattern(later.prefix)) &&
           (rule.kind.empty() || CustomStart(rule) != rule.group);
  }
  return false;
}

bool Covers(const Rule& rule, const Rule& later) {
  switch (rule.policy) {
    case Policy::kPrefix:
      return PrefixCovers(rule, later);
    case Policy::kRegexp:
      return RegexpCovers(rule, later);
    case Policy::kNamespace:
      return NamespaceCovers(rule, later);
    case Policy::kCustomResource:
      return CustomCovers(rule, later);
  }
  return false;
}

}  // namespace

int ShadowedBy(const std::vector<Rule>& rules, size_t index) {
  for (size_t i = 0; i < index; ++i) {
    if (Covers(rules[i], rules[index])) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace storage
