#include "src/backend/etcd/lane_txn.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"
#include "src/backend/etcd/keys.h"

namespace storage::etcd {
namespace {

constexpr size_t kReads = 100;  // in one transaction: below etcd's 128

}  // namespace

EtcdLaneTxn::EtcdLaneTxn(Store* store, KindCache* kinds, LaneMemory* memory, LaneState state,
                         bool assumed, SteadyTime until, std::function<void()> release)
    : store_(store),
      kinds_(kinds),
      memory_(memory),
      state_(std::move(state)),
      assumed_(assumed),
      lane_(state_.head.lane),
      until_(until),
      release_(std::move(release)),
      next_(state_.head) {
  if (kinds_->head_mod != state_.head_mod) *kinds_ = KindCache{state_.head_mod, {}};
  std::random_device device;
  next_.txn = static_cast<int64_t>(uint64_t{device()} << 32 | device());
}

// etcd has no clock that it tells: that of this machine.
int64_t EtcdLaneTxn::NowMs() { return SystemNowMs(); }

absl::Status EtcdLaneTxn::Misused(const char* what) const {
  return MakeStatus(Code::kInternal, what, store_->name());
}

absl::Status EtcdLaneTxn::CheckOwner(const LaneOwner& owner) const {
  if (decided_) return Misused("a lane transaction is decided once");
  const bool ours = lane_.m_id == owner.m_id && lane_.epoch == owner.epoch;
  if (ours && lane_.gen == owner.gen) return absl::OkStatus();
  return GuardRefused(lane_, owner, store_->name());
}

absl::Status EtcdLaneTxn::Read(absl::Span<const std::string_view> keys, absl::Span<Current> out) {
  if (keys.size() != out.size() || committed_) return Misused("Read: sizes differ, or too late");
  if (absl::Status status = Fetch(Keys(keys.begin(), keys.end())); !status.ok()) return status;
  Answer(keys, out);
  return absl::OkStatus();
}

void EtcdLaneTxn::Answer(absl::Span<const std::string_view> keys, absl::Span<Current> out) const {
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto at = seen_.find(keys[i]);
    out[i] = at == seen_.end() || at->second.etcd_mod == 0
                 ? Current()
                 : Current{at->second.meta, at->second.value};
  }
}

// What is not remembered is taken to be absent, as it is for a create.
void EtcdLaneTxn::ReadMemory(absl::Span<const std::string_view> keys, absl::Span<Current> out) {
  for (const std::string_view key : keys) {
    const Seen* const seen = memory_->rows.Find(key);
    seen_[std::string(key)] = seen == nullptr ? Seen() : *seen;
  }
  Answer(keys, out);
}

absl::Status EtcdLaneTxn::ReadFound(absl::Span<const std::string_view> keys,
                                    absl::Span<const pb::RangeResponse> found,
                                    absl::Span<Current> out) {
  for (size_t i = 0; i < keys.size(); ++i) {
    absl::Status noticed = Notice(std::string(keys[i]), found[i]);
    if (!noticed.ok()) return noticed;
  }
  Answer(keys, out);
  return absl::OkStatus();
}

