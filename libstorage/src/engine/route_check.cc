// Law: no rule change hides data. A topology that differs from the remembered
// one is compared with what is stored, before anything starts.
#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "src/backend/holder.h"
#include "src/engine/backends.h"
#include "src/engine/engine_impl.h"
#include "src/engine/routes.h"

namespace storage {
namespace {

constexpr char kRemedy[] =
    "; nothing was started. Put the rule back as it was, or move the objects with `stgctl migrate`";

std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

absl::Status Unlooked(const std::string& was, const std::string& name, const absl::Status& status) {
  return MakeStatus(CodeOf(status), absl::StrCat(was, "cannot be looked into: ", status.message()),
                    name, DriverCodeOf(status));
}

int64_t ObjectsIn(const BackendStats& stats) {
  int64_t objects = 0;
  for (const KindStats& kind : stats.kinds) objects += kind.objects;
  return objects;
}

}  // namespace

// With half of a migration done, neither the old rules nor the new ones find all objects.
absl::Status EngineImpl::LoadRoutes() {
  absl::StatusOr<Routes> remembered = Routes::FromJson(metadata_->found().topo);
  if (!remembered.ok()) return AtMetadata(remembered.status());
  routes_ = std::move(*remembered);
  if (routes_.migration.phase == MigrationRecord::Phase::kNone) return absl::OkStatus();
  return AtMetadata(MakeStatus(
      Code::kInvalid,
      "a migration of objects between databases is not over; nothing was started. Run `stgctl "
      "migrate` again, with the same topology: it goes on where it was",
      "metadata"));
}

absl::Status EngineImpl::CheckRoutes() {
  if (absl::Status status = LoadRoutes(); !status.ok()) return status;
  std::vector<RememberedPlace> places = PlacesOf(*router_, parts_.back().endpoint);
  routes_changed_ = routes_.known && routes_.places != places;
  if (routes_changed_) {
    for (const RememberedPlace& place : routes_.places) {
      const bool kept = std::any_of(places.begin(), places.end(), [&](const RememberedPlace& now) {
        return SameDatabase(now, place);
      });
      if (kept) continue;
      if (absl::Status status = CheckLeftOut(place); !status.ok()) return status;
    }
    for (const Resource& resource : routes_.resources) {
      if (absl::Status status = CheckStored(resource); !status.ok()) return status;
    }
  }
  routes_.places = std::move(places);
  routes_.objects.clear();  // they will change now
  routes_.began_on = several_ ? HostName() : "";
  routes_.joined = false;
  return absl::OkStatus();
}

void EngineImpl::RememberCounts() {
  for (const Part& part : parts_) {
    absl::StatusOr<BackendStats> stats = part.backend->Stats();
    if (stats.ok()) routes_.objects[part.name] = ObjectsIn(*stats);
  }
  // Without it the next start knows less, and refuses more.
  metadata_->SetTopology(owner_.gen, routes_.ToJson()).IgnoreError();
}

// A database on a server: its password is not remembered.
absl::Status EngineImpl::CheckLeftOutServer(const RememberedPlace& place) const {
  const auto counted = routes_.objects.find(place.name);
  const bool known = counted != routes_.objects.end();
  if (known && counted->second == 0) return absl::OkStatus();
  return MakeStatus(
      Code::kInvalid,
      absl::StrCat(
          TopologyFile(), ": rule \"", place.name, "\" (", place.match,
          ") is no longer there; its ", place.kind, " database ", place.path,
          known ? absl::StrCat(" held ", counted->second, " objects")
                : std::string(" may hold objects (the last server was not stopped in order)"),
          " which nobody could see", kRemedy,
          ", and stop the server in order, before the rule goes"),
      place.name);
}

// A database that the topology no longer names must be empty.
absl::Status EngineImpl::CheckLeftOut(const RememberedPlace& place) const {
  std::error_code error;
  if (place.kind != "sqlite") return CheckLeftOutServer(place);
  if (!std::filesystem::exists(place.path, error)) {
    Log(LogLevel::kWarning, absl::StrCat("the database of the former rule \"", place.name, "\", ",
                                         place.path, ", is not named any more and not there"));
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<Backend>> backend = OpenForInspection(place.name, place.path);
  const std::string was = absl::StrCat(TopologyFile(), ": rule \"", place.name, "\" (", place.match,
                                       ") is no longer there; its database ");
  if (!backend.ok()) return Unlooked(was, place.name, backend.status());
  absl::StatusOr<BackendStats> stats = (*backend)->Stats();
  if (!stats.ok()) return Unlooked(was, place.name, stats.status());
  const int64_t objects = ObjectsIn(*stats);
  if (objects == 0) return absl::OkStatus();
  return MakeStatus(
      Code::kInvalid,
      absl::StrCat(was, place.path, " holds ", objects, " objects which nobody could see", kRemedy),
      place.name);
}

// Every stored key of the resource must be where the new topology looks for it.
absl::Status EngineImpl::CheckStored(const Resource& resource) const {
  const std::unique_ptr<const ResourceRoute> route = router_->Bind(resource);
  const Range range{resource.key_prefix, PrefixEnd(resource.key_prefix)};
  for (size_t i = 0; i < parts_.size(); ++i) {
    absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = parts_[i].backend->OpenSnapshot();
    if (!snapshot.ok()) return AtPart(parts_[i], snapshot.status());
    int64_t misplaced = 0;
    std::string example;
    int now_at = 0;
    absl::Status status = (*snapshot)->List(range, 0, 0, [&](const Row& row) {
      const int place = route->Route(row.key);
      if (place == static_cast<int>(i)) return true;
      if (misplaced++ == 0) {
        example.assign(row.key);
        now_at = place;
      }
      return true;
    });
    if (!status.ok()) return AtPart(parts_[i], status);
    if (misplaced == 0) continue;
    return MakeStatus(Code::kInvalid,
                      absl::StrCat(PlaceOf(parts_[now_at]), " now claims ", misplaced,
                                   " objects of ", resource.key_prefix, " that are stored in \"",
                                   parts_[i].name, "\" (for example ", absl::CHexEscape(example),
                                   "), which would hide them", kRemedy),
                      parts_[i].name);
  }
  return absl::OkStatus();
}

// Called with mu_ held: a resource that was never seen is remembered before
// its first object can be written.
absl::Status EngineImpl::Remember(const Resource& resource) {
  const bool seen =
      std::any_of(routes_.resources.begin(), routes_.resources.end(),
                  [&](const Resource& known) { return known.key_prefix == resource.key_prefix; });
  if (seen) return absl::OkStatus();
  if (several_) return ShareResource(resource);
  routes_.resources.push_back(resource);
  absl::Status status = metadata_->SetTopology(owner_.gen, routes_.ToJson());
  if (!status.ok()) routes_.resources.pop_back();
  return status;
}

}  // namespace storage
