#include "src/engine/held_set.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "src/engine/backends.h"
#include "src/revision/epoch.h"

namespace storage {
namespace {

constexpr char kFallback[] = "sqlite://./libstorage.db";  // of the engine
constexpr char kSameSet[] =
    "; name the topology (--topology), the default database (--default) and the metadata store "
    "(--metadata) that the API server had when it ran last, and run it where that one ran";

absl::Status Invalid(std::string message, const std::string& backend = "") {
  return MakeStatus(Code::kInvalid, std::move(message), backend);
}

absl::Status Prefixed(const std::string& place, const absl::Status& status) {
  return MakeStatus(CodeOf(status), absl::StrCat(place, ": ", status.message()), BackendOf(status),
                    DriverCodeOf(status));
}

// Opening would make it.
bool IsMissing(const Endpoint& endpoint) {
  std::error_code error;
  return endpoint.kind == EndpointKind::kSqlite && !std::filesystem::exists(endpoint.path, error);
}

}  // namespace

std::string HeldSet::Database::label() const {
  const std::string what = rule == nullptr ? "the default database" : "\"" + name + "\"";
  return absl::StrCat(what, " (", endpoint.redacted, ")");
}

absl::Status HeldSet::At(const Database& database, const absl::Status& status) const {
  if (status.ok()) return status;
  return MakeStatus(CodeOf(status), absl::StrCat(database.label(), ": ", status.message()),
                    database.name, DriverCodeOf(status));
}

absl::StatusOr<std::unique_ptr<HeldSet>> HeldSet::Open(EngineOptions options) {
  std::unique_ptr<HeldSet> set(new HeldSet(std::move(options)));
  absl::Status status = set->ReadPlaces();
  if (status.ok()) status = set->OpenMetadataStore();
  if (status.ok()) status = set->OpenDatabases();
  if (status.ok()) status = set->CheckLanes();
  if (!status.ok()) return status;
  return set;
}

absl::Status HeldSet::ReadPlaces() {
  absl::StatusOr<Topology> topology =
      options_.topology_path.empty() ? Topology() : LoadTopology(options_.topology_path);
  if (!topology.ok()) return topology.status();
  absl::StatusOr<std::unique_ptr<Router>> router = Router::Create(*std::move(topology));
  if (!router.ok()) return router.status();
  router_ = *std::move(router);
  const std::string& text = options_.default_endpoint;
  absl::StatusOr<Endpoint> fallback = ParseEndpoint(text.empty() ? kFallback : text);
  if (!fallback.ok()) return Prefixed("--default", fallback.status());
  places_ = PlacesOf(*router_, *fallback);
  for (const Rule& rule : router_->topology().rules) {
    databases_.push_back({rule.name, rule.endpoint, &rule, nullptr, 0});
  }
  databases_.push_back({"default", *fallback, nullptr, nullptr, 0});
  metadata_endpoint_ = DefaultMetadataEndpoint(*fallback);
  if (options_.metadata_endpoint.empty()) return absl::OkStatus();
  absl::StatusOr<Endpoint> endpoint = ParseEndpoint(options_.metadata_endpoint);
  if (!endpoint.ok()) return Prefixed("--metadata", endpoint.status());
  metadata_endpoint_ = *std::move(endpoint);
  return absl::OkStatus();
}

absl::Status HeldSet::OpenMetadataStore() {
  const std::string place = absl::StrCat("the metadata store ", metadata_endpoint_.redacted);
  if (IsMissing(metadata_endpoint_)) return Invalid(absl::StrCat(place, " is not there", kSameSet));
  absl::StatusOr<std::unique_ptr<MetadataStore>> metadata =
      OpenMetadata(metadata_endpoint_, false, options_);
  if (CodeOf(metadata.status()) == Code::kBusy) {
    return Prefixed(
        "an API server of this topology runs, and would go on writing; stop all of them, there may "
        "be several",
        metadata.status());
  }
  if (!metadata.ok()) return Prefixed(place, metadata.status());
  metadata_ = *std::move(metadata);
  const MetaState& found = metadata_->found();
  if (found.unclaimed && !found.clean) {
    return Invalid(absl::StrCat(
        place,
        ": the last API server did not end in order, or still runs: it is of a version that held "
        "no claim in etcd, which would tell. Start an API server of this version once and stop "
        "it"));
  }
  absl::StatusOr<Routes> routes = Routes::FromJson(found.topo);
  if (!routes.ok()) return Prefixed(place, routes.status());
  return CheckRemembered(*routes);
}

// A database that is not named would be missing in what is read, and nobody would notice.
absl::Status HeldSet::CheckRemembered(const Routes& routes) const {
  const std::string place = absl::StrCat("the metadata store ", metadata_endpoint_.redacted);
  if (!routes.known) {
    return Invalid(
        absl::StrCat(place, " remembers no topology: no API server has used it", kSameSet));
  }
  if (routes.migration.phase != MigrationRecord::Phase::kNone) {
    return Invalid(
        "a migration is not over: run `stgctl migrate` again, to its end or with --abort");
  }
  if (SamePlaces(routes.places, places_)) return absl::OkStatus();
  for (const RememberedPlace& was : routes.places) {
    const bool named = std::any_of(places_.begin(), places_.end(), [&](const RememberedPlace& is) {
      return was.name == is.name && was.match == is.match && SameDatabase(was, is);
    });
    if (named) continue;
    return Invalid(absl::StrCat("the last API server kept \"", was.name, "\" (", was.match,
                                ") in the ", was.kind, " database ", was.path,
                                ", which is not so here", kSameSet));
  }
  return Invalid(absl::StrCat("the last API server had other rules than these", kSameSet));
}

absl::Status HeldSet::OpenDatabases() {
  for (size_t i = 0; i < databases_.size(); ++i) {
    Database& database = databases_[i];
    if (IsMissing(database.endpoint)) {
      return At(database, Invalid(absl::StrCat("is not there: mount its disk", kSameSet)));
    }
    absl::StatusOr<std::unique_ptr<Backend>> backend =
        OpenBackend(database.name, database.endpoint, database.rule, false, options_);
    if (!backend.ok()) return At(database, backend.status());
    database.backend = *std::move(backend);
    for (size_t other = 0; other < i; ++other) {
      if (databases_[other].backend->identity() != database.backend->identity()) continue;
      return At(database,
                Invalid(absl::StrCat("this is the same database as ", databases_[other].label())));
    }
  }
  return absl::OkStatus();
}

// What an API server would refuse to start on is not read either: another database, an
// older copy of one, copies that were made ahead of a migration.
absl::Status HeldSet::CheckLanes() {
  StartFacts facts;
  facts.meta = metadata_->found();
  facts.unix_seconds = absl::ToUnixSeconds(absl::Now());
  highest_ = facts.meta.reserved;
  for (Database& database : databases_) {
    absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = database.backend->OpenSnapshot();
    if (!snapshot.ok()) return At(database, snapshot.status());
    absl::StatusOr<BackendStats> stats = database.backend->Stats();
    if (!stats.ok()) return At(database, stats.status());
    LaneFacts lane;
    lane.name = database.name;
    lane.place = database.label();
    lane.identity = database.backend->identity();
    lane.lane = (*snapshot)->lane();
    lane.durable = database.backend->durable();
    for (const KindStats& kind : stats->kinds) lane.empty &= kind.objects == 0;
    database.ver = lane.lane.ver;
    highest_ = std::max(highest_, lane.lane.head);
    facts.lanes.push_back(std::move(lane));
  }
  return PlanStart(facts).status();
}

absl::StatusOr<Sum> HeldSet::Stored() const {
  Sum sum;
  for (const Database& database : databases_) {
    absl::StatusOr<BackendStats> stats = database.backend->Stats();
    if (!stats.ok()) return At(database, stats.status());
    for (const KindStats& kind : stats->kinds) {
      sum.objects += kind.objects;
      sum.bytes += kind.bytes;
    }
  }
  return sum;
}

absl::StatusOr<int64_t> HeldSet::Count(const Range& range) const {
  int64_t count = 0;
  for (const Database& database : databases_) {
    absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = database.backend->OpenSnapshot();
    if (!snapshot.ok()) return At(database, snapshot.status());
    absl::StatusOr<int64_t> one = (*snapshot)->Count(range, 0);
    if (!one.ok()) return At(database, one.status());
    count += *one;
  }
  return count;
}

absl::Status HeldSet::CheckUnchanged() const {
  for (const Database& database : databases_) {
    absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = database.backend->OpenSnapshot();
    if (!snapshot.ok()) return At(database, snapshot.status());
    if ((*snapshot)->lane().ver == database.ver) continue;
    return At(database, MakeStatus(Code::kUnavailable,
                                   "an API server wrote it meanwhile: stop it and run this again"));
  }
  return absl::OkStatus();
}

MergedRows::MergedRows(const HeldSet* set, const Range& range) : set_(set) {
  for (const HeldSet::Database& database : set->databases()) {
    sources_.push_back({&database, Pages(database.backend.get(), range), {}, 0, false});
  }
}

absl::Status MergedRows::Fill(Source* source) {
  if (source->done || source->at < source->page.size()) return absl::OkStatus();
  source->at = 0;
  absl::StatusOr<bool> more = source->pages.Next(&source->page);
  if (!more.ok()) return set_->At(*source->database, more.status());
  source->done = !*more;
  return absl::OkStatus();
}

absl::StatusOr<const OwnedRow*> MergedRows::Next() {
  if (last_ != nullptr) ++last_->at;
  last_ = nullptr;
  for (Source& source : sources_) {
    if (absl::Status status = Fill(&source); !status.ok()) return status;
    if (source.done) continue;
    const std::string& key = source.page[source.at].key;
    if (last_ != nullptr && key == last_->page[last_->at].key) {
      return MakeStatus(Code::kCorrupt,
                        absl::StrCat("the key ", absl::CHexEscape(key), " is in ",
                                     last_->database->label(), " and in ", source.database->label(),
                                     ": which of the two counts is not known"));
    }
    if (last_ == nullptr || key < last_->page[last_->at].key) last_ = &source;
  }
  return last_ == nullptr ? nullptr : &last_->page[last_->at];
}

}  // namespace storage