absl::Status EtcdLaneTxn::Fetch(const Keys& keys) {
  for (size_t from = 0; from < keys.size(); from += kReads) {
    absl::Status status = FetchSome(keys, from, std::min(keys.size(), from + kReads));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status EtcdLaneTxn::FetchSome(const Keys& keys, size_t from, size_t to) {
  pb::TxnRequest request;
  for (size_t i = from; i < to; ++i) {
    if (IsPrivate(keys[i])) {
      return MakeStatus(Code::kInvalid, "a key must not begin with a zero byte", store_->name());
    }
    AddRange(&request, keys[i]);
  }
  pb::TxnResponse response;
  absl::Status status = store_->client().Read(request, &response, until_);
  if (!status.ok()) return status;
  for (size_t i = from; i < to; ++i) {
    absl::Status noticed =
        Notice(keys[i], response.responses(static_cast<int>(i - from)).response_range());
    if (!noticed.ok()) return noticed;
  }
  return absl::OkStatus();
}

absl::Status EtcdLaneTxn::Notice(const std::string& key, const pb::RangeResponse& found) {
  Seen seen;
  if (found.kvs_size() > 0) {
    const pb::KeyValue& kv = found.kvs(0);
    seen.etcd_mod = kv.mod_revision();
    seen.envelope = HasEnvelope(kv.value());
    Row row;
    if (absl::Status status = store_->ToRow(kv, lane_, &row); !status.ok()) return status;
    seen.meta = row.meta;
    seen.value = Blob(row.value);
    if (absl::Status status = CheckForeign(key, seen); !status.ok()) return status;
  }
  seen_[key] = std::move(seen);
  return absl::OkStatus();
}

// Values without envelope are those that were there before us.
absl::Status EtcdLaneTxn::CheckForeign(const std::string& key, const Seen& seen) const {
  if (seen.envelope || state_.head_mod == 0) return absl::OkStatus();
  if (seen.etcd_mod <= state_.head.import_rev) return absl::OkStatus();
  return MakeStatus(
      Code::kInvalid,
      absl::StrCat("the object ", key, " was written past this server, at etcd's revision ",
                   seen.etcd_mod,
                   ": stop whatever else writes to this etcd (a stock kube-apiserver?); then save "
                   "the value (etcdctl get), delete the key (etcdctl del) and create it again"),
      store_->name());
}

// The compare of the state's revision is that of any take. No compare of a claim: what
// the state says of the epoch decides, and claims only keep others from beginning one.
absl::Status EtcdLaneTxn::Take(const LaneOwner& owner, int64_t first, int64_t last) {
  const int64_t out = handed_out();
  if (took_ || decided_ || out == 0 || first != out + 1) {
    return Misused("Take comes once, behind Apply, with the numbers that are next");
  }
  Stored next = state_.numbers;
  if (next.state.m_id != owner.m_id || next.state.epoch != owner.epoch) {
    return NumbersWentOn(out, store_->name());
  }
  const std::string& lane = store_->lane_in_numbers();
  next.txn = next_.txn;
  next.state.reserved = next.alloc[lane] = last;
  next.state.clean = false;
  BackendMark& mark = next.state.backends[lane];
  mark.confirmed = std::max(mark.confirmed, lane_.head);
  Expect(StateKey(), state_.numbers_mod);
  Put(StateKey(), EncodeState(next));
  next_numbers_ = std::move(next);
  took_ = true;
  return absl::OkStatus();
}

absl::Status EtcdLaneTxn::Guard(const LaneOwner& owner, int64_t first, int64_t last) {
  const int64_t lowest = batch_.changes.empty() ? 0 : batch_.changes.front().rev;
  const int64_t highest = batch_.changes.empty() ? 0 : batch_.changes.back().rev;
  absl::Status fits = CheckBatchRange(lowest, highest, first, last, store_->name());
  if (!fits.ok()) return fits;
  absl::Status owned = CheckOwner(owner);
  if (!owned.ok()) return owned;
  if (lane_.head >= first) return GuardRefused(lane_, owner, store_->name());
  next_.lane.head = last;
  next_.token = batch_.token;
  next_.first = first;
  next_.last = last;
  decided_ = true;
  return absl::OkStatus();
}

absl::Status EtcdLaneTxn::Void(const LaneOwner& owner, int64_t to) {
  if (applied_) return Misused("a batch needs Guard, not Void");
  absl::Status owned = CheckOwner(owner);
  if (!owned.ok()) return owned;
  next_.lane.head = std::max(lane_.head, to);
  decided_ = true;
  return absl::OkStatus();
}

absl::Status EtcdLaneTxn::Adopt(const LaneOwner& owner, int64_t jump_to) {
  if (applied_ || decided_) return Misused("Adopt stands alone in its transaction");
  absl::Status legal = CheckJump(lane_, jump_to, store_->name());
  if (!legal.ok()) return legal;
  if (state_.head_mod == 0) {
    if (absl::Status status = TakeOver(); !status.ok()) return status;
  }
  next_.lane.m_id = owner.m_id;
  next_.lane.epoch = owner.epoch;
  next_.lane.gen = owner.gen;
  if (jump_to > 0) next_.lane.head = next_.lane.floor = jump_to;
  decided_ = true;
  return absl::OkStatus();
}

absl::Status EtcdLaneTxn::RaiseFloor(const LaneOwner& owner, int64_t target) {
  if (applied_) return Misused("a batch needs Guard, not RaiseFloor");
  absl::Status owned = CheckOwner(owner);
  if (!owned.ok()) return owned;
  next_.lane.floor = std::max(lane_.floor, std::min(target, lane_.head));
  decided_ = true;
  return absl::OkStatus();
}

}  // namespace storage::etcd
