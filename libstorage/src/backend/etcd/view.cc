#include "src/backend/etcd/view.h"

#include <utility>

#include "src/backend/etcd/keys.h"

namespace storage::etcd {
namespace {

bool Gone(ChangeKind kind) { return kind == ChangeKind::kDelete || kind == ChangeKind::kExpire; }

bool Below(const std::string& key, const std::string& wire_end) {
  return wire_end == std::string(1, '\0') || key < wire_end;
}

// Counts rows to a limit.
class Rows {
 public:
  Rows(Store* store, const Lane& lane, int64_t limit, const RowSink& sink)
      : store_(store), lane_(lane), limit_(limit), sink_(sink) {}

  absl::StatusOr<bool> Add(const pb::KeyValue& kv) {
    Row row;
    if (absl::Status status = store_->ToRow(kv, lane_, &row); !status.ok()) return status;
    more_ = sink_(row) && ++rows_ != limit_;
    return more_;
  }
  bool more() const { return more_; }

 private:
  Store* const store_;
  const Lane& lane_;
  const int64_t limit_;
  const RowSink& sink_;
  int64_t rows_ = 0;
  bool more_ = true;
};

}  // namespace

absl::StatusOr<View> View::At(Store* store, const LaneState& state, int64_t rev) {
  const Lane& lane = state.head.lane;
  View view(store, lane, state.etcd_rev);
  if (rev == 0 || rev == lane.head) return view;
  absl::StatusOr<Logged> next = store->FirstAbove(rev, state.etcd_rev);
  if (!next.ok()) return next.status();
  if (next->etcd_rev == 0) return view;
  view.base_ = next->etcd_rev - 1;
  view.change_at_ = next->etcd_rev;
  for (const Change& change : next->batch.changes) {
    if (change.rev <= rev) view.changes_[change.key] = change.kind;
  }
  return view;
}

absl::StatusOr<View::Changes> View::Load(const std::string& start, const std::string& end) const {
  Changes loaded;
  pb::TxnRequest request;
  for (auto it = changes_.lower_bound(start); it != changes_.end(); ++it) {
    if (!Below(it->first, end)) break;
    loaded[it->first].kind = it->second;
    if (!Gone(it->second)) AddRange(&request, it->first, change_at_);
  }
  if (request.success_size() == 0) return loaded;
  pb::TxnResponse response;
  if (absl::Status status = store_->client().Read(request, &response); !status.ok()) return status;
  for (pb::ResponseOp& op : *response.mutable_responses()) {
    for (pb::KeyValue& kv : *op.mutable_response_range()->mutable_kvs()) {
      Changed& changed = loaded[kv.key()];
      changed.kv = std::move(kv);
    }
  }
  return loaded;
}

absl::Status View::List(const Range& range, int64_t limit, const RowSink& sink) {
  std::string start, end;
  if (!ToWire(range, &start, &end)) return absl::OkStatus();
  absl::StatusOr<Changes> changes = Load(start, end);
  if (!changes.ok()) return changes.status();
  Rows rows(store_, lane_, limit, sink);
  auto next = changes->begin();
  // Changed keys up to a key of the base, itself excluded.
  const auto add_until = [&](const std::string* key) -> absl::StatusOr<bool> {
    for (; next != changes->end() && (key == nullptr || next->first < *key); ++next) {
      if (Gone(next->second.kind)) continue;
      absl::StatusOr<bool> more = rows.Add(next->second.kv);
      if (!more.ok() || !*more) return more;
    }
    return true;
  };
  const int64_t most = limit > 0 ? limit + static_cast<int64_t>(changes->size()) : 0;
  absl::Status status =
      store_->Scan(start, end, base_, most, [&](const pb::KeyValue& kv) -> absl::StatusOr<bool> {
        absl::StatusOr<bool> more = add_until(&kv.key());
        if (!more.ok() || !*more) return more;
        if (next == changes->end() || next->first != kv.key()) return rows.Add(kv);
        const Changed& changed = (next++)->second;
        return Gone(changed.kind) ? true : rows.Add(changed.kv);
      });
  if (!status.ok() || !rows.more()) return status;
  return add_until(nullptr).status();
}

absl::StatusOr<int64_t> View::Count(const Range& range) {
  std::string start, end;
  if (!ToWire(range, &start, &end)) return 0;
  pb::RangeRequest request = RangeOf(start, end, base_);
  request.set_count_only(true);
  pb::RangeResponse response;
  if (absl::Status status = store_->client().Range(request, &response); !status.ok()) return status;
  int64_t count = response.count();
  for (const auto& [key, kind] : changes_) {
    if (key < start || !Below(key, end)) continue;
    if (kind == ChangeKind::kCreate) ++count;
    if (Gone(kind)) --count;
  }
  return count;
}

}  // namespace storage::etcd
