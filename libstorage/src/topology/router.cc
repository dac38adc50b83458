#include <utility>

#include "absl/strings/str_cat.h"
#include "src/topology/diagnostics.h"
#include "src/topology/matcher.h"
#include "src/topology/topology.h"

namespace storage {
namespace {

const char* PolicyName(Policy policy) {
  switch (policy) {
    case Policy::kPrefix:
      return "prefix";
    case Policy::kRegexp:
      return "regexp";
    case Policy::kNamespace:
      return "namespace";
    case Policy::kCustomResource:
      return "customresource";
  }
  return "";
}

// Only the rules that a key can still decide, in order, and what follows them.
class BoundRoute final : public ResourceRoute {
 public:
  BoundRoute(const std::vector<Matcher>& matchers, const Resource& resource)
      : resource_(resource), base_(WithoutRoot(resource_, resource_.key_prefix)) {
    last_ = static_cast<int>(matchers.size());
    for (size_t i = 0; i < matchers.size(); ++i) {
      Cover cover = matchers[i].Of(resource_);
      if (cover == Cover::kAll) {
        last_ = static_cast<int>(i);
        break;
      }
      if (cover == Cover::kNone) continue;
      undecided_.emplace_back(static_cast<int>(i), &matchers[i]);
      reach_.push_back(static_cast<int>(i));
    }
    reach_.push_back(last_);
  }

  const std::vector<int>& reach() const override { return reach_; }

  std::vector<int> ReachBelow(std::string_view start) const override {
    std::vector<int> reach;
    const std::string_view bare = WithoutRoot(resource_, start);
    for (const auto& [index, matcher] : undecided_) {
      const Cover cover = matcher->OfKeys(base_, bare);
      if (cover == Cover::kNone) continue;
      reach.push_back(index);
      if (cover == Cover::kAll) return reach;
    }
    reach.push_back(last_);
    return reach;
  }

  int Route(std::string_view key) const override {
    if (undecided_.empty()) return last_;
    std::string_view bare = WithoutRoot(resource_, key);
    for (const auto& [index, matcher] : undecided_) {
      if (matcher->MatchesKey(base_, bare)) return index;
    }
    return last_;
  }

 private:
  Resource resource_;
  std::string_view base_;  // of resource_
  std::vector<std::pair<int, const Matcher*>> undecided_;
  std::vector<int> reach_;
  int last_ = 0;
};

class RouterImpl final : public Router {
 public:
  RouterImpl(Topology topology, std::vector<Matcher> matchers)
      : topology_(std::move(topology)), matchers_(std::move(matchers)) {}

  const Topology& topology() const override { return topology_; }

  std::vector<int> Reach(const Resource& resource) const override {
    return BoundRoute(matchers_, resource).reach();
  }

  int Route(const Resource& resource, std::string_view key) const override {
    for (size_t i = 0; i < matchers_.size(); ++i) {
      if (matchers_[i].Matches(resource, key)) return static_cast<int>(i);
    }
    return static_cast<int>(matchers_.size());
  }

  std::unique_ptr<const ResourceRoute> Bind(const Resource& resource) const override {
    return std::make_unique<BoundRoute>(matchers_, resource);
  }

  std::vector<std::string> Explain(const Resource& resource, std::string_view key) const override {
    std::vector<std::string> out;
    for (const Matcher& matcher : matchers_) {
      const Rule& rule = matcher.rule();
      bool matches = matcher.Matches(resource, key);
      out.push_back(absl::StrCat(
          "rule \"", rule.name, "\" (line ", rule.line, ", ", PolicyName(rule.policy),
          matches ? ") matches: " : ") does not: ", matcher.Explain(resource, key), "."));
      if (matches) return out;
    }
    out.push_back(matchers_.empty() ? "there are no rules: the default database."
                                    : "no rule matches: the default database.");
    return out;
  }

 private:
  Topology topology_;
  std::vector<Matcher> matchers_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> Router::Create(Topology topology) {
  std::vector<Matcher> matchers;
  matchers.reserve(topology.rules.size());
  for (const Rule& rule : topology.rules) {
    absl::StatusOr<Matcher> matcher = Matcher::Create(rule);
    if (!matcher.ok()) {
      return MakeStatus(Code::kInvalid, absl::StrCat("rule \"", rule.name, "\" (line ", rule.line,
                                                     "): ", matcher.status().message()));
    }
    matchers.push_back(*std::move(matcher));
  }
  return std::unique_ptr<Router>(
      std::make_unique<RouterImpl>(std::move(topology), std::move(matchers)));
}

}  // namespace storage
