// The commit of a lane transaction: sent once, and what its answer means.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"
#include "src/backend/etcd/errors.h"
#include "src/backend/etcd/keys.h"
#include "src/backend/etcd/lane_txn.h"

namespace storage::etcd {
namespace {

// Others write the lane: for so long it is read before each batch.
constexpr absl::Duration kOthers = absl::Milliseconds(200);
constexpr auto kLeastCommitTime = std::chrono::milliseconds(1000);

}  // namespace

absl::Status EtcdLaneTxn::Commit() {
  if (!decided_ || committed_) return Misused("Commit without a guard that agreed");
  committed_ = true;
  ++next_.lane.ver;
  Expect(HeadKey(), state_.head_mod);
  Put(HeadKey(), EncodeHead(next_));
  request_.add_failure()->mutable_request_range()->set_key(HeadKey());
  if (took_) request_.add_failure()->mutable_request_range()->set_key(StateKey());
  if (applied_) store_->Remember(batch_.token, next_.first);
  kinds_->head_mod = -1;  // until it is known
  memory_->state.reset();
  pb::TxnResponse response;
  const SteadyTime least = std::chrono::steady_clock::now() + kLeastCommitTime;
  absl::Status status = store_->client().Write(request_, &response, std::max(until_, least));
  if (CodeOf(status) == Code::kNoSpace) return DespiteNoSpace(status);
  if (!status.ok()) return status;
  if (!response.succeeded()) return Refused(response);
  kinds_->head_mod = response.header().revision();
  for (auto& [collection, count] : counts_) kinds_->counts[collection] = count;
  RememberCommit(response.header().revision());
  return absl::OkStatus();
}

void EtcdLaneTxn::RememberCommit(int64_t etcd_rev) {
  if (moved_) memory_->rows.Clear();
  for (auto& [key, seen] : rows_) {
    if (!seen.value.present()) {
      memory_->rows.Erase(key);
      continue;
    }
    seen.etcd_mod = etcd_rev;
    memory_->rows.Put(key, std::move(seen));
  }
  LaneState now = state_;
  now.head = next_;
  now.head_mod = now.etcd_rev = etcd_rev;
  now.foreign_objects = 0;
  if (took_) {
    now.numbers = std::move(next_numbers_);
    now.numbers_mod = etcd_rev;
  }
  memory_->state = std::move(now);
}

// A failed compare is a conflict only when the head does not carry our name: a
// request that arrived twice is compared with its own effect.
absl::Status EtcdLaneTxn::Refused(const pb::TxnResponse& response) {
  Head found;
  int64_t found_mod = 0;
  if (response.responses_size() > 0 && response.responses(0).response_range().kvs_size() > 0) {
    const pb::KeyValue& kv = response.responses(0).response_range().kvs(0);
    found_mod = kv.mod_revision();
    if (!DecodeHead(kv.value(), &found)) return Damaged("the lane row", store_->name());
  }
  if (found_mod != 0 && found.txn == next_.txn) return absl::OkStatus();
  return OthersWrote(found, found_mod, response);
}

absl::Status EtcdLaneTxn::OthersWrote(const Head& found, int64_t found_mod,
                                      const pb::TxnResponse& response) {
  for (const auto& [key, unused] : rows_) memory_->rows.Erase(key);
  if (found_mod != state_.head_mod) memory_->not_before = SteadyAfter(kOthers);
  if (took_ && response.responses_size() > 1) {
    const pb::RangeResponse& numbers = response.responses(1).response_range();
    const bool same = numbers.kvs_size() > 0 && numbers.kvs(0).mod_revision() == state_.numbers_mod;
    if (!same) return NumbersWentOn(handed_out(), store_->name());
  }
  if (assumed_) return MakeStatus(Code::kBusy, "the lane is not as remembered", store_->name());
  if (found_mod == state_.head_mod) {
    return MakeStatus(Code::kInvalid,
                      "an object changed while nobody held the lane: something else writes to "
                      "this etcd (a stock kube-apiserver?); stop it",
                      store_->name());
  }
  return MakeStatus(Code::kBusy,
                    absl::StrCat("lane guard: another process committed version ", found.lane.ver,
                                 " with head ", found.lane.head),
                    store_->name());
}

// A member that finds its quota used up while it applies a request executes it and
// answers "no space" all the same (etcd's quotaApplierV3). What it answered is
// decided by then, so a linearizable look at the head tells which it was.
absl::Status EtcdLaneTxn::DespiteNoSpace(const absl::Status& refusal) {
  pb::TxnRequest look;
  look.add_success()->mutable_request_range()->set_key(HeadKey());
  pb::TxnResponse response;
  if (!store_->client().Read(look, &response).ok()) {
    return Unknown(refusal);
  }
  const pb::ResponseOp* const answer =
      response.responses_size() > 0 ? &response.responses(0) : nullptr;
  if (answer == nullptr || answer->response_range().kvs_size() == 0) return refusal;
  Head found;
  if (!DecodeHead(answer->response_range().kvs(0).value(), &found)) {
    return Damaged("the lane row", store_->name());
  }
  return found.txn == next_.txn ? absl::OkStatus() : refusal;
}

}  // namespace storage::etcd
