#include "tools/stgctl/places.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "src/engine/backends.h"
#include "src/engine/routes.h"

namespace storage::stgctl {
namespace {

constexpr char kDefaultEndpoint[] = "sqlite://./libstorage.db";  // of the engine

absl::StatusOr<Endpoint> ParseFlag(const char* flag, const std::string& text) {
  absl::StatusOr<Endpoint> endpoint = ParseEndpoint(text);
  if (endpoint.ok()) return endpoint;
  return MakeStatus(CodeOf(endpoint.status()),
                    absl::StrCat(flag, ": ", endpoint.status().message()));
}

// The engine refuses the same at start; a copy of such a set would be wrong.
absl::Status CheckDistinct(const Places& places) {
  std::map<std::string, std::string> seen;
  // On a server the metadata store may lie beside the objects.
  if (places.metadata.endpoint.kind == EndpointKind::kSqlite) {
    seen.emplace(EndpointIdentity(places.metadata.endpoint), places.metadata.name);
  }
  for (const Place& place : places.backends) {
    auto [at, fresh] = seen.emplace(EndpointIdentity(place.endpoint), place.name);
    if (fresh) continue;
    return MakeStatus(Code::kInvalid,
                      absl::StrCat("\"", place.name, "\" and \"", at->second,
                                   "\" name the same database; give each one of its own"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Places> ResolvePlaces(const PlaceFlags& flags) {
  absl::StatusOr<Topology> topology =
      flags.topology.empty() ? Topology() : LoadTopology(flags.topology);
  if (!topology.ok()) return topology.status();
  absl::StatusOr<std::unique_ptr<Router>> router = Router::Create(*std::move(topology));
  if (!router.ok()) return router.status();
  absl::StatusOr<Endpoint> fallback = ParseFlag(
      "--default", flags.default_endpoint.empty() ? kDefaultEndpoint : flags.default_endpoint);
  if (!fallback.ok()) return fallback.status();

  Places places;
  places.topology = std::string(absl::StripPrefix(flags.topology, "file://"));
  places.router = *std::move(router);
  const std::vector<RememberedPlace> remembered = PlacesOf(*places.router, *fallback);
  for (const Rule& rule : places.router->topology().rules) {
    places.backends.push_back({rule.name, remembered[places.backends.size()].match, rule.endpoint});
  }
  places.backends.push_back({"default", remembered.back().match, *fallback});
  places.metadata = {"metadata", "", DefaultMetadataEndpoint(*fallback)};
  if (!flags.metadata_endpoint.empty()) {
    absl::StatusOr<Endpoint> metadata = ParseFlag("--metadata", flags.metadata_endpoint);
    if (!metadata.ok()) return metadata.status();
    places.metadata.endpoint = *std::move(metadata);
  }
  if (absl::Status status = CheckDistinct(places); !status.ok()) return status;
  return places;
}

absl::Status CheckFilesOnly(const Places& places) {
  for (const Place& place : places.backends) {
    if (place.endpoint.kind == EndpointKind::kSqlite) continue;
    return MakeStatus(
        Code::kInvalid,
        absl::StrCat("\"", place.name, "\" is kept in ", EndpointKindName(place.endpoint.kind),
                     " (", place.endpoint.redacted,
                     "); only SQLite files can be copied as a set. Copy that "
                     "database with its own tools while the API server is stopped"));
  }
  return absl::OkStatus();
}

}  // namespace storage::stgctl
