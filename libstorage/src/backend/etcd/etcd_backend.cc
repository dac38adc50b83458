#include "src/backend/etcd/etcd_backend.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"
#include "src/backend/etcd/head_watch.h"
#include "src/backend/etcd/keys.h"
#include "src/backend/etcd/snapshot.h"

namespace storage::etcd {
namespace {

// Of etcd's 128 operations in a transaction an object needs one, with an expiry up to
// three, and two when one that expires goes; the log, the numbers and head need one each,
// the rest is for counts of collections. Of its 1.5 MiB, keys are written up to three times.
constexpr int64_t kBatchOperations = 100;
constexpr int64_t kExpiringPut = 3;
constexpr int64_t kRemoval = 2;
constexpr int64_t kBatchBytes = 1 << 20;
constexpr size_t kReadsWithLane = 100;  // in one transaction: below etcd's 128
constexpr size_t kGetsTogether = 32;    // of the largest objects 48 MiB

}  // namespace

BatchLimits EtcdBackend::limits() const {
  return {kBatchOperations, kExpiringPut, kRemoval, kBatchBytes};
}

absl::Status EtcdBackend::Open() {
  if (absl::Status status = CheckVersion(); !status.ok()) return status;
  absl::StatusOr<std::string> identity = FindIdentity();
  if (!identity.ok()) return identity.status();
  identity_ = *std::move(identity);
  return store_.ReadLane(0).status();
}

absl::Status EtcdBackend::CheckVersion() {
  absl::StatusOr<pb::StatusResponse> server = store_.client().ServerStatus();
  if (!server.ok()) return server.status();
  int major = 0, minor = 0;
  const bool known = std::sscanf(server->version().c_str(), "%d.%d", &major, &minor) == 2;
  if (known && (major > 3 || (major == 3 && minor >= 4))) return absl::OkStatus();
  return MakeStatus(Code::kInvalid,
                    absl::StrCat("etcd ", server->version(), " is too old: 3.4 or newer is needed"),
                    name_);
}

// A restored cluster has a new id; our own part tells two databases apart that
// came from one snapshot. Made by whoever opens first.
absl::StatusOr<std::string> EtcdBackend::FindIdentity() {
  pb::TxnRequest request;
  pb::Compare* const absent = request.add_compare();
  absent->set_target(pb::Compare::VERSION);
  absent->set_key(IdentityKey());
  absent->set_version(0);
  pb::PutRequest* const put = request.add_success()->mutable_request_put();
  put->set_key(IdentityKey());
  put->set_value(RandomIdentity());
  request.add_failure()->mutable_request_range()->set_key(IdentityKey());
  pb::RangeResponse found;
  const pb::RangeRequest look = RangeOf(IdentityKey(), "", 0);
  if (absl::Status status = store_.client().Range(look, &found); !status.ok()) return status;
  std::string own = found.kvs_size() > 0 ? found.kvs(0).value() : "";
  if (own.empty()) {
    pb::TxnResponse response;
    if (absl::Status status = store_.client().Write(request, &response); !status.ok()) {
      return status;
    }
    own = put->value();
    if (!response.succeeded() && response.responses(0).response_range().kvs_size() > 0) {
      own = response.responses(0).response_range().kvs(0).value();
    }
  }
  return absl::StrCat(absl::Hex(found.header().cluster_id(), absl::kZeroPad16), "-", own);
}

absl::Status EtcdBackend::TakeLane() {
  MutexLock lock(&mutex_);
  if (lane_open_) return MakeStatus(Code::kBusy, "a lane transaction is open", name_);
  lane_open_ = true;
  return absl::OkStatus();
}

void EtcdBackend::ReleaseLane() {
  MutexLock lock(&mutex_);
  lane_open_ = false;
}

std::unique_ptr<EtcdLaneTxn> EtcdBackend::NewTxn(LaneState state, bool assumed, SteadyTime until) {
  return std::make_unique<EtcdLaneTxn>(&store_, &kinds_, &memory_, std::move(state), assumed, until,
                                       [this] { ReleaseLane(); });
}

bool EtcdBackend::MayAssume(absl::Span<const std::string_view> keys) const {
  return memory_.state.has_value() && memory_.believed < kMostBelieved &&
         SteadyAfter(absl::ZeroDuration()) >= memory_.not_before &&
         std::none_of(keys.begin(), keys.end(), IsPrivate);
}

absl::StatusOr<std::unique_ptr<LaneTxn>> EtcdBackend::BeginLaneAndRead(
    absl::Span<const std::string_view> keys, absl::Span<Current> out, bool may_assume) {
  if (absl::Status status = TakeLane(); !status.ok()) return status;
  const SteadyTime until = SteadyAfter(kCallTime);
  if (may_assume && MayAssume(keys)) {
    ++memory_.believed;
    LaneState state = *memory_.state;
    store_.ApplyOutsideFloor(&state.head.lane);
    auto txn = NewTxn(std::move(state), true, until);
    txn->ReadMemory(keys, out);
    return txn;
  }
  memory_.believed = 0;
  // Too many for one transaction, or not to be read: by Read, which says so.
  const bool together =
      keys.size() <= kReadsWithLane && std::none_of(keys.begin(), keys.end(), IsPrivate);
  std::vector<pb::RangeResponse> found;
  absl::StatusOr<LaneState> state = store_.ReadLaneAndNumbers(
      together ? keys : absl::Span<const std::string_view>(), &found, until);
  if (!state.ok()) {
    ReleaseLane();
    return state.status();
  }
  auto txn = NewTxn(*std::move(state), false, until);
  absl::Status read = together ? txn->ReadFound(keys, found, out) : txn->Read(keys, out);
  if (!read.ok()) return read;
  return txn;
}

absl::StatusOr<std::unique_ptr<Snapshot>> EtcdBackend::OpenSnapshot() {
  absl::StatusOr<std::unique_ptr<EtcdSnapshot>> snapshot = EtcdSnapshot::Open(&store_);
  if (!snapshot.ok()) return snapshot.status();
  return std::unique_ptr<Snapshot>(*std::move(snapshot));
}

absl::Status EtcdBackend::Get(std::string_view key, const RowSink& sink) {
  if (IsPrivate(key)) return absl::OkStatus();
  pb::RangeResponse found;
  absl::Status status = store_.client().Range(RangeOf(std::string(key), "", 0), &found);
  return status.ok() ? GetFound(found, sink) : status;
}

size_t EtcdBackend::gets_together() const { return kGetsTogether; }

void EtcdBackend::GetMany(absl::Span<const std::string_view> keys, const ManyRowsSink& sink,
                          absl::Span<absl::Status> outcomes) {
  const auto sink_of = [&](size_t i) {
    return [&sink, i](const Row& row) { return sink(i, row), false; };
  };
  if (keys.size() == 1) {
    outcomes[0] = Get(keys[0], sink_of(0));
    return;
  }
  pb::TxnRequest request;
  std::vector<size_t> asked;
  for (size_t i = 0; i < keys.size(); ++i) {
    outcomes[i] = absl::OkStatus();
    if (IsPrivate(keys[i])) continue;
    AddRange(&request, std::string(keys[i]));
    asked.push_back(i);
  }
  pb::TxnResponse response;
  const absl::Status status = store_.client().Read(request, &response);
  for (size_t n = 0; n < asked.size(); ++n) {
    const size_t i = asked[n];
    outcomes[i] = !status.ok() ? status
                               : GetFound(response.responses(static_cast<int>(n)).response_range(),
                                          sink_of(i));
  }
}

absl::Status EtcdBackend::GetFound(const pb::RangeResponse& found, const RowSink& sink) {
  if (found.kvs_size() == 0) return absl::OkStatus();
  const pb::KeyValue& kv = found.kvs(0);
  if (!HasEnvelope(kv.value())) return GetForeign(kv.key(), sink);
  Row row;
  absl::Status status = store_.ToRow(kv, Lane(), &row);
  if (status.ok()) sink(row);
  return status;
}

// Written by stock Kubernetes: its revisions depend on the lane of the same moment.
absl::Status EtcdBackend::GetForeign(std::string_view key, const RowSink& sink) {
  pb::TxnRequest request;
  AddRange(&request, std::string(key));
  AddRange(&request, HeadKey());
  pb::TxnResponse response;
  if (absl::Status status = store_.client().Read(request, &response); !status.ok()) return status;
  const pb::RangeResponse& found = response.responses(0).response_range();
  if (found.kvs_size() == 0) return absl::OkStatus();
  Head head;
  const pb::RangeResponse& lane = response.responses(1).response_range();
  if (lane.kvs_size() == 0) {
    head.lane.head = response.header().revision();
  } else if (!DecodeHead(lane.kvs(0).value(), &head)) {
    return Damaged("the lane row", name_);
  }
  Row row;
  if (absl::Status status = store_.ToRow(found.kvs(0), head.lane, &row); !status.ok()) {
    return status;
  }
  sink(row);
  return absl::OkStatus();
}

absl::Status EtcdBackend::Ping() { return store_.ReadLane(0).status(); }

std::unique_ptr<HeadWatch> EtcdBackend::WatchHead() {
  return std::make_unique<EtcdHeadWatch>(&store_);
}

}  // namespace storage::etcd

namespace storage {

absl::StatusOr<std::unique_ptr<Backend>> OpenEtcdBackend(const EtcdOptions& options) {
  absl::StatusOr<std::unique_ptr<etcd::Client>> client = etcd::Client::Create(options);
  if (!client.ok()) return client.status();
  auto backend = std::make_unique<etcd::EtcdBackend>(*std::move(client));
  if (absl::Status status = backend->Open(); !status.ok()) return status;
  return std::unique_ptr<Backend>(std::move(backend));
}

}  // namespace storage
