// One rule, ready to be asked. Immutable after Create: thread-safe.
#ifndef LIBSTORAGE_SRC_TOPOLOGY_MATCHER_H_
#define LIBSTORAGE_SRC_TOPOLOGY_MATCHER_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "src/base/status.h"
#include "src/topology/pattern.h"
#include "src/topology/topology.h"

namespace storage {

// The key without the storage root: what users write in rules.
std::string_view WithoutRoot(const Resource& resource, std::string_view key);
// "pods", "services/specs", "stable.example.com/shirts": the key up to and
// including the resource, without the root.
std::string_view ResourcePath(const Resource& resource);

class Matcher {
 public:
  static absl::StatusOr<Matcher> Create(const Rule& rule);

  const Rule& rule() const { return rule_; }
  // How many of the resource's keys the rule takes.
  Cover Of(const Resource& resource) const;
  // Of() said kSome: how many of the keys that begin with start, which ends in '/'
  // (without the root), does the rule take? base is the resource's key prefix without
  // the root.
  Cover OfKeys(std::string_view base, std::string_view start) const;
  // Of() said kSome: does the rule take this key (without the root)?
  bool MatchesKey(std::string_view base, std::string_view key) const;
  bool Matches(const Resource& resource, std::string_view key) const;
  // "prefix "pods" does not match "secrets/a"".
  std::string Explain(const Resource& resource, std::string_view key) const;

 private:
  explicit Matcher(const Rule& rule) : rule_(rule) {}
  // What the resource alone decides: kNone, kAll, or kSome = ask the key.
  Cover ByResource(const Resource& resource) const;
  bool KindListed(const Resource& resource) const;
  std::string ExplainNamespace(const Resource& resource, std::string_view key) const;
  std::string ExplainRegexp(const Resource& resource, std::string_view key) const;
  std::string ExplainCustom(const Resource& resource) const;

  Rule rule_;
  std::optional<PrefixPattern> prefix_;
  std::shared_ptr<const RegexPattern> resource_re_, key_re_;  // null = not given
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_TOPOLOGY_MATCHER_H_
