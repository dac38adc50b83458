#include "src/engine/routes.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "src/engine/backends.h"

namespace storage {
namespace {

std::string MatchOf(const Rule& rule) {
  switch (rule.policy) {
    case Policy::kPrefix:
      return absl::StrCat("prefix ", rule.prefix);
    case Policy::kRegexp:
      return absl::StrCat("regexp prefix=", rule.prefix, " key=", rule.key);
    case Policy::kNamespace:
      return absl::StrCat("namespace ", rule.ns, " kinds=", absl::StrJoin(rule.kinds, ","));
    case Policy::kCustomResource:
      return absl::StrCat("customresource ", rule.group, "/", rule.kind);
  }
  return "";
}

RememberedPlace PlaceOf(const std::string& name, const Endpoint& endpoint, std::string match) {
  return {name, EndpointKindName(endpoint.kind),
          endpoint.path.empty() ? endpoint.redacted : endpoint.path, std::move(match)};
}

}  // namespace

std::vector<RememberedPlace> PlacesOf(const Router& router, const Endpoint& default_database) {
  std::vector<RememberedPlace> places;
  for (const Rule& rule : router.topology().rules) {
    places.push_back(PlaceOf(rule.name, rule.endpoint, MatchOf(rule)));
  }
  places.push_back(PlaceOf("default", default_database, "everything else"));
  return places;
}

std::string Routes::ToJson() const {
  nlohmann::json out = {{"places", nlohmann::json::array()},
                        {"resources", nlohmann::json::array()}};
  for (const RememberedPlace& place : places) {
    out["places"].push_back(
        {{"name", place.name}, {"kind", place.kind}, {"path", place.path}, {"match", place.match}});
  }
  for (const Resource& r : resources) {
    out["resources"].push_back({{"group", r.group},
                                {"resource", r.resource},
                                {"kind", r.kind},
                                {"root", r.root},
                                {"prefix", r.key_prefix},
                                {"namespaced", r.namespaced},
                                {"custom", r.custom}});
  }
  if (!objects.empty()) out["objects"] = objects;
  return out.dump();
}

absl::StatusOr<Routes> Routes::FromJson(const std::string& text) {
  Routes routes;
  if (text.empty()) return routes;
  // Of the right shape too: value() throws on any other.
  const nlohmann::json in = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  try {
    for (const nlohmann::json& place : in.at("places")) {
      routes.places.push_back({place.value("name", ""), place.value("kind", ""),
                               place.value("path", ""), place.value("match", "")});
    }
    for (const nlohmann::json& r : in.at("resources")) {
      routes.resources.push_back({r.value("group", ""), r.value("resource", ""),
                                  r.value("kind", ""), r.value("root", ""), r.value("prefix", ""),
                                  r.value("namespaced", false), r.value("custom", false)});
    }
    if (in.contains("objects")) in.at("objects").get_to(routes.objects);
  } catch (const nlohmann::json::exception&) {
    return MakeStatus(Code::kCorrupt,
                      "the remembered topology is damaged; restore a backup of the metadata store",
                      "metadata");
  }
  routes.known = true;
  return routes;
}

}  // namespace storage
