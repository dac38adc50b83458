#include "src/backend/etcd/store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/etcd/keys.h"

namespace storage::etcd {
namespace {

constexpr int64_t kFirstPage = 100;
constexpr int64_t kMostRows = 10000;
constexpr int64_t kPageBytes = 1 << 20;
constexpr size_t kTokens = 64;

absl::Status DecodeLane(const pb::KeyValue& kv, LaneState* state, const std::string& backend) {
  if (kv.key() == HeadKey()) {
    state->head_mod = kv.mod_revision();
    if (!DecodeHead(kv.value(), &state->head)) return Damaged("the lane row", backend);
  } else if (kv.key() == TrimKey()) {
    state->trim_mod = kv.mod_revision();
    if (!DecodeTrim(kv.value(), &state->trim)) return Damaged("the trim mark", backend);
  }
  return absl::OkStatus();
}

}  // namespace

pb::RangeRequest RangeOf(const std::string& start, const std::string& end, int64_t at) {
  pb::RangeRequest request;
  request.set_key(start);
  request.set_range_end(end);
  request.set_revision(at);
  return request;
}

void AddRange(pb::TxnRequest* txn, const std::string& key, int64_t at) {
  pb::RangeRequest* const range = txn->add_success()->mutable_request_range();
  range->set_key(key);
  range->set_revision(at);
}

void Store::Saw(int64_t etcd_rev) {
  int64_t seen = seen_.load();
  while (etcd_rev > seen && !seen_.compare_exchange_weak(seen, etcd_rev)) {
  }
}

absl::StatusOr<LaneState> Store::ReadLane(int64_t at, SteadyTime until) {
  pb::RangeResponse response;
  const absl::Status status =
      client_->Range(RangeOf(LanePrefix(), PrefixEnd(LanePrefix()), at), &response, until);
  if (!status.ok()) return status;
  Saw(response.header().revision());
  return LaneOf(response, at == 0 ? response.header().revision() : at, until);
}

absl::StatusOr<LaneState> Store::ReadLaneAndNumbers(absl::Span<const std::string_view> keys,
                                                    std::vector<pb::RangeResponse>* found,
                                                    SteadyTime until) {
  const bool with_numbers = !lane_in_numbers_.empty();
  pb::TxnRequest request;
  *request.add_success()->mutable_request_range() =
      RangeOf(LanePrefix(), PrefixEnd(LanePrefix()), 0);
  if (with_numbers) AddRange(&request, StateKey());
  for (const std::string_view key : keys) AddRange(&request, std::string(key));
  pb::TxnResponse response;
  if (absl::Status status = client_->Read(request, &response, until); !status.ok()) return status;
  Saw(response.header().revision());
  for (int i = with_numbers ? 2 : 1; i < response.responses_size(); ++i) {
    found->push_back(std::move(*response.mutable_responses(i)->mutable_response_range()));
  }
  absl::StatusOr<LaneState> state =
      LaneOf(response.responses(0).response_range(), response.header().revision(), until);
  if (!state.ok() || !with_numbers) return state;
  const pb::RangeResponse& numbers = response.responses(1).response_range();
  if (numbers.kvs_size() == 0) return state;
  absl::Status decoded = DecodeState(numbers.kvs(0).value(), name(), &state->numbers);
  if (!decoded.ok()) return decoded;
  state->numbers_mod = numbers.kvs(0).mod_revision();
  return state;
}

absl::StatusOr<bool> Store::ShareNumbers(const NumbersPlace& place) {
  pb::TxnRequest request;
  AddRange(&request, StateKey());
  AddRange(&request, place.mark);
  pb::TxnResponse response;
  if (absl::Status status = client_->Read(request, &response); !status.ok()) return status;
  const pb::RangeResponse& numbers = response.responses(0).response_range();
  const bool marked = response.responses(1).response_range().kvs_size() > 0;
  if (absl::StrCat(response.header().cluster_id()) != place.place || !marked) return false;
  if (numbers.kvs_size() == 0) return false;
  Stored stored;
  absl::Status decoded = DecodeState(numbers.kvs(0).value(), name(), &stored);
  if (!decoded.ok()) return decoded;
  if (stored.state.m_id != place.m_id || stored.has_topo) return false;
  lane_in_numbers_ = place.lane;
  return true;
}

absl::StatusOr<LaneState> Store::LaneOf(const pb::RangeResponse& response, int64_t etcd_rev,
                                        SteadyTime until) {
  LaneState state;
  state.etcd_rev = etcd_rev;
  for (const pb::KeyValue& kv : response.kvs()) {
    if (absl::Status decoded = DecodeLane(kv, &state, name()); !decoded.ok()) return decoded;
  }
  Lane& lane = state.head.lane;
  if (state.head_mod == 0) {
    if (absl::Status counted = CountForeign(&state, until); !counted.ok()) return counted;
    // What stock Kubernetes wrote has etcd's revisions: ours begin above them.
    if (state.foreign_objects > 0) lane.head = lane.floor = state.etcd_rev;
  }
  ApplyOutsideFloor(&lane);
  return state;
}

void Store::ApplyOutsideFloor(Lane* lane) const {
  lane->floor = std::max(lane->floor, std::min(lane->head, outside_floor_.load()));
}

absl::Status Store::CountForeign(LaneState* state, SteadyTime until) {
  std::string start, end;
  ToWire(Range(), &start, &end);
  pb::RangeRequest request = RangeOf(start, end, state->etcd_rev);
  request.set_count_only(true);
  pb::RangeResponse response;
  absl::Status status = client_->Range(request, &response, until);
  state->foreign_objects = response.count();
  return status;
}

absl::Status Store::Scan(const std::string& start, const std::string& end, int64_t at, int64_t most,
                         const KvSink& sink) {
  std::string next = start;
  int64_t page = most > 0 ? std::min(most, kFirstPage) : kFirstPage;
  for (;;) {
    pb::RangeRequest request = RangeOf(next, end, at);
    request.set_limit(page);
    pb::RangeResponse response;
    if (absl::Status status = client_->Range(request, &response); !status.ok()) return status;
    int64_t bytes = 1;
    for (const pb::KeyValue& kv : response.kvs()) {
      bytes += static_cast<int64_t>(kv.value().size() + kv.key().size());
      absl::StatusOr<bool> more = sink(kv);
      if (!more.ok()) return more.status();
      if (!*more) return absl::OkStatus();
    }
    const int64_t rows = response.kvs_size();
    if (!response.more() || rows == 0) return absl::OkStatus();
    next = response.kvs(static_cast<int>(rows) - 1).key() + '\0';
    page = std::clamp(kPageBytes * rows / bytes, int64_t{1}, kMostRows);
  }
}

absl::Status Store::Log(int64_t rev, int64_t at, int64_t page, const LoggedSink& sink) {
  const KvSink decode = [&](const pb::KeyValue& kv) -> absl::StatusOr<bool> {
    Logged logged;
    logged.etcd_rev = kv.mod_revision();
    if (!DecodeBatch(kv.value(), &logged.batch)) return Damaged("a batch of the log", name());
    return sink(logged);
  };
  return Scan(LogKey(std::max<int64_t>(rev, 0) + 1), PrefixEnd(LogPrefix()), at, page, decode);
}

absl::StatusOr<Logged> Store::FirstAbove(int64_t rev, int64_t at) {
  Logged first;
  const absl::Status status = Log(rev, at, 1, [&](const Logged& logged) {
    first = logged;
    return false;
  });
  if (!status.ok()) return status;
  return first;
}

absl::Status Store::ToRow(const pb::KeyValue& kv, const Lane& lane, Row* row) const {
  row->key = kv.key();
  row->attrs = {};
  if (!HasEnvelope(kv.value())) {
    // Written by stock Kubernetes. Beside us (which is refused) its revisions
    // would be of another sequence: never above what we promise.
    row->value = kv.value();
    row->meta = {std::min(kv.mod_revision(), std::max<int64_t>(1, lane.head)),
                 std::min(kv.create_revision(), std::max<int64_t>(1, lane.head)), 0};
    return absl::OkStatus();
  }
  Object object;
  if (!DecodeObject(kv.value(), &object)) {
    return Damaged(absl::StrCat("the object ", kv.key()), name());
  }
  row->value = object.value;
  row->attrs = object.attrs;
  row->meta = object.meta;
  return absl::OkStatus();
}

void Store::Remember(int64_t token, int64_t first) {
  MutexLock lock(&mutex_);
  if (tokens_.size() >= kTokens) tokens_.erase(tokens_.begin());
  tokens_[token] = first;
}

int64_t Store::FirstOf(int64_t token) {
  MutexLock lock(&mutex_);
  const auto at = tokens_.find(token);
  return at == tokens_.end() ? 0 : at->second;
}

}  // namespace storage::etcd
