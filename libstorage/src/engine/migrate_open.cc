// What a migration needs open: the metadata store, which remembers the topology of
// before, and every database of the old topology and the new one.
#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/engine/backends.h"
#include "src/engine/migrate.h"

namespace storage {
namespace {

using Phase = MigrationRecord::Phase;

constexpr char kFallback[] = "sqlite://./libstorage.db";  // of the engine

absl::Status Invalid(std::string message, const std::string& backend = "") {
  return MakeStatus(Code::kInvalid, std::move(message), backend);
}

absl::Status Prefixed(const std::string& place, const absl::Status& status) {
  return MakeStatus(CodeOf(status), absl::StrCat(place, ": ", status.message()), BackendOf(status),
                    DriverCodeOf(status));
}

absl::StatusOr<Topology> Parse(const std::string& text, const std::string& path) {
  if (!text.empty()) return ParseTopology(text, path.empty() ? "topology" : path);
  return path.empty() ? Topology() : LoadTopology(path);
}

RememberedPlace PlaceOf(const Endpoint& endpoint) {
  return {"", EndpointKindName(endpoint.kind),
          endpoint.path.empty() ? endpoint.redacted : endpoint.path, ""};
}

absl::StatusOr<Endpoint> DefaultDatabase(const std::string& text, const char* what) {
  absl::StatusOr<Endpoint> endpoint = ParseEndpoint(text.empty() ? kFallback : text);
  return endpoint.ok() ? endpoint : Prefixed(what, endpoint.status());
}

bool HasFile(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

}  // namespace

// A migration is as durable as can be, whatever the database is set to: the old copy
// goes when the new one is there.
absl::Status Migration::OpenDatabase(Database* database) {
  for (const char* relaxed : {"_sync", "_synchronous"}) database->endpoint.options.erase(relaxed);
  // A server has a file locked; beside it one may read.
  const bool read_only = IsSource(*database) && database->endpoint.kind == EndpointKind::kSqlite;
  absl::StatusOr<std::unique_ptr<Backend>> backend =
      read_only
          ? OpenForInspection(database->name, database->endpoint.path)
          : OpenBackend(database->name, database->endpoint, database->rule, false, options_.engine);
  if (!backend.ok()) return At(*database, backend.status());
  database->backend = *std::move(backend);
  if (options_.engine.wrap_backend_for_test != nullptr) {
    database->backend = options_.engine.wrap_backend_for_test(std::move(database->backend));
  }
  return absl::OkStatus();
}

// Of a run ahead: what API servers use at this moment, which is only read.
bool Migration::IsSource(const Database& database) const {
  return options_.ahead && (database.old_place >= 0 || !database.in_new);
}

absl::Status Migration::OpenMetadataStore() {
  const EngineOptions& engine = options_.engine;
  absl::StatusOr<Topology> topology = Parse(engine.topology_text, engine.topology_path);
  if (!topology.ok()) return topology.status();
  absl::StatusOr<std::unique_ptr<Router>> router = Router::Create(*std::move(topology));
  if (!router.ok()) return router.status();
  router_ = *std::move(router);
  absl::StatusOr<Endpoint> fallback = DefaultDatabase(engine.default_endpoint, "--default");
  if (!fallback.ok()) return fallback.status();
  new_places_ = PlacesOf(*router_, *fallback);
  for (const Rule& rule : router_->topology().rules) {
    databases_.push_back({rule.name, rule.endpoint, &rule});
  }
  databases_.push_back({"default", *fallback, nullptr});
  metadata_endpoint_ = DefaultMetadataEndpoint(*fallback);
  if (!engine.metadata_endpoint.empty()) {
    absl::StatusOr<Endpoint> endpoint = ParseEndpoint(engine.metadata_endpoint);
    if (!endpoint.ok()) return Prefixed("--metadata", endpoint.status());
    metadata_endpoint_ = *std::move(endpoint);
  }
  const std::string place = absl::StrCat("the metadata store ", metadata_endpoint_.redacted);
  constexpr char kRemedy[] =
      "; name the store that the API server uses with --metadata (without it, it is looked for "
      "beside the default database, --default)";
  // Not to be made by mistake.
  if (metadata_endpoint_.kind == EndpointKind::kSqlite && !HasFile(metadata_endpoint_.path)) {
    return Invalid(absl::StrCat(place, " is not there", kRemedy));
  }
  absl::Status opened = options_.ahead ? PeekAtMetadata() : ClaimMetadata();
  if (!opened.ok()) return CodeOf(opened) == Code::kBusy ? opened : Prefixed(place, opened);
  absl::StatusOr<Routes> routes = Routes::FromJson(found_.topo);
  if (!routes.ok()) return Prefixed(place, routes.status());
  routes_ = *std::move(routes);
  if (routes_.known) return absl::OkStatus();
  return Invalid(absl::StrCat(place, " remembers no topology: no API server has used it", kRemedy));
}

absl::Status Migration::PeekAtMetadata() {
  absl::StatusOr<MetaState> found = PeekMetadata(metadata_endpoint_, options_.engine);
  if (found.ok()) found_ = *std::move(found);
  return found.status();
}

// For nobody but us, also where servers share: BUSY while one of them runs.
absl::Status Migration::ClaimMetadata() {
  absl::StatusOr<std::unique_ptr<MetadataStore>> metadata =
      OpenMetadata(metadata_endpoint_, false, options_.engine);
  if (CodeOf(metadata.status()) == Code::kBusy) {
    return Prefixed(
        "nothing is moved while an API server of this topology runs; stop all of them, there may "
        "be several",
        metadata.status());
  }
  if (!metadata.ok()) return metadata.status();
  metadata_ = *std::move(metadata);
  found_ = metadata_->found();
  return absl::OkStatus();
}

// Which topology we come from, and whether this one is the one we were going to.
absl::Status Migration::CheckTarget() {
  const bool discards = record().phase == Phase::kDiscard;
  old_places_ = discards ? record().others : routes_.places;
  const std::vector<RememberedPlace>& target = discards ? routes_.places : record().others;
  if (options_.ahead && resumes()) {
    return Invalid(
        "a migration is not over, so that nothing can be copied ahead of it: run it again, without "
        "--ahead, to its end or with --abort");
  }
  if (record().phase == Phase::kNone) {
    const bool stopped = found_.clean || options_.server_stopped || options_.ahead;
    if (!found_.unclaimed || stopped) return absl::OkStatus();
    return Invalid(
        "the last API server did not end in order, or still runs: it is of a version that held no "
        "claim on a metadata store in etcd, which would tell. Stop every API server of this "
        "topology, then add --server-stopped");
  }
  if (SamePlaces(target, new_places_)) return absl::OkStatus();
  return Invalid(absl::StrCat(
      "a migration to another topology is not over: run it again with that one",
      discards ? "" : ", to its end or with --abort", ", and migrate to this one afterwards"));
}

absl::Status Migration::OpenDatabases() {
  for (Database& database : databases_) {
    database.in_new = true;
    const RememberedPlace now = PlaceOf(database.endpoint);
    for (size_t i = 0; i < old_places_.size(); ++i) {
      if (SameDatabase(now, old_places_[i])) database.old_place = static_cast<int>(i);
    }
  }
  absl::StatusOr<Topology> old = Parse(options_.old_topology_text, options_.old_topology_path);
  if (!old.ok()) return old.status();
  old_topology_ = *std::move(old);
  if (!options_.old_default_endpoint.empty()) {
    auto fallback = DefaultDatabase(options_.old_default_endpoint, "--old-default");
    if (!fallback.ok()) return fallback.status();
    old_default_ = *std::move(fallback);
  }
  if (absl::Status status = AddLeftOut(); !status.ok()) return status;
  for (size_t i = 0; i < databases_.size(); ++i) {
    Database& database = databases_[i];
    if (absl::Status status = OpenDatabase(&database); !status.ok()) return status;
    for (size_t other = 0; other < i; ++other) {
      if (databases_[other].backend->identity() != database.backend->identity()) continue;
      return At(database,
                Invalid(absl::StrCat("this is the same database as ", databases_[other].label(),
                                     "; write its endpoint the same way in both")));
    }
  }
  return absl::OkStatus();
}

// Databases of before that the new topology does not name.
absl::Status Migration::AddLeftOut() {
  for (size_t i = 0; i < old_places_.size(); ++i) {
    const RememberedPlace& place = old_places_[i];
    const bool named = std::any_of(databases_.begin(), databases_.end(), [&](const Database& d) {
      return d.old_place == static_cast<int>(i);
    });
    if (named) continue;
    const auto counted = routes_.objects.find(place.name);
    const bool empty = counted != routes_.objects.end() && counted->second == 0;
    if (place.kind == "sqlite" && !HasFile(place.path)) {
      if (empty || record().phase == Phase::kDiscard) continue;
      return Invalid(
          absl::StrCat("the database of the former rule \"", place.name, "\", ", place.path,
                       ", is not there: mount its disk, or run from the directory that "
                       "the API server runs in"),
          place.name);
    }
    absl::StatusOr<Database> database = OldDatabase(place);
    // Nothing is to be had from it, so its password need not be known.
    if (!database.ok() && empty) continue;
    if (!database.ok()) return database.status();
    database->old_place = static_cast<int>(i);
    databases_.push_back(*std::move(database));
  }
  return absl::OkStatus();
}

// With the settings of its rule: TLS, for one.
absl::StatusOr<Migration::Database> Migration::OldDatabase(const RememberedPlace& place) const {
  for (const Rule& rule : old_topology_.rules) {
    if (SameDatabase(PlaceOf(rule.endpoint), place))
      return Database{place.name, rule.endpoint, &rule};
  }
  if (old_default_.has_value() && SameDatabase(PlaceOf(*old_default_), place)) {
    return Database{place.name, *old_default_, nullptr};
  }
  if (place.kind == "sqlite") {
    absl::StatusOr<Endpoint> file = ParseEndpoint(absl::StrCat("sqlite://", place.path));
    if (!file.ok()) return file.status();
    return Database{place.name, *std::move(file), nullptr};
  }
  return Invalid(absl::StrCat("the ", place.kind, " database ", place.path, " of the former ",
                              place.name == "default" ? "default" : "rule \"" + place.name + "\"",
                              " is not in the new topology, and its password is not remembered: "
                              "give the topology of before with --old (for the default database, "
                              "--old-default)"),
                 place.name);
}

}  // namespace storage
