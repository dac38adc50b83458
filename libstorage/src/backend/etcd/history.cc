// Deleting history: first our own log, exactly and by rows, then whatever of
// etcd's history nobody can ask for any more. And the numbers of Stats.
#include <algorithm>
#include <utility>

#include "src/backend/etcd/etcd_backend.h"
#include "src/backend/etcd/keys.h"

namespace storage::etcd {
namespace {

constexpr int64_t kLogPage = 100;

}  // namespace

absl::StatusOr<int64_t> EtcdBackend::DeleteHistory(int64_t max_rows) {
  if (absl::Status status = TakeLane(); !status.ok()) return status;
  absl::StatusOr<int64_t> gone = TrimSome(max_rows);
  ReleaseLane();
  compact_ = true;
  if (gone.ok()) return gone;
  // Also when etcd is full and takes no write of ours: compaction makes room.
  const absl::Status compacted = Maintain(true).status();
  return CodeOf(gone.status()) == Code::kNoSpace && !compacted.ok() ? compacted : gone;
}

absl::StatusOr<int64_t> EtcdBackend::TrimSome(int64_t max_rows) {
  absl::StatusOr<LaneState> state = store_.ReadLane(0);
  if (!state.ok()) return state.status();
  const int64_t floor = state->head.lane.floor;
  Trim trim = state->trim;
  int64_t rows = 0;
  const absl::Status status = store_.Log(trim.rev, state->etcd_rev, kLogPage,
                                         [&](const Logged& logged) -> absl::StatusOr<bool> {
                                           for (const Change& change : logged.batch.changes) {
                                             if (change.rev <= trim.rev) continue;
                                             if (change.rev > floor || rows >= max_rows)
                                               return false;
                                             trim.rev = change.rev;
                                             ++trim.events;
                                             trim.bytes += change.prev_bytes;
                                             ++rows;
                                           }
                                           return true;
                                         });
  if (!status.ok()) return status;
  if (rows == 0) return 0;
  if (absl::Status written = WriteTrim(*state, trim); !written.ok()) return written;
  return rows;
}

absl::Status EtcdBackend::WriteTrim(const LaneState& state, const Trim& trim) {
  pb::TxnRequest request;
  for (const auto& [key, mod] :
       {std::pair(HeadKey(), state.head_mod), std::pair(TrimKey(), state.trim_mod)}) {
    pb::Compare* const compare = request.add_compare();
    compare->set_target(pb::Compare::MOD);
    compare->set_key(key);
    compare->set_mod_revision(mod);
  }
  pb::PutRequest* const put = request.add_success()->mutable_request_put();
  put->set_key(TrimKey());
  put->set_value(EncodeTrim(trim));
  // Batches of which nothing is left.
  pb::DeleteRangeRequest* const gone = request.add_success()->mutable_request_delete_range();
  gone->set_key(LogPrefix());
  gone->set_range_end(LogKey(trim.rev + 1));
  pb::TxnResponse response;
  if (absl::Status status = store_.client().Write(request, &response); !status.ok()) return status;
  if (response.succeeded()) return absl::OkStatus();
  return MakeStatus(Code::kBusy, "lane guard: another process wrote while history was deleted",
                    name_);
}

absl::StatusOr<bool> EtcdBackend::Maintain(bool idle) {
  if (!compact_ || !idle) return false;
  compact_ = false;
  if (absl::Status status = store_.CompactEtcd(); !status.ok()) return status;
  return false;
}

// How many events there ever were up to the floor.
absl::StatusOr<int64_t> EtcdBackend::EventsUpTo(int64_t floor, const LaneState& state) {
  absl::StatusOr<Logged> next = store_.FirstAbove(floor, state.etcd_rev);
  if (!next.ok()) return next.status();
  if (next->etcd_rev == 0) return state.head.events;
  const auto& changes = next->batch.changes;
  return next->batch.events_before +
         std::count_if(changes.begin(), changes.end(),
                       [&](const Change& change) { return change.rev <= floor; });
}

absl::StatusOr<BackendStats> EtcdBackend::Stats() {
  Store::Pin pin(&store_);
  absl::StatusOr<LaneState> state = store_.ReadLane(0);
  if (!state.ok()) return state.status();
  pin.MoveTo(state->etcd_rev);
  BackendStats stats;
  const std::string prefix = KindPrefix();
  const absl::Status status = store_.Scan(
      prefix, PrefixEnd(prefix), state->etcd_rev, 0,
      [&](const pb::KeyValue& kv) -> absl::StatusOr<bool> {
        KindCount count;
        if (!DecodeKind(kv.value(), &count)) return Damaged("a count of objects", name_);
        stats.kinds.push_back({kv.key().substr(prefix.size()), count.objects, count.bytes});
        return true;
      });
  if (!status.ok()) return status;
  if (state->foreign_objects > 0) stats.kinds.push_back({"", state->foreign_objects, 0});
  absl::StatusOr<int64_t> below = EventsUpTo(state->head.lane.floor, *state);
  if (!below.ok()) return below.status();
  stats.history_rows = state->head.events - state->trim.events;
  stats.history_bytes = state->head.event_bytes - state->trim.bytes;
  stats.debt_rows = *below - state->trim.events;
  absl::StatusOr<pb::StatusResponse> server = store_.client().ServerStatus();
  if (!server.ok()) return server.status();
  stats.file_bytes = server->db_size();
  stats.free_bytes = std::max<int64_t>(0, server->db_size() - server->db_size_in_use());
  return stats;
}

}  // namespace storage::etcd
