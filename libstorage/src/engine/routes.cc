#include "src/engine/routes.h"

#include <algorithm>
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

nlohmann::json PlacesToJson(const std::vector<RememberedPlace>& places) {
  nlohmann::json out = nlohmann::json::array();
  for (const RememberedPlace& place : places) {
    out.push_back(
        {{"name", place.name}, {"kind", place.kind}, {"path", place.path}, {"match", place.match}});
  }
  return out;
}

std::vector<RememberedPlace> PlacesFromJson(const nlohmann::json& in) {
  std::vector<RememberedPlace> places;
  for (const nlohmann::json& place : in) {
    places.push_back({place.value("name", ""), place.value("kind", ""), place.value("path", ""),
                      place.value("match", "")});
  }
  return places;
}

nlohmann::json MigrationToJson(const MigrationRecord& record) {
  nlohmann::json expected = nlohmann::json::array();
  for (const MigrationRecord::Expected& e : record.expected) {
    expected.push_back(
        {{"place", e.place}, {"collection", e.collection}, {"objects", e.objects}, {"sum", e.sum}});
  }
  return {{"phase", record.phase == MigrationRecord::Phase::kCopy ? "copy" : "discard"},
          {"others", PlacesToJson(record.others)},
          {"expected", std::move(expected)},
          {"ahead", record.ahead}};
}

MigrationRecord MigrationFromJson(const nlohmann::json& in) {
  MigrationRecord record;
  record.phase =
      in.at("phase") == "copy" ? MigrationRecord::Phase::kCopy : MigrationRecord::Phase::kDiscard;
  record.others = PlacesFromJson(in.at("others"));
  for (const nlohmann::json& e : in.at("expected")) {
    record.expected.push_back({e.at("place").get<std::string>(),
                               e.at("collection").get<std::string>(),
                               e.at("objects").get<int64_t>(), e.at("sum").get<uint64_t>()});
  }
  if (in.contains("ahead")) in.at("ahead").get_to(record.ahead);
  return record;
}

}  // namespace

bool SameDatabase(const RememberedPlace& a, const RememberedPlace& b) {
  if (a.kind != b.kind) return false;
  return a.path == b.path || (a.kind == "sqlite" && RealPath(a.path) == RealPath(b.path));
}

bool SamePlaces(const std::vector<RememberedPlace>& a, const std::vector<RememberedPlace>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const RememberedPlace& x, const RememberedPlace& y) {
                      return x.name == y.name && x.match == y.match && SameDatabase(x, y);
                    });
}

std::vector<RememberedPlace> PlacesOf(const Router& router, const Endpoint& default_database) {
  std::vector<RememberedPlace> places;
  for (const Rule& rule : router.topology().rules) {
    places.push_back(PlaceOf(rule.name, rule.endpoint, MatchOf(rule)));
  }
  places.push_back(PlaceOf("default", default_database, "everything else"));
  return places;
}

std::string Routes::ToJson() const {
  nlohmann::json out = {{"places", PlacesToJson(places)}, {"resources", nlohmann::json::array()}};
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
  if (!began_on.empty()) out["began_on"] = began_on;
  if (joined) out["joined"] = true;
  if (migration.phase != MigrationRecord::Phase::kNone) {
    out["migration"] = MigrationToJson(migration);
  }
  return out.dump();
}

absl::StatusOr<Routes> Routes::FromJson(const std::string& text) {
  Routes routes;
  if (text.empty()) return routes;
  // Of the right shape too: value() throws on any other.
  const nlohmann::json in = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  try {
    routes.places = PlacesFromJson(in.at("places"));
    for (const nlohmann::json& r : in.at("resources")) {
      routes.resources.push_back({r.value("group", ""), r.value("resource", ""),
                                  r.value("kind", ""), r.value("root", ""), r.value("prefix", ""),
                                  r.value("namespaced", false), r.value("custom", false)});
    }
    if (in.contains("objects")) in.at("objects").get_to(routes.objects);
    routes.began_on = in.value("began_on", "");
    routes.joined = in.value("joined", false);
    if (in.contains("migration")) routes.migration = MigrationFromJson(in.at("migration"));
  } catch (const nlohmann::json::exception&) {
    return MakeStatus(Code::kCorrupt,
                      "the remembered topology is damaged; restore a backup of the metadata store",
                      "metadata");
  }
  routes.known = true;
  return routes;
}

}  // namespace storage
