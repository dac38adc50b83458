#include "src/backend/etcd/snapshot.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"
#include "src/backend/etcd/events.h"
#include "src/backend/etcd/keys.h"
#include "src/backend/etcd/view.h"

namespace storage::etcd {

absl::StatusOr<std::unique_ptr<EtcdSnapshot>> EtcdSnapshot::Open(Store* store) {
  std::unique_ptr<EtcdSnapshot> snapshot(new EtcdSnapshot(store));
  absl::StatusOr<LaneState> state = store->ReadLane(0);
  if (!state.ok()) return state.status();
  snapshot->state_ = *std::move(state);
  snapshot->pin_.MoveTo(snapshot->state_.etcd_rev);
  return snapshot;
}

absl::Status EtcdSnapshot::Overtaken(int64_t rev, const absl::Status& status) const {
  if (CodeOf(status) != Code::kCompacted) return status;
  absl::StatusOr<int64_t> floor = store_->FindFloorLeft();
  if (!floor.ok()) return floor.status();
  if (rev == 0 || rev >= *floor) {
    return MakeStatus(Code::kUnavailable,
                      "etcd was compacted by somebody else while it was read; read again",
                      store_->name(), DriverCodeOf(status));
  }
  return MakeStatus(Code::kCompacted,
                    absl::StrCat("revision ", rev, " is below the floor ", *floor,
                                 ", which a compaction of etcd from outside left"),
                    store_->name(), DriverCodeOf(status));
}

absl::Status EtcdSnapshot::Get(std::string_view key, int64_t rev, const RowSink& sink) {
  const std::string start(key);
  return List(Range{start, start + '\0'}, rev, 1, sink);
}

absl::Status EtcdSnapshot::List(const Range& range, int64_t rev, int64_t limit,
                                const RowSink& sink) {
  if (absl::Status legal = CheckReadRevision(lane(), rev, store_->name()); !legal.ok()) {
    return legal;
  }
  absl::StatusOr<View> view = View::At(store_, state_, rev);
  return Overtaken(rev, view.ok() ? view->List(range, limit, sink) : view.status());
}

absl::StatusOr<int64_t> EtcdSnapshot::Count(const Range& range, int64_t rev) {
  if (absl::Status legal = CheckReadRevision(lane(), rev, store_->name()); !legal.ok()) {
    return legal;
  }
  absl::StatusOr<View> view = View::At(store_, state_, rev);
  absl::StatusOr<int64_t> count = view.ok() ? view->Count(range) : view.status();
  if (!count.ok()) return Overtaken(rev, count.status());
  return count;
}

absl::Status EtcdSnapshot::Events(const Range& range, int64_t after, int64_t upto, int64_t limit,
                                  const EventSink& sink) {
  if (absl::Status legal = CheckEventsAfter(lane(), after, store_->name()); !legal.ok()) {
    return legal;
  }
  EventReader reader(store_, range, after, upto, limit, sink);
  return Overtaken(after, reader.Run(state_.etcd_rev));
}

absl::Status EtcdSnapshot::Expired(int64_t now_ms, int64_t limit, const RowSink& sink) {
  const std::string prefix = ExpiryPrefix();
  // Up to the last key of the millisecond now_ms, whatever its create revision.
  const std::string end = PrefixEnd(prefix + Digits(now_ms));
  int64_t rows = 0;
  if (now_ms < 0) return absl::OkStatus();
  return store_->Scan(
      prefix, end, state_.etcd_rev, limit, [&](const pb::KeyValue& kv) -> absl::StatusOr<bool> {
        const std::string_view name = std::string_view(kv.key()).substr(prefix.size());
        Expiry expiry;
        if (name.size() != 32 || !DecodeExpiry(kv.value(), &expiry)) {
          return Damaged("an entry of the expiry index", store_->name());
        }
        const ObjectMeta meta{expiry.mod_rev, NumberOf(name.substr(16)),
                              NumberOf(name.substr(0, 16))};
        return sink(Row{expiry.key, "", "", meta}) && ++rows != limit;
      });
}

absl::StatusOr<int64_t> EtcdSnapshot::NextExpiryMs() {
  const std::string prefix = ExpiryPrefix();
  int64_t next = 0;
  const absl::Status status =
      store_->Scan(prefix, PrefixEnd(prefix), state_.etcd_rev, 1, [&](const pb::KeyValue& kv) {
        next = NumberOf(std::string_view(kv.key()).substr(prefix.size()).substr(0, 16));
        return false;
      });
  if (!status.ok()) return status;
  return next;
}

absl::StatusOr<bool> EtcdSnapshot::HasToken(int64_t token) {
  // Of a batch that this process tried it is known where it would be.
  const int64_t first = store_->FirstOf(token);
  bool found = false;
  const absl::Status status =
      store_->Log(first > 0 ? first - 1 : 0, state_.etcd_rev, 0, [&](const Logged& logged) {
        found = logged.batch.token == token;
        return !found;
      });
  if (!status.ok()) return status;
  return found;
}

}  // namespace storage::etcd
