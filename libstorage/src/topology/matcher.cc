#include "src/topology/matcher.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "src/topology/diagnostics.h"

namespace storage {
namespace {

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (absl::ascii_tolower(static_cast<unsigned char>(a[i])) !=
        absl::ascii_tolower(static_cast<unsigned char>(b[i]))) {
      return false;
    }
  }
  return true;
}

absl::StatusOr<std::shared_ptr<const RegexPattern>> Compile(const std::string& text) {
  if (text.empty()) return std::shared_ptr<const RegexPattern>();
  absl::StatusOr<std::unique_ptr<RegexPattern>> pattern = RegexPattern::Create(text);
  if (!pattern.ok()) return pattern.status();
  return std::shared_ptr<const RegexPattern>(*std::move(pattern));
}

// The first segment of the key behind base: the namespace of a namespaced kind.
std::string_view NamespaceOf(std::string_view base, std::string_view key) {
  if (key.substr(0, base.size()) != base) return "";
  key.remove_prefix(base.size());
  size_t slash = key.find('/');
  // A key that ends there is no namespaced object ("/registry/pods/x").
  return slash == std::string_view::npos ? std::string_view() : key.substr(0, slash);
}

const char* Does(bool matches) { return matches ? " matches " : " does not match "; }

}  // namespace

std::string_view WithoutRoot(const Resource& resource, std::string_view key) {
  if (key.substr(0, resource.root.size()) == resource.root) {
    key.remove_prefix(resource.root.size());
  } else if (!key.empty() && key[0] == '/') {
    key.remove_prefix(1);
  }
  return key;
}

std::string_view ResourcePath(const Resource& resource) {
  std::string_view path = WithoutRoot(resource, resource.key_prefix);
  if (!path.empty() && path.back() == '/') path.remove_suffix(1);
  return path;
}

absl::StatusOr<Matcher> Matcher::Create(const Rule& rule) {
  Matcher out(rule);
  if (rule.policy == Policy::kPrefix) out.prefix_.emplace(rule.prefix);
  if (rule.policy == Policy::kRegexp) {
    auto resource_re = Compile(rule.prefix);
    if (!resource_re.ok()) return resource_re.status();
    auto key_re = Compile(rule.key);
    if (!key_re.ok()) return key_re.status();
    out.resource_re_ = *std::move(resource_re);
    out.key_re_ = *std::move(key_re);
  }
  return out;
}

bool Matcher::KindListed(const Resource& resource) const {
  if (rule_.kinds.empty()) return true;
  for (const std::string& kind : rule_.kinds) {
    if (EqualsIgnoreCase(kind, resource.resource) || EqualsIgnoreCase(kind, resource.kind) ||
        EqualsIgnoreCase(kind, ResourcePath(resource))) {
      return true;
    }
  }
  return false;
}

Cover Matcher::ByResource(const Resource& resource) const {
  switch (rule_.policy) {
    case Policy::kPrefix:
      break;
    case Policy::kRegexp:
      if (resource_re_ != nullptr && !resource_re_->Matches(ResourcePath(resource))) {
        return Cover::kNone;
      }
      if (key_re_ == nullptr) return Cover::kAll;
      break;
    case Policy::kNamespace:
      if (resource.custom || !resource.namespaced || !KindListed(resource)) return Cover::kNone;
      break;
    case Policy::kCustomResource:
      if (!resource.custom || !EqualsIgnoreCase(rule_.group, resource.group)) return Cover::kNone;
      if (rule_.kind.empty() || EqualsIgnoreCase(rule_.kind, resource.resource) ||
          EqualsIgnoreCase(rule_.kind, resource.kind)) {
        return Cover::kAll;
      }
      return Cover::kNone;
  }
  return Cover::kSome;
}

Cover Matcher::Of(const Resource& resource) const {
  Cover decided = ByResource(resource);
  if (decided != Cover::kSome) return decided;
  std::string_view base = WithoutRoot(resource, resource.key_prefix);
  return OfKeys(base, base);
}

