// What a batch puts into the transaction: objects, the expiry index, the counts
// of its collections and its entry in the log.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"
#include "src/backend/etcd/keys.h"
#include "src/backend/etcd/lane_txn.h"

namespace storage::etcd {
namespace {

// etcd's own limit, unless it was raised; log, numbers and head come on top.
constexpr int kMostOps = 128 - 3;

bool Gone(ChangeKind kind) { return kind == ChangeKind::kDelete || kind == ChangeKind::kExpire; }

}  // namespace

void EtcdLaneTxn::Put(const std::string& key, std::string value) {
  pb::PutRequest* const put = request_.add_success()->mutable_request_put();
  put->set_key(key);
  put->set_value(std::move(value));
}

void EtcdLaneTxn::Delete(const std::string& key) {
  request_.add_success()->mutable_request_delete_range()->set_key(key);
}

void EtcdLaneTxn::Expect(const std::string& key, int64_t etcd_mod) {
  pb::Compare* const compare = request_.add_compare();
  compare->set_target(pb::Compare::MOD);
  compare->set_key(key);
  compare->set_mod_revision(etcd_mod);
}

absl::Status EtcdLaneTxn::FetchFor(absl::Span<const Mutation> mutations) {
  Keys keys, collections;
  for (const Mutation& m : mutations) {
    keys.emplace_back(m.key);
    collections.emplace_back(m.collection);
  }
  return FetchKeys(keys, collections);
}

absl::Status EtcdLaneTxn::FetchKeys(const Keys& keys, const Keys& collections) {
  Keys unread;
  for (const std::string& key : keys) {
    if (!seen_.contains(key)) unread.push_back(key);
  }
  if (absl::Status status = Fetch(unread); !status.ok()) return status;
  std::map<std::string, bool> wanted;
  for (const std::string& collection : collections) {
    if (!kinds_->counts.contains(collection)) wanted[collection] = true;
  }
  for (const std::string& key : keys) {
    if (!seen_.find(key)->second.envelope && !kinds_->counts.contains("")) wanted[""] = true;
  }
  if (wanted.empty()) return absl::OkStatus();
  pb::TxnRequest request;
  for (const auto& [collection, unused] : wanted) AddRange(&request, KindKey(collection));
  pb::TxnResponse response;
  absl::Status status = store_->client().Read(request, &response, until_);
  if (!status.ok()) return status;
  int at = 0;
  for (const auto& [collection, unused] : wanted) {
    const pb::RangeResponse& range = response.responses(at++).response_range();
    KindCount& count = kinds_->counts[collection];
    if (range.kvs_size() > 0 && !DecodeKind(range.kvs(0).value(), &count)) {
      return Damaged(absl::StrCat("the count of ", collection), store_->name());
    }
  }
  return absl::OkStatus();
}

absl::Status EtcdLaneTxn::Apply(absl::Span<const Mutation> mutations, int64_t token) {
  if (applied_ || moved_ || decided_) return Misused("Apply comes once, before the guard");
  absl::Status legal = CheckMutations(mutations, lane_.head, store_->name());
  if (!legal.ok()) return legal;
  if (absl::Status status = FetchFor(mutations); !status.ok()) return status;
  batch_.token = token;
  batch_.prev_event = next_.last_event;
  batch_.events_before = next_.events;
  batch_.bytes_before = next_.event_bytes;
  for (const Mutation& mutation : mutations) {
    if (absl::Status status = Stage(mutation); !status.ok()) return status;
  }
  for (const auto& [collection, count] : counts_) Put(KindKey(collection), EncodeKind(count));
  if (absl::Status fits = CheckSize(mutations.size()); !fits.ok()) return fits;
  if (!batch_.changes.empty()) {
    next_.last_event = batch_.changes.back().rev;
    Put(LogKey(next_.last_event), EncodeBatch(batch_));
  }
  applied_ = true;
  return absl::OkStatus();
}

absl::Status EtcdLaneTxn::CheckSize(size_t objects) const {
  if (request_.success_size() <= kMostOps) return absl::OkStatus();
  return MakeStatus(Code::kTooLarge,
                    absl::StrCat("a batch of ", objects, " objects needs ", request_.success_size(),
                                 " operations; the limit is etcd's --max-txn-ops, 128"),
                    store_->name());
}

absl::Status EtcdLaneTxn::Stage(const Mutation& m) {
  const Seen& seen = seen_.find(m.key)->second;
  const bool exists = seen.etcd_mod != 0;
  if (exists == (m.kind == ChangeKind::kCreate)) {
    return Misused("Apply: a create of a key that exists, or a change of one that does not");
  }
  const std::string key(m.key);
  Expect(key, seen.etcd_mod);
  ObjectMeta next;
  if (Gone(m.kind)) {
    Delete(key);
  } else {
    next = {m.rev, exists ? seen.meta.create_rev : m.rev, m.expire_at_ms};
    Put(key, EncodeObject({next, m.attrs, m.value}));
  }
  StageExpiry(m, seen, next);
  Count(m, seen);
  rows_.emplace_back(key, Gone(m.kind) ? Seen() : Seen{0, true, next, Blob(m.value)});
  Change change;
  change.rev = m.rev;
  change.kind = m.kind;
  change.bytes = Gone(m.kind) ? 0 : static_cast<int64_t>(m.value.size());
  change.prev_bytes = static_cast<int64_t>(seen.value.size());
  change.key = key;
  ++next_.events;
  next_.event_bytes += change.prev_bytes;
  batch_.changes.push_back(std::move(change));
  return absl::OkStatus();
}

void EtcdLaneTxn::StageExpiry(const Mutation& m, const Seen& seen, const ObjectMeta& next) {
  const auto key_of = [](const ObjectMeta& meta) {
    return meta.expire_at_ms == 0 ? "" : ExpiryKey(meta.expire_at_ms, meta.create_rev);
  };
  const std::string old_key = key_of(seen.meta);
  const std::string new_key = key_of(next);
  // etcd takes one operation a key.
  if (!old_key.empty() && old_key != new_key) Delete(old_key);
  if (!new_key.empty()) Put(new_key, EncodeExpiry({next.mod_rev, std::string(m.key)}));
}

void EtcdLaneTxn::Count(const Mutation& m, const Seen& seen) {
  const auto of = [this](std::string_view collection) -> KindCount& {
    const auto at = counts_.find(collection);
    if (at != counts_.end()) return at->second;
    return counts_[std::string(collection)] = kinds_->counts.find(collection)->second;
  };
  if (seen.etcd_mod != 0) {
    // What was taken over is counted without a collection until it is written.
    KindCount& old = of(seen.envelope ? m.collection : "");
    --old.objects;
    old.bytes -= static_cast<int64_t>(seen.value.size());
  }
  KindCount& count = of(m.collection);
  if (Gone(m.kind)) return;
  ++count.objects;
  count.bytes += static_cast<int64_t>(m.value.size());
}

// The first adoption of an etcd that stock Kubernetes wrote to: its objects are
// taken over as they are, and counted.
absl::Status EtcdLaneTxn::TakeOver() {
  if (state_.foreign_objects == 0) return absl::OkStatus();
  std::string start, end;
  ToWire(Range(), &start, &end);
  KindCount count;
  int64_t leased = 0;
  absl::Status status = store_->Scan(start, end, state_.etcd_rev, 0,
                                     [&](const pb::KeyValue& kv) -> absl::StatusOr<bool> {
                                       ++count.objects;
                                       count.bytes += static_cast<int64_t>(kv.value().size());
                                       leased += kv.lease() != 0 ? 1 : 0;
                                       return true;
                                     });
  if (!status.ok()) return status;
  if (leased > 0) {
    return MakeStatus(Code::kInvalid,
                      absl::StrCat(leased,
                                   " keys of this etcd have a lease: etcd would delete "
                                   "them behind this server. Stop the API server that "
                                   "wrote them and wait until they expired (an hour), or "
                                   "delete them with etcdctl (events, masterleases)"),
                      store_->name());
  }
  next_.import_rev = state_.etcd_rev;
  Put(KindKey(""), EncodeKind(count));
  counts_[""] = count;
  return absl::OkStatus();
}

}  // namespace storage::etcd
