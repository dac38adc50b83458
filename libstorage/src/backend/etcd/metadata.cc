#include "src/backend/etcd/metadata.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"
#include "src/backend/etcd/codec.h"
#include "src/backend/etcd/keys.h"
#include "src/backend/etcd/store.h"

namespace storage::etcd {
namespace {

// Leaves time to ask what became of it.
constexpr absl::Duration kTryTime = absl::Milliseconds(1500);

std::string ClockKey(int64_t unix_s) { return MetaKey("clock/") + Digits(unix_s); }
std::string ClockEnd() { return PrefixEnd(MetaKey("clock/")); }

int64_t RandomName() {
  std::random_device device;
  return static_cast<int64_t>(uint64_t{device()} << 32 | device());
}

void Merge(const Marks& marks, MetaState* state) {
  for (const auto& [name, mark] : marks) {
    BackendMark& known = state->backends[name];
    const bool same = known.identity == mark.identity;
    known = {mark.identity, same ? std::max(known.confirmed, mark.confirmed) : mark.confirmed};
  }
}

void CompareMod(pb::TxnRequest* request, const std::string& key, int64_t mod) {
  pb::Compare* const compare = request->add_compare();
  compare->set_target(pb::Compare::MOD);
  compare->set_key(key);
  compare->set_mod_revision(mod);
}

void AddPut(pb::TxnRequest* request, const std::string& key, const std::string& value) {
  pb::PutRequest* const put = request->add_success()->mutable_request_put();
  put->set_key(key);
  put->set_value(value);
}

}  // namespace

absl::Status EtcdMetadata::Open() {
  MutexLock lock(&mutex_);
  bool only = true;
  absl::Status status = several_ ? claim_.TakeShare(&only) : claim_.TakeAlone();
  if (!status.ok()) return status;
  joined_ = !only;
  if (several_) stage_ = Stage::kStarting;
  status = LoadState();
  if (!status.ok() || mod_ != 0) return status;
  status = Write([](Stored* next) { next->state.m_id = RandomIdentity(); }, {});
  found_ = stored_.state;
  return status;
}

absl::Status EtcdMetadata::Peek() {
  MutexLock lock(&mutex_);
  return LoadState();
}

absl::Status EtcdMetadata::LoadState() {
  const SteadyTime until = SteadyAfter(kCallTime);
  absl::Status status = Load(until);
  if (!status.ok()) return status;
  found_ = stored_.state;
  epoch_ = found_.epoch;
  found_.unclaimed = stored_.has_topo;
  int64_t mod = 0;
  return stored_.has_topo ? status : ReadTopologyKey(&found_.topo, &mod);
}

absl::Status EtcdMetadata::Load(SteadyTime until) {
  pb::RangeResponse response;
  const absl::Status status = client_->Range(RangeOf(StateKey(), "", 0), &response, until);
  return status.ok() ? Note(response) : status;
}

absl::Status EtcdMetadata::Note(const pb::RangeResponse& state) {
  stored_ = Stored();
  mod_ = state.kvs_size() == 0 ? 0 : state.kvs(0).mod_revision();
  return mod_ == 0 ? absl::OkStatus()
                   : DecodeState(state.kvs(0).value(), client_->name(), &stored_);
}

absl::Status EtcdMetadata::CheckOurs() const {
  if (stored_.state.m_id == found_.m_id && stored_.state.epoch == epoch_) return absl::OkStatus();
  return MakeStatus(
      Code::kUnavailable,
      absl::StrCat("another process took the metadata store in ", where_, " over (epoch ",
                   stored_.state.epoch, ", ours is ", epoch_, ", by ",
                   stored_.holder.empty() ? "unknown" : stored_.holder, "); stop one of the two"),
      client_->name());
}

absl::Status EtcdMetadata::Hold() {
  if (stage_ != Stage::kResigned && !claim_.lost()) return absl::OkStatus();
  absl::Status status =
      MayClaimAgain(absl::StrCat("the claim on the metadata store in ", where_), client_->name());
  return status.ok() ? NotBusy(claim_.TakeAgain()) : status;
}

pb::TxnRequest EtcdMetadata::RequestOf(const Stored& next, const Also& also) {
  pb::TxnRequest request;
  CompareMod(&request, StateKey(), mod_);
  pb::Compare* const claimed = request.add_compare();
  claimed->set_target(pb::Compare::LEASE);
  claimed->set_key(claim_.key());
  claimed->set_lease(claim_.lease());
  if (also.topo_mod >= 0) CompareMod(&request, TopologyKey(), also.topo_mod);
  AddPut(&request, StateKey(), EncodeState(next));
  const std::string* const topo =
      also.topo == nullptr && stored_.has_topo ? &stored_.state.topo : also.topo;
  if (topo != nullptr) AddPut(&request, TopologyKey(), EncodeTopology(*topo));
  if (also.more) also.more(&request);
  request.add_failure()->mutable_request_range()->set_key(StateKey());
  request.add_failure()->mutable_request_range()->set_key(claim_.key());
  return request;
}

absl::StatusOr<bool> EtcdMetadata::Refused(const pb::TxnResponse& response) {
  const int64_t known = mod_;
  absl::Status status = Note(response.responses(0).response_range());
  if (!status.ok()) return status;
  const pb::RangeResponse& claim = response.responses(1).response_range();
  const bool claimed = claim.kvs_size() > 0 && claim.kvs(0).lease() == claim_.lease();
  if (!claimed) claim_.SetLost();
  return !claimed || mod_ != known;
}

// What the reply to a write would have said is told by the name of the last write, unless
// others wrote since: then it is done once more, which all of them stand.
absl::Status EtcdMetadata::Write(Change change, const Also& also) {
  const SteadyTime until = SteadyAfter(kCallTime);
  std::vector<int64_t> names;
  absl::Status status;
  do {
    if (absl::Status held = Hold(); !held.ok()) return held;
    if (absl::Status ours = CheckOurs(); !ours.ok()) return ours;
    Stored next = stored_;
    change(&next);
    next.txn = names.emplace_back(RandomName());
    pb::TxnResponse response;
    status =
        client_->Write(RequestOf(next, also), &response, std::min(until, SteadyAfter(kTryTime)));
    if (status.ok() && response.succeeded()) {
      mod_ = response.header().revision();
      next.has_topo = false;
      stored_ = std::move(next);
      return status;
    }
    if (status.ok()) {
      const absl::StatusOr<bool> again = Refused(response);
      if (!again.ok()) return again.status();
      if (!*again) return MakeStatus(Code::kConflict, "the topology changed", client_->name());
      continue;
    }
    if (CodeOf(status) != Code::kOutcomeUnknown) return status;
    if (absl::Status loaded = Load(until); !loaded.ok()) return loaded;
    if (std::find(names.begin(), names.end(), stored_.txn) != names.end()) return absl::OkStatus();
  } while (SteadyAfter(absl::ZeroDuration()) < until);
  return MakeStatus(Code::kUnavailable,
                    status.ok() ? "others write to the metadata store all the time"
                                : absl::StrCat("a write was not acknowledged: ", status.message()),
                    client_->name());
}

absl::StatusOr<int64_t> EtcdMetadata::Start() {
  MutexLock lock(&mutex_);
  if (stored_.has_topo && !stored_.holder.empty() && client_->logger() != nullptr) {
    client_->logger()->Log(
        LogLevel::kWarning,
        absl::StrCat("metadata store: it was not closed by ", stored_.holder,
                     ", of a version without claims; if that server still runs, it is refused "
                     "from now on"));
  }
  const std::string holder = DescribeHolder();
  absl::Status status = Write(
      [&](Stored* next) {
        ++next->state.epoch;
        next->state.clean = false;
        next->holder = holder;
      },
      {});
  if (!status.ok()) return status;
  epoch_ = stored_.state.epoch;
  return epoch_;
}

absl::Status EtcdMetadata::Reserve(int64_t upto, const Marks& marks) {
  MutexLock lock(&mutex_);
  return Write(
      [&](Stored* next) {
        next->state.reserved = std::max(next->state.reserved, upto);
        next->state.clean = false;
        Merge(marks, &next->state);
      },
      {});
}

absl::Status EtcdMetadata::SetTopology(int64_t version, const std::string& topo) {
  MutexLock lock(&mutex_);
  Also also;
  also.topo = &topo;
  return Write([&](Stored* next) { next->state.topo_version = version; }, also);
}

absl::Status EtcdMetadata::Finish(int64_t rev, const Marks& marks) {
  MutexLock lock(&mutex_);
  return Write(
      [&](Stored* next) {
        if (!several_) next->state.reserved = rev;
        next->state.clean = next->state.reserved == rev;
        Merge(marks, &next->state);
      },
      {});
}

absl::Status EtcdMetadata::MarkTime(int64_t unix_s, int64_t rev) {
  MutexLock lock(&mutex_);
  const auto put = [&](pb::TxnRequest* request) {
    AddPut(request, ClockKey(unix_s), Packer().Number(rev).Take());
  };
  return Write([](Stored*) {}, {nullptr, -1, put});
}

absl::Status EtcdMetadata::ForgetBefore(int64_t unix_s) {
  if (unix_s <= 0) return absl::OkStatus();
  MutexLock lock(&mutex_);
  const auto remove = [&](pb::TxnRequest* request) {
    auto* const gone = request->add_success()->mutable_request_delete_range();
    gone->set_key(ClockKey(0));
    gone->set_range_end(ClockKey(unix_s));
  };
  return Write([](Stored*) {}, {nullptr, -1, remove});
}

absl::StatusOr<int64_t> EtcdMetadata::RevisionAt(int64_t unix_s) {
  pb::RangeResponse response;
  const std::string end = unix_s < 0 ? ClockKey(0) : std::min(ClockKey(unix_s) + '\0', ClockEnd());
  if (end == ClockKey(0)) return 0;
  const absl::Status status = client_->Range(RangeOf(ClockKey(0), end, 0), &response);
  if (!status.ok()) return status;
  int64_t highest = 0;
  for (const pb::KeyValue& kv : response.kvs()) {
    highest = std::max(highest, Unpacker(kv.value()).Number());
  }
  return highest;
}

absl::Status EtcdMetadata::Ping() {
  pb::RangeResponse response;
  return client_->Range(RangeOf(StateKey(), "", 0), &response);
}

}  // namespace storage::etcd

