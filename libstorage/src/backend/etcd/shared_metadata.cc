// The metadata store for several servers: takes, and what they know of each other.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "src/backend/etcd/keys.h"
#include "src/backend/etcd/metadata.h"
#include "src/backend/etcd/store.h"

namespace storage::etcd {

// Only this cluster, and no copy of it, has a key of this name.
absl::StatusOr<NumbersPlace> EtcdMetadata::NumbersAt() {
  pb::RangeResponse response;
  absl::Status status = client_->Range(RangeOf(StateKey(), "", 0), &response);
  if (!status.ok()) return status;
  MutexLock lock(&mutex_);
  return NumbersPlace{found_.m_id, absl::StrCat(response.header().cluster_id()), claim_.share(),
                      ""};
}

// The compare of the state's revision lets one take happen after the other. Above the
// numbers of a lane are those of the lanes behind it in the same take.
absl::StatusOr<int64_t> EtcdMetadata::Take(absl::Span<const TakeWish> wishes) {
  int64_t total = 0;
  for (const TakeWish& wish : wishes) total += wish.n;
  MutexLock lock(&mutex_);
  absl::Status status = Write(
      [&](Stored* next) {
        MetaState& state = next->state;
        for (const TakeWish& wish : wishes) {
          state.reserved += wish.n;
          next->alloc[wish.name] = state.reserved;
          BackendMark& mark = state.backends[wish.name];
          mark.confirmed = std::max(mark.confirmed, wish.confirmed);
        }
        state.clean = false;
      },
      {});
  if (!status.ok()) return status;
  return stored_.state.reserved - total + 1;
}

// Waits for no take.
absl::StatusOr<Numbers> EtcdMetadata::ReadNumbers() {
  KeepClaim();
  pb::TxnRequest request;
  AddRange(&request, StateKey());
  if (!lane_here_.empty()) AddRange(&request, HeadKey());
  pb::TxnResponse response;
  absl::Status status = client_->Read(request, &response);
  if (!status.ok()) return status;
  Stored stored;
  const pb::RangeResponse& state = response.responses(0).response_range();
  if (state.kvs_size() > 0) {
    status = DecodeState(state.kvs(0).value(), client_->name(), &stored);
    if (!status.ok()) return status;
  }
  if (stored.state.m_id != found_.m_id) {
    return MakeStatus(Code::kUnavailable,
                      absl::StrCat("the metadata store in ", where_,
                                   " is another one than was opened; start again"),
                      client_->name());
  }
  Numbers numbers;
  numbers.epoch = stored.state.epoch;
  numbers.rev = stored.state.reserved;
  for (const auto& [name, mark] : stored.state.backends) {
    numbers.lanes[name] = {stored.alloc[name], mark.confirmed};
  }
  if (lane_here_.empty() || response.responses(1).response_range().kvs_size() == 0) return numbers;
  Head head;
  if (!DecodeHead(response.responses(1).response_range().kvs(0).value(), &head)) {
    return Damaged("the lane row", client_->name());
  }
  numbers.lanes[lane_here_].head = head.lane.head;
  return numbers;
}

absl::Status EtcdMetadata::ReadTopologyKey(std::string* topo, int64_t* mod) {
  pb::RangeResponse response;
  absl::Status status = client_->Range(RangeOf(TopologyKey(), "", 0), &response);
  if (!status.ok()) return status;
  topo->clear();
  *mod = 0;
  if (response.kvs_size() == 0) return status;
  *mod = response.kvs(0).mod_revision();
  return DecodeTopology(response.kvs(0).value(), client_->name(), topo);
}

absl::StatusOr<std::string> EtcdMetadata::ReadTopology() {
  std::string topo;
  int64_t mod = 0;
  absl::Status status = ReadTopologyKey(&topo, &mod);
  if (!status.ok()) return status;
  return topo;
}

absl::StatusOr<bool> EtcdMetadata::SwapTopology(const std::string& before,
                                                const std::string& after) {
  MutexLock lock(&mutex_);
  std::string topo;
  Also also;
  also.topo = &after;
  absl::Status status = ReadTopologyKey(&topo, &also.topo_mod);
  if (!status.ok()) return status;
  if (topo != before) return false;
  status = Write([](Stored*) {}, also);
  if (CodeOf(status) == Code::kConflict) return false;
  if (!status.ok()) return status;
  return true;
}

}  // namespace storage::etcd
