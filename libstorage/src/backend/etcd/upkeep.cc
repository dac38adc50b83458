// History: what may be compacted, and what a compaction from outside left.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/etcd/keys.h"
#include "src/backend/etcd/store.h"

namespace storage::etcd {

Store::Pin::Pin(Store* store) : store_(store) {
  MutexLock lock(&store->mutex_);
  at_ = store->pins_.insert(store->seen_.load());
}

Store::Pin::~Pin() {
  MutexLock lock(&store_->mutex_);
  store_->pins_.erase(at_);
}

void Store::Pin::MoveTo(int64_t etcd_rev) {
  MutexLock lock(&store_->mutex_);
  store_->pins_.erase(at_);
  at_ = store_->pins_.insert(etcd_rev);
}

// The state at a revision R is etcd's just before the first batch above R. So
// everything before that of the floor may go: the floor that the oldest open
// snapshot was promised.
absl::Status Store::CompactEtcd() {
  absl::StatusOr<LaneState> now = ReadLane(0);
  if (!now.ok()) return now.status();
  if (now->head_mod == 0) return absl::OkStatus();  // not ours to compact
  LaneState oldest = *now;
  {
    // After the read: a snapshot that comes later reads at or above it.
    MutexLock lock(&mutex_);
    if (!pins_.empty()) oldest.etcd_rev = std::min(oldest.etcd_rev, *pins_.begin());
    if (oldest.etcd_rev <= compacted_) return absl::OkStatus();
  }
  if (oldest.etcd_rev != now->etcd_rev) {
    absl::StatusOr<LaneState> then = ReadLane(oldest.etcd_rev);
    if (!then.ok()) return then.status();
    oldest = *then;
  }
  absl::StatusOr<Logged> next = FirstAbove(oldest.head.lane.floor, oldest.etcd_rev);
  if (!next.ok()) return next.status();
  const int64_t upto = next->etcd_rev > 0 ? next->etcd_rev - 1 : oldest.etcd_rev;
  {
    MutexLock lock(&mutex_);
    if (upto <= compacted_) return absl::OkStatus();
  }
  if (absl::Status status = client_->Compact(upto); !status.ok()) return status;
  MutexLock lock(&mutex_);
  compacted_ = std::max(compacted_, upto);
  return absl::OkStatus();
}

// etcd does not say how far it is compacted; it refuses reads below.
absl::StatusOr<int64_t> Store::OldestReadable(int64_t newest) {
  int64_t low = 0;
  {
    MutexLock lock(&mutex_);
    low = std::max<int64_t>(compacted_, 1);
  }
  while (low < newest) {
    const int64_t middle = low + (newest - low) / 2;
    pb::RangeRequest request = RangeOf(HeadKey(), "", middle);
    request.set_count_only(true);
    pb::RangeResponse response;
    const absl::Status status = client_->Range(request, &response);
    if (status.ok()) {
      newest = middle;
    } else if (CodeOf(status) == Code::kCompacted) {
      low = middle + 1;
    } else {
      return status;
    }
  }
  return low;
}

absl::StatusOr<int64_t> Store::FindFloorLeft() {
  absl::StatusOr<LaneState> now = ReadLane(0);
  if (!now.ok()) return now.status();
  absl::StatusOr<int64_t> oldest = OldestReadable(now->etcd_rev);
  if (!oldest.ok()) return oldest.status();
  pb::RangeRequest request = RangeOf(LogPrefix(), PrefixEnd(LogPrefix()), 0);
  request.set_min_mod_revision(*oldest + 1);
  request.set_limit(1);
  pb::RangeResponse response;
  if (absl::Status status = client_->Range(request, &response); !status.ok()) return status;
  int64_t floor = now->head.lane.head;
  if (response.kvs_size() > 0) {
    Batch batch;
    if (!DecodeBatch(response.kvs(0).value(), &batch)) return Damaged("a batch of the log", name());
    floor = std::min(floor, batch.prev_event);
  }
  int64_t known = outside_floor_.load();
  while (floor > known && !outside_floor_.compare_exchange_weak(known, floor)) {
  }
  if (floor > known && client_->logger() != nullptr) {
    client_->logger()->Log(
        LogLevel::kWarning,
        absl::StrCat("backend ", name(),
                     ": etcd was compacted by somebody else: history begins at ", floor,
                     " now; turn --auto-compaction-retention off, and stop a stock "
                     "kube-apiserver that uses the same etcd"));
  }
  return std::max(floor, now->head.lane.floor);
}

}  // namespace storage::etcd