namespace storage {

namespace {

absl::StatusOr<std::unique_ptr<etcd::EtcdMetadata>> Connect(const EtcdOptions& options,
                                                            bool several) {
  absl::StatusOr<std::unique_ptr<etcd::Client>> client = etcd::Client::Create(options);
  if (!client.ok()) return client.status();
  // A connection of its own: no write of ours holds it up.
  absl::StatusOr<std::unique_ptr<etcd::Client>> for_claim = etcd::Client::Create(options);
  if (!for_claim.ok()) return for_claim.status();
  return std::make_unique<etcd::EtcdMetadata>(options, *std::move(client), *std::move(for_claim),
                                              several);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetadataStore>> OpenEtcdMetadata(const EtcdOptions& options,
                                                                bool several) {
  absl::StatusOr<std::unique_ptr<etcd::EtcdMetadata>> store = Connect(options, several);
  if (!store.ok()) return store.status();
  if (absl::Status status = (*store)->Open(); !status.ok()) return status;
  return std::unique_ptr<MetadataStore>(*std::move(store));
}

absl::StatusOr<MetaState> PeekEtcdMetadata(const EtcdOptions& options) {
  absl::StatusOr<std::unique_ptr<etcd::EtcdMetadata>> store = Connect(options, false);
  if (!store.ok()) return store.status();
  if (absl::Status status = (*store)->Peek(); !status.ok()) return status;
  return (*store)->found();
}

}  // namespace storage
