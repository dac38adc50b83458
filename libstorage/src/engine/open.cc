// Starting an engine: databases, locks, the start plan of src/revision/epoch,
// threads. The order matters: nothing is published before every lane is ours.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/engine/backends.h"
#include "src/engine/engine_impl.h"
#include "src/revision/ahead.h"

namespace storage {
namespace {

constexpr char kDefaultEndpoint[] = "sqlite://./libstorage.db";
constexpr char kDefaultName[] = "default";
constexpr int kCatchUpThreads = 2;

absl::Status InFlag(const char* flag, const absl::Status& status) {
  return MakeStatus(CodeOf(status), absl::StrCat(flag, ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Open(const EngineOptions& options) {
  auto engine = std::make_unique<EngineImpl>(options);
  if (absl::Status status = engine->Start(); !status.ok()) return status;
  return std::unique_ptr<Engine>(std::move(engine));
}

void EngineImpl::Log(LogLevel level, std::string message) const {
  if (options_.logger != nullptr) options_.logger->Log(level, std::move(message));
}

absl::Status EngineImpl::Start() {
  if (absl::Status status = OpenParts(); !status.ok()) return status;
  absl::StatusOr<StartFacts> facts = Gather();
  if (!facts.ok()) return facts.status();
  if (several_ && metadata_->shared()->joined()) {
    absl::StatusOr<bool> joined = Join(&*facts);
    if (!joined.ok()) return joined.status();
    if (*joined) return absl::OkStatus();
  }
  // Copies would be counted as objects that the rules hide.
  for (size_t i = 0; i < parts_.size(); ++i) {
    const LaneFacts& lane = facts->lanes[i];
    absl::Status status = CheckNotAhead(lane.lane, lane.place, lane.name);
    if (!status.ok()) return AtPart(parts_[i], status);
  }
  // Before the start plan, which takes a rule's new database for a lost old one.
  if (absl::Status status = CheckRoutes(); !status.ok()) return status;
  absl::StatusOr<StartPlan> plan = PlanStart(*facts);
  if (!plan.ok()) {
    for (const Part& part : parts_) {
      if (part.name == BackendOf(plan.status())) return AtPart(part, plan.status());
    }
    return plan.status();
  }
  if (plan->jump) {
    Log(LogLevel::kWarning,
        absl::StrCat("new revision history from ", plan->rev, ": ", plan->reason,
                     "; older resource versions answer 410 Gone"));
  }
  return Adopt(*plan, *facts);
}

absl::Status EngineImpl::OpenParts() {
  Topology topology;
  absl::StatusOr<Topology> parsed = Topology();
  if (!options_.topology_text.empty()) {
    parsed = ParseTopology(options_.topology_text, TopologyFile());
  } else if (!options_.topology_path.empty()) {
    parsed = LoadTopology(options_.topology_path);
  }
  if (!parsed.ok()) return parsed.status();
  for (const Diagnostic& warning : parsed->warnings) Log(LogLevel::kWarning, warning.ToString());
  absl::StatusOr<std::unique_ptr<Router>> router = Router::Create(std::move(*parsed));
  if (!router.ok()) return router.status();
  router_ = std::move(*router);

  const std::string& text = options_.default_endpoint;
  absl::StatusOr<Endpoint> fallback = ParseEndpoint(text.empty() ? kDefaultEndpoint : text);
  if (!fallback.ok()) return InFlag("--etcd-servers", fallback.status());
  metadata_endpoint_ = DefaultMetadataEndpoint(*fallback);
  if (!options_.metadata_endpoint.empty()) {
    absl::StatusOr<Endpoint> endpoint = ParseEndpoint(options_.metadata_endpoint);
    if (!endpoint.ok()) return InFlag("--metadata-store", endpoint.status());
    metadata_endpoint_ = std::move(*endpoint);
  }
  for (const Rule& rule : router_->topology().rules) {
    parts_.push_back({rule.name, rule.endpoint, &rule, nullptr, nullptr});
  }
  parts_.push_back({kDefaultName, std::move(*fallback), nullptr, nullptr, nullptr});
  if (absl::Status status = CheckPlaces(); !status.ok()) return status;

  // The metadata store first: its lock is what makes this the one process, or one of
  // those that share.
  if (absl::Status status = OpenMetadataStore(); !status.ok()) return status;
  for (Part& part : parts_) {
    absl::StatusOr<std::unique_ptr<Backend>> backend =
        OpenBackend(part.name, part.endpoint, part.rule, several_, options_);
    if (!backend.ok()) return AtPart(part, backend.status());
    if (absl::Status own = CheckOwnDatabase(part, **backend); !own.ok()) return AtPart(part, own);
    part.backend = std::move(*backend);
    if (options_.wrap_backend_for_test != nullptr) {
      part.backend = options_.wrap_backend_for_test(std::move(part.backend));
    }
  }
  return absl::OkStatus();
}

// A server has many names: two lanes in one database would never agree. Of files
// CheckPlaces knows; a copy of one has its identity, which the start plan refuses.
absl::Status EngineImpl::CheckOwnDatabase(const Part& part, const Backend& opened) const {
  if (part.endpoint.kind == EndpointKind::kSqlite) return absl::OkStatus();
  for (const Part& other : parts_) {
    if (other.backend == nullptr || other.backend->identity() != opened.identity()) continue;
    return MakeStatus(Code::kInvalid,
                      absl::StrCat("this is the same database as that of ", PlaceOf(other),
                                   "; give each a database of its own"));
  }
  return absl::OkStatus();
}

absl::StatusOr<StartFacts> EngineImpl::Gather() {
  StartFacts facts;
  facts.meta = metadata_->found();
  facts.restored = options_.restored;
  facts.unix_seconds = absl::ToUnixSeconds(absl::Now());
  for (const Part& part : parts_) {
    absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = part.backend->OpenSnapshot();
    if (!snapshot.ok()) return AtPart(part, snapshot.status());
    absl::StatusOr<BackendStats> stats = part.backend->Stats();
    if (!stats.ok()) return AtPart(part, stats.status());
    LaneFacts lane;
    lane.name = part.name;
    lane.place = part.endpoint.path.empty() ? part.endpoint.redacted : part.endpoint.path;
    lane.identity = part.backend->identity();
    lane.lane = (*snapshot)->lane();
    lane.durable = part.backend->durable();
    for (const KindStats& kind : stats->kinds) lane.empty &= kind.objects == 0;
    facts.lanes.push_back(std::move(lane));
  }
  // Behind the lanes: a server that lost its claim may have written since the store was
  // opened, and would make it look older than they are.
  if (several_) {
    const absl::StatusOr<Numbers> numbers = metadata_->shared()->ReadNumbers();
    if (!numbers.ok()) return AtMetadata(numbers.status());
    facts.meta.reserved = std::max(facts.meta.reserved, numbers->rev);
  }
  return facts;
}

// Fences every lane with our epoch, voids what may be in flight, then opens M.
absl::Status EngineImpl::Adopt(const StartPlan& plan, const StartFacts& facts) {
  absl::StatusOr<int64_t> epoch = metadata_->Start();
  if (!epoch.ok()) return AtMetadata(epoch.status());
  int64_t rev = plan.rev;
  if (several_) {  // what was handed out before the epoch began
    const absl::StatusOr<Numbers> numbers = metadata_->shared()->ReadNumbers();
    if (!numbers.ok()) return AtMetadata(numbers.status());
    rev = std::max(rev, numbers->rev);
  }
  const MetaState& found = metadata_->found();
  owner_.m_id = found.m_id;
  owner_.epoch = *epoch;
  owner_.gen = std::max<int64_t>(1, found.topo_version + (routes_changed_ ? 1 : 0));
  std::vector<Lane> lanes;
  std::map<std::string, BackendMark> marks;
  for (size_t i = 0; i < parts_.size(); ++i) {
    Backend& backend = *parts_[i].backend;
    auto change = [&](auto&& body) -> absl::Status {
      absl::StatusOr<std::unique_ptr<LaneTxn>> txn = backend.BeginLane();
      if (!txn.ok()) return txn.status();
      if (absl::Status status = body(**txn); !status.ok()) return status;
      return (*txn)->Commit();
    };
    absl::Status status = change([&](LaneTxn& txn) -> absl::Status {
      // Somebody may have begun to fill it since we looked.
      absl::Status own = CheckNotAhead(txn.lane(), facts.lanes[i].place, parts_[i].name);
      return own.ok() ? txn.Adopt(owner_, plan.adopt_jump[i]) : own;
    });
    // With several servers readers of one lane go by its own numbers: none may be lower
    // than what was shown before.
    if (status.ok() && (plan.void_lanes || routes_changed_ || several_)) {
      status = change([&](LaneTxn& txn) { return txn.Void(owner_, rev); });
    }
    // Keys may have changed lanes: the history of either tells only half.
    if (status.ok() && routes_changed_) {
      status = change([&](LaneTxn& txn) { return txn.RaiseFloor(owner_, rev); });
    }
    if (!status.ok()) return AtPart(parts_[i], status);
    absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = backend.OpenSnapshot();
    if (!snapshot.ok()) return AtPart(parts_[i], snapshot.status());
    lanes.push_back((*snapshot)->lane());
    marks[parts_[i].name] = {facts.lanes[i].identity, lanes.back().head};
  }
  const int64_t ahead = several_ ? 0 : BlockSequencer::kBlock;
  if (absl::Status status = metadata_->Reserve(rev + ahead, marks); !status.ok()) {
    return AtMetadata(status);
  }
  if (absl::Status status = metadata_->SetTopology(owner_.gen, routes_.ToJson()); !status.ok()) {
    return AtMetadata(status);
  }
  StartThreads(lanes, rev);
  return several_ ? AtMetadata(metadata_->shared()->Admit()) : absl::OkStatus();
}

HubEnv EngineImpl::MakeHubEnv() {
  HubEnv env;
  env.complete = [this](int lane) { return sequencer_->Complete(lane); };
  env.complete_alone = [this](int lane) { return sequencer_->CompleteAlone(lane); };
  env.rev = [this] { return sequencer_->Rev(); };
  env.floor = [this](int lane) { return parts_[lane].lane->floor(); };
  env.run = [this](std::function<void()> task) { executor_->Queue(std::move(task)); };
  if (several_) {
    env.fresh = [this](const std::vector<int>& lanes, Sequencer::Answer answer) {
      FreshOf(lanes, std::move(answer));
    };
    env.want = [this] { shared_sequencer_->Want(); };
  }
  return env;
}

LaneEnv EngineImpl::MakeLaneEnv(size_t i, const Lane& lane) {
  LaneEnv env;
  env.number = static_cast<int>(i);
  env.backend = parts_[i].backend.get();
  env.sequencer = sequencer_.get();
  env.hub = hub_.get();
  env.follower = parts_[i].follower.get();
  env.logger = options_.logger;
  env.owner = owner_;
  env.head = lane.head;
  env.floor = lane.floor;
  env.collection = [this](ResourceId id) -> std::string_view {
    const Entry* entry = Find(id);
    return entry == nullptr ? std::string_view() : entry->resource.key_prefix;
  };
  return env;
}

void EngineImpl::StartThreads(const std::vector<Lane>& lanes, int64_t rev) {
  std::vector<Sequencer::LaneMark> marks;
  std::vector<Hub::Source> sources;
  for (size_t i = 0; i < parts_.size(); ++i) {
    Backend* backend = parts_[i].backend.get();
    marks.push_back({parts_[i].name, backend->identity(), lanes[i].head});
    sources.push_back({backend, lanes[i].head});
  }
  StartSequencer(rev, std::move(marks));
  if (several_) ShareNumbers();
  executor_ = std::make_unique<Executor>(kCatchUpThreads);
  hub_ = std::make_unique<Hub>(MakeHubEnv(), std::move(sources), options_.ring_bytes);

  Housekeeper::Env keep;
  keep.sequencer = sequencer_.get();
  keep.metadata = metadata_.get();
  keep.logger = options_.logger;
  keep.history_ms = options_.history_ms;
  keep.history_bytes = options_.history_bytes;
  keep.resource_of = [this](std::string_view key) { return ResourceOf(key); };
  // Lanes take numbers as soon as they run: who refills them must be known first.
  const auto poke = [this] {
    if (started_.load(std::memory_order_acquire)) housekeeper_->Poke();
  };
  sequencer_->SetWanted(poke);
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (several_) parts_[i].follower = MakeFollower(i);
    LaneEnv env = MakeLaneEnv(i, lanes[i]);
    env.failed = poke;
    const CompactSettings compact =
        parts_[i].rule == nullptr ? CompactSettings() : parts_[i].rule->compact;
    env.compact = compact;
    parts_[i].lane = std::make_unique<CommitLane>(std::move(env));
    keep.lanes.push_back({parts_[i].backend.get(), parts_[i].lane.get(), compact});
  }
  housekeeper_ = std::make_unique<Housekeeper>(std::move(keep));
  started_.store(true, std::memory_order_release);
  if (several_) StartFollowing();
}

}  // namespace storage