Cover Matcher::OfKeys(std::string_view base, std::string_view start) const {
  switch (rule_.policy) {
    case Policy::kPrefix:
      return prefix_->Of(start);
    case Policy::kRegexp:
      return key_re_ == nullptr ? Cover::kAll : key_re_->Of(start);
    case Policy::kNamespace:
      if (start.size() <= base.size()) return Cover::kSome;
      return NamespaceOf(base, start) == rule_.ns ? Cover::kAll : Cover::kNone;
    case Policy::kCustomResource:
      break;
  }
  return Cover::kNone;  // decided by the resource
}

bool Matcher::MatchesKey(std::string_view base, std::string_view key) const {
  switch (rule_.policy) {
    case Policy::kPrefix:
      return prefix_->Matches(key);
    case Policy::kRegexp:
      return key_re_ == nullptr || key_re_->Matches(key);
    case Policy::kNamespace:
      return NamespaceOf(base, key) == rule_.ns;
    case Policy::kCustomResource:
      break;
  }
  return false;  // decided by the resource
}

bool Matcher::Matches(const Resource& resource, std::string_view key) const {
  Cover decided = ByResource(resource);
  if (decided != Cover::kSome) return decided == Cover::kAll;
  return MatchesKey(WithoutRoot(resource, resource.key_prefix), WithoutRoot(resource, key));
}

std::string Matcher::ExplainNamespace(const Resource& resource, std::string_view key) const {
  if (resource.custom) {
    return "a custom resource is not subject to namespace rules; it needs a customresource rule";
  }
  if (!resource.namespaced) return "the kind is not namespaced";
  if (!KindListed(resource)) {
    return absl::StrCat(resource.resource, " is not among the kinds ",
                        absl::StrJoin(rule_.kinds, ", "));
  }
  std::string_view base = WithoutRoot(resource, resource.key_prefix);
  std::string_view bare = WithoutRoot(resource, key);
  return absl::StrCat("namespace ", Quote(NamespaceOf(base, bare)),
                      MatchesKey(base, bare) ? " is " : " is not ", Quote(rule_.ns));
}

std::string Matcher::ExplainRegexp(const Resource& resource, std::string_view key) const {
  std::string_view path = ResourcePath(resource);
  std::string_view bare = WithoutRoot(resource, key);
  std::string out;
  if (resource_re_ != nullptr) {
    bool matches = resource_re_->Matches(path);
    absl::StrAppend(&out, "prefix ", Quote(rule_.prefix), Does(matches), Quote(path));
    if (!matches) return out;
  }
  if (key_re_ != nullptr) {
    absl::StrAppend(&out, out.empty() ? "" : ", ", "key ", Quote(rule_.key),
                    Does(key_re_->Matches(bare)), Quote(bare));
  }
  return out;
}

std::string Matcher::ExplainCustom(const Resource& resource) const {
  if (!resource.custom) return "not a custom resource";
  bool matches = ByResource(resource) == Cover::kAll;
  if (!EqualsIgnoreCase(rule_.group, resource.group)) {
    return absl::StrCat("group ", Quote(resource.group), " is not ", Quote(rule_.group));
  }
  if (rule_.kind.empty()) return absl::StrCat("group is ", Quote(rule_.group));
  return absl::StrCat(Quote(resource.resource), " of group ", Quote(resource.group),
                      matches ? " is " : " is not ", Quote(rule_.kind));
}

std::string Matcher::Explain(const Resource& resource, std::string_view key) const {
  switch (rule_.policy) {
    case Policy::kPrefix:
      return absl::StrCat("prefix ", Quote(rule_.prefix), Does(Matches(resource, key)),
                          Quote(WithoutRoot(resource, key)));
    case Policy::kRegexp:
      return ExplainRegexp(resource, key);
    case Policy::kNamespace:
      return ExplainNamespace(resource, key);
    case Policy::kCustomResource:
      return ExplainCustom(resource);
  }
  return "";
}

}  // namespace storage
