#include "src/backend/etcd/events.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/etcd/keys.h"

namespace storage::etcd {
namespace {

constexpr size_t kMostEvents = 60;  // two reads each: below etcd's 128
constexpr int64_t kMostBytes = 4 << 20;

bool HasBefore(ChangeKind kind) { return kind != ChangeKind::kCreate; }
bool HasAfter(ChangeKind kind) {
  return kind == ChangeKind::kCreate || kind == ChangeKind::kUpdate;
}

}  // namespace

bool EventReader::Wants(const Change& change) const {
  return change.rev > after_ && change.rev <= upto_ && change.key >= range_.start &&
         (range_.end.empty() || change.key < range_.end);
}

absl::Status EventReader::Run(int64_t etcd_rev) {
  absl::Status status =
      store_->Log(after_, etcd_rev, limit_, [&](const Logged& logged) -> absl::StatusOr<bool> {
        for (const Change& change : logged.batch.changes) {
          if (change.rev > upto_) return false;
          if (!Wants(change)) continue;
          wanted_.push_back({logged.etcd_rev, change});
          bytes_ += change.bytes + change.prev_bytes;
          const bool enough = limit_ > 0 && rows_ + static_cast<int64_t>(wanted_.size()) >= limit_;
          if (!enough && wanted_.size() < kMostEvents && bytes_ < kMostBytes) continue;
          absl::StatusOr<bool> more = Flush();
          if (!more.ok() || !*more) return more;
        }
        return true;
      });
  if (!status.ok()) return status;
  return Flush().status();
}

absl::StatusOr<bool> EventReader::Flush() {
  if (wanted_.empty()) return true;
  const std::vector<Wanted> wanted = std::exchange(wanted_, {});
  bytes_ = 0;
  pb::TxnRequest request;
  for (const Wanted& each : wanted) {
    const Change& change = each.change;
    if (HasBefore(change.kind)) AddRange(&request, change.key, each.etcd_rev - 1);
    if (HasAfter(change.kind)) AddRange(&request, change.key, each.etcd_rev);
  }
  pb::TxnResponse response;
  if (absl::Status status = store_->client().Read(request, &response); !status.ok()) return status;
  int at = 0;
  const auto next = [&](bool has) -> const pb::KeyValue* {
    if (!has || at >= response.responses_size()) return nullptr;
    const pb::RangeResponse& range = response.responses(at++).response_range();
    return range.kvs_size() == 0 ? nullptr : &range.kvs(0);
  };
  for (const Wanted& each : wanted) {
    const pb::KeyValue* const before = next(HasBefore(each.change.kind));
    const pb::KeyValue* const after = next(HasAfter(each.change.kind));
    absl::StatusOr<bool> more = Hand(each, before, after);
    if (!more.ok() || !*more) return more;
  }
  return true;
}

absl::StatusOr<bool> EventReader::Hand(const Wanted& wanted, const pb::KeyValue* before,
                                       const pb::KeyValue* after) {
  const Change& change = wanted.change;
  if ((before == nullptr) == HasBefore(change.kind) ||
      (after == nullptr) == HasAfter(change.kind)) {
    return MakeStatus(Code::kCorrupt,
                      absl::StrCat("the object ", change.key, " is not as the batch of revision ",
                                   change.rev, " left it: somebody else writes to this etcd"),
                      store_->name());
  }
  EventRow event;
  event.rev = change.rev;
  event.kind = change.kind;
  event.key = change.key;
  Lane lane;
  lane.head = change.rev - 1;  // what stock Kubernetes wrote came before it
  Row row;
  if (before != nullptr) {
    if (absl::Status status = store_->ToRow(*before, lane, &row); !status.ok()) return status;
    event.prev_value = row.value;
    event.prev = row.meta;
  }
  if (after != nullptr) {
    if (absl::Status status = store_->ToRow(*after, lane, &row); !status.ok()) return status;
    event.value = row.value;
  }
  return sink_(event) && ++rows_ != limit_;
}

}  // namespace storage::etcd
