// What is different when other servers have the same topology at the same time
// (docs/adr/0006-several-servers.md): who starts and who joins, followers of the lanes,
// numbers that come from the databases instead of from memory.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/backend/holder.h"
#include "src/engine/backends.h"
#include "src/engine/engine_impl.h"

namespace storage {
namespace {

// A server that was killed a moment ago may still have its claim. Less than a statement may
// take (kStatementMs of PostgreSQL).
constexpr int64_t kPatienceOfStartsMs = 1500;
// Servers that lost their session (their database was killed, and is back) have so long to
// come back before one that starts takes them for dead and begins an epoch, which fences
// them. They look after their claim every 1.25 s at most: a second between two reads of M,
// and kKeepEvery of ClaimedMetadata. On etcd they learn of the end of a lease by its beat,
// 1.25 s. The rest is for the connection.
constexpr int64_t kReturnMs = 3000;
// Others register resources at the same time, each once.
constexpr int kSwaps = 100;

absl::Status Late(const std::string& backend) {
  return MakeStatus(Code::kUnavailable, "did not answer in time", backend);
}

}  // namespace

absl::Status EngineImpl::OpenMetadataStore() {
  const auto look = [&](const std::string& what, const Endpoint& endpoint) {
    if (CanBeShared(endpoint.kind) || !unshareable_.empty()) return;
    unshareable_ = absl::StrCat(what, " is ", EndpointKindName(endpoint.kind));
  };
  look("the metadata store", metadata_endpoint_);
  for (const Part& part : parts_) look(PlaceOf(part), part.endpoint);
  several_ = unshareable_.empty();
  absl::StatusOr<std::unique_ptr<MetadataStore>> metadata =
      OpenMetadata(metadata_endpoint_, several_, options_);
  if (metadata.ok()) {
    metadata_ = *std::move(metadata);
    if (several_ && metadata_->shared() == nullptr) {
      several_ = false;
      unshareable_ = "the metadata store is on a Galera cluster";
    }
    return several_ ? AwaitServers() : absl::OkStatus();
  }
  const absl::Status& status = metadata.status();
  if (CodeOf(status) != Code::kBusy || several_) return AtMetadata(status);
  return AtMetadata(MakeStatus(
      Code::kBusy,
      absl::StrCat(status.message(),
                   ". Several servers may share a topology only when its metadata store is on "
                   "PostgreSQL, MySQL or etcd and none of its databases is a file: ",
                   unshareable_),
      "metadata", DriverCodeOf(status)));
}

// A lone server that was killed is not there to come back, and is started again on its
// host: that must not cost the time.
absl::Status EngineImpl::AwaitServers() {
  SharedMetadata& shared = *metadata_->shared();
  const MetaState& found = metadata_->found();
  if (shared.joined() || found.clean || !found.existed) return absl::OkStatus();
  const absl::StatusOr<Routes> routes = Routes::FromJson(found.topo);
  if (!routes.ok()) return AtMetadata(routes.status());
  const bool elsewhere = !routes->began_on.empty() && routes->began_on != HostName();
  if (!routes->joined && !elsewhere) return absl::OkStatus();
  Log(LogLevel::kInfo, absl::StrCat("the metadata store was not closed, and other servers used "
                                    "it: waiting for them, at most ",
                                    kReturnMs, " ms"));
  return AtMetadata(shared.AwaitOthers(kReturnMs).status());
}

absl::StatusOr<bool> EngineImpl::Join(StartFacts* facts) {
  // No migration runs beside servers, but one that was ended may have left a server that
  // it fenced, and that has its claim again.
  if (absl::Status status = LoadRoutes(); !status.ok()) return status;
  absl::Status fits = CheckJoin(*facts);
  if (CodeOf(fits) == Code::kBusy) {
    const absl::StatusOr<bool> only = metadata_->shared()->BecomeOnly(kPatienceOfStartsMs);
    if (!only.ok()) return AtMetadata(only.status());
    if (*only) {
      absl::StatusOr<StartFacts> again = Gather();
      if (!again.ok()) return again.status();
      *facts = *std::move(again);
      return false;
    }
  }
  if (!fits.ok()) {
    for (const Part& part : parts_) {
      if (part.name == BackendOf(fits)) return AtPart(part, fits);
    }
    return AtMetadata(fits);
  }
  if (absl::Status same = CheckSameRoutes(); !same.ok()) return same;
  const MetaState& found = metadata_->found();
  owner_ = {found.m_id, found.epoch, found.topo_version};
  std::vector<Lane> lanes;
  for (const LaneFacts& lane : facts->lanes) lanes.push_back(lane.lane);
  StartThreads(lanes, std::max<int64_t>(1, found.reserved));
  absl::Status status =
      ChangeRoutes([](Routes* routes) { return !std::exchange(routes->joined, true); });
  if (!status.ok()) return status;
  status = metadata_->shared()->Admit();
  if (!status.ok()) return AtMetadata(status);
  return true;
}

// Two servers that route one key to two databases would hide it from each other.
absl::Status EngineImpl::CheckSameRoutes() {
  const std::vector<RememberedPlace> places = PlacesOf(*router_, parts_.back().endpoint);
  if (routes_.places == places) return absl::OkStatus();
  std::string differs = "they have more rules";
  for (size_t i = 0; i < places.size(); ++i) {
    if (i < routes_.places.size() && routes_.places[i] == places[i]) continue;
    differs = absl::StrCat("here \"", places[i].name, "\" (", places[i].match, ") is in the ",
                           places[i].kind, " database ", places[i].path, ", with them ");
    if (i < routes_.places.size()) {
      const RememberedPlace& theirs = routes_.places[i];
      absl::StrAppend(&differs, "\"", theirs.name, "\" (", theirs.match, ") is in the ",
                      theirs.kind, " database ", theirs.path);
    } else {
      absl::StrAppend(&differs, "there is no such rule");
    }
    break;
  }
  return MakeStatus(
      Code::kInvalid,
      absl::StrCat(TopologyFile(), ": other servers are running with another topology: ", differs,
                   "; give all servers the same one (to change it, stop all of them first)"),
      "metadata");
}

void EngineImpl::StartSequencer(int64_t rev, std::vector<Sequencer::LaneMark> marks) {
  if (!several_) {
    sequencer_ = std::make_unique<BlockSequencer>(metadata_.get(), rev,
                                                  rev + BlockSequencer::kBlock, std::move(marks));
    return;
  }
  SharedSequencerEnv env;
  env.metadata = metadata_.get();
  env.epoch = owner_.epoch;
  env.look = [this](int lane) { parts_[lane].follower->Look(); };
  env.void_lane = [this](int lane, int64_t upto) { parts_[lane].lane->VoidSoon(upto); };
  env.heard = [this](int lane, int64_t head) { parts_[lane].follower->Heard(head); };
  env.saw = [this](int lane, int64_t head) { parts_[lane].lane->Saw(head); };
  env.advanced = [this](int lane) { hub_->Advanced(lane); };
  auto shared = std::make_unique<SharedSequencer>(std::move(env), rev, std::move(marks));
  shared_sequencer_ = shared.get();
  sequencer_ = std::move(shared);
}

std::unique_ptr<LaneFollower> EngineImpl::MakeFollower(size_t i) {
  const int number = static_cast<int>(i);
  FollowerEnv env;
  env.number = number;
  env.backend = parts_[i].backend.get();
  env.hub = hub_.get();
  env.resource_of = [this](std::string_view key) { return ResourceOf(key); };
  env.known = [this, number] { return parts_[number].lane->head(); };
  env.check = [this, number](int64_t head, int64_t known) {
    return parts_[number].lane->CheckHead(head, known);
  };
  env.followed = [this, number](int64_t head) {
    parts_[number].lane->Saw(head);
    shared_sequencer_->Followed(number, head);
  };
  env.foreign = [this, number] {
    parts_[number].lane->LookForExpiries();
    housekeeper_->Poke();
  };
  return std::make_unique<LaneFollower>(std::move(env), parts_[i].backend->WatchHead());
}

// A store that cannot say where it is, or a lane that cannot look, takes the longer way.
void EngineImpl::ShareNumbers() {
  absl::StatusOr<NumbersPlace> place = metadata_->shared()->NumbersAt();
  for (Part& part : parts_) {
    if (!place.ok()) break;
    place->lane = part.name;
    const absl::StatusOr<bool> here = part.backend->ShareNumbers(*place);
    if (!here.ok()) place = here.status();
    if (here.ok() && *here) metadata_->shared()->ReadHeadOf(part.name);
  }
  if (place.ok()) return;
  Log(LogLevel::kWarning, absl::StrCat("numbers are taken apart from batches: looking for the "
                                       "metadata store in the databases failed: ",
                                       place.status().message()));
}

void EngineImpl::StartFollowing() {
  for (Part& part : parts_) part.follower->Begin();
  shared_sequencer_->Begin();
}

void EngineImpl::StopFollowing() {
  shared_sequencer_->Stop();
  for (Part& part : parts_) part.follower->Stop();
}

absl::Status EngineImpl::ShareResource(const Resource& resource) {
  return ChangeRoutes([&](Routes* routes) {
    for (const Resource& known : routes->resources) {
      if (known.key_prefix == resource.key_prefix) return false;
    }
    routes->resources.push_back(resource);
    return true;
  });
}

absl::Status EngineImpl::ChangeRoutes(absl::FunctionRef<bool(Routes*)> change) {
  SharedMetadata& shared = *metadata_->shared();
  for (int left = kSwaps; left > 0; --left) {
    const absl::StatusOr<std::string> before = shared.ReadTopology();
    if (!before.ok()) return AtMetadata(before.status());
    absl::StatusOr<Routes> routes = Routes::FromJson(*before);
    if (!routes.ok()) return AtMetadata(routes.status());
    absl::StatusOr<bool> swapped = true;
    if (change(&*routes)) swapped = shared.SwapTopology(*before, routes->ToJson());
    if (!swapped.ok()) return AtMetadata(swapped.status());
    if (*swapped) {
      routes_ = *std::move(routes);
      return absl::OkStatus();
    }
    if (absl::Status fenced = sequencer_->Health(); !fenced.ok()) return fenced;
  }
  return AtMetadata(MakeStatus(Code::kUnavailable, "the remembered topology changes all the time"));
}

absl::Status EngineImpl::Leave() {
  absl::Status status = sequencer_->Finish();
  if (status.ok()) status = EndAsTheLast();
  metadata_->shared()->Resign();
  return status;
}

// The last one writes the clean mark.
absl::Status EngineImpl::EndAsTheLast() {
  SharedMetadata& shared = *metadata_->shared();
  const absl::StatusOr<bool> only = shared.BecomeOnly(1);
  if (!only.ok()) return only.status();
  if (!*only) return absl::OkStatus();  // the others go on
  const absl::StatusOr<Numbers> numbers = shared.ReadNumbers();
  if (!numbers.ok()) return numbers.status();
  if (numbers->epoch != owner_.epoch) return absl::OkStatus();
  std::map<std::string, BackendMark> marks;
  for (const Part& part : parts_) {
    absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = part.backend->OpenSnapshot();
    if (!snapshot.ok()) return snapshot.status();
    const int64_t head = (*snapshot)->lane().head;
    const auto lane = numbers->lanes.find(part.name);
    if (lane != numbers->lanes.end() && head < lane->second.alloc) {
      return MakeStatus(Code::kUnavailable, "a lane ended with undecided revisions", part.name);
    }
    marks[part.name] = {part.backend->identity(), head};
  }
  const absl::StatusOr<std::string> topology = shared.ReadTopology();
  if (!topology.ok()) return topology.status();
  absl::StatusOr<Routes> routes = Routes::FromJson(*topology);
  if (!routes.ok()) return routes.status();
  {
    MutexLock lock(&mu_);
    routes_ = *std::move(routes);  // with what others registered
    RememberCounts();
  }
  return metadata_->Finish(numbers->rev, marks);
}

void EngineImpl::FreshOf(const std::vector<int>& lanes, Sequencer::Answer answer) const {
  if (lanes.size() == 1) {
    parts_[lanes[0]].follower->FreshHead(std::move(answer));
  } else {
    sequencer_->FreshRev(std::move(answer));
  }
}

absl::StatusOr<int64_t> EngineImpl::FreshRev() const {
  return WaitForAnswer(absl::Now() + kReadPatience, Late("metadata"),
                       [&](Sequencer::Answer answer) { sequencer_->FreshRev(std::move(answer)); });
}

absl::StatusOr<int64_t> EngineImpl::FreshHead(int lane) const {
  return WaitForAnswer(
      absl::Now() + kReadPatience, Late(parts_[lane].name),
      [&](Sequencer::Answer answer) { parts_[lane].follower->FreshHead(std::move(answer)); });
}

// Numbers of the resource are the lane's: an answer "not older than rev" says rev, and
// no later one of any server may say less, so the lane's head itself has to reach it.
absl::Status EngineImpl::RaiseTo(int lane, int64_t rev, ReadHeader* header) const {
  const absl::StatusOr<int64_t> head = FreshHead(lane);
  if (!head.ok()) return head.status();
  if (*head >= rev) return absl::OkStatus();
  if (absl::Status status = CheckHandedOut(rev, header); !status.ok()) return status;
  return parts_[lane].lane->VoidTo(rev);
}

}  // namespace storage
