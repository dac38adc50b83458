// What lane transactions, snapshots and upkeep of one backend share: reading the
// lane row, the log of batches and runs of keys; what compaction must spare.
// Thread-safe.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_STORE_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_STORE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "src/backend/backend.h"
#include "src/backend/etcd/client.h"
#include "src/backend/etcd/codec.h"
#include "src/backend/etcd/meta_state.h"

namespace storage::etcd {

// The lane row at one revision of etcd.
struct LaneState {
  Head head;
  Trim trim;
  int64_t head_mod = 0;  // etcd's revision of the head key; 0 = never adopted
  int64_t trim_mod = 0;
  int64_t etcd_rev = 0;         // where it was read
  int64_t foreign_objects = 0;  // never adopted: keys that are there all the same
  Stored numbers;               // of the metadata store, if it is here and was asked for
  int64_t numbers_mod = 0;      // etcd's revision of them; 0 = not read
};

// A batch of the log, and etcd's revision in which it was committed.
struct Logged {
  int64_t etcd_rev = 0;
  Batch batch;
};

// Kv sinks return false to stop.
using KvSink = std::function<absl::StatusOr<bool>(const pb::KeyValue&)>;
using LoggedSink = std::function<absl::StatusOr<bool>(const Logged&)>;

class Store {
 public:
  explicit Store(std::unique_ptr<Client> client) : client_(std::move(client)) {}

  Client& client() const { return *client_; }
  const std::string& name() const { return client_->name(); }

  // at: a revision of etcd, 0 = now.
  absl::StatusOr<LaneState> ReadLane(int64_t at, SteadyTime until = SteadyAfter(kCallTime));
  // Now, with the metadata store's numbers when they are here.
  // The answers for keys are appended to found.
  absl::StatusOr<LaneState> ReadLaneAndNumbers(absl::Span<const std::string_view> keys,
                                               std::vector<pb::RangeResponse>* found,
                                               SteadyTime until);
  // The floor that a compaction from outside left.
  void ApplyOutsideFloor(Lane* lane) const;
  // As Backend::ShareNumbers.
  absl::StatusOr<bool> ShareNumbers(const NumbersPlace& place);
  // What the metadata store here calls this lane; "" = it is not here. Lane thread.
  const std::string& lane_in_numbers() const { return lane_in_numbers_; }
  // Batches with changes above rev, ascending.
  absl::Status Log(int64_t rev, int64_t at, int64_t page, const LoggedSink& sink);
  // The first of them; its etcd_rev is 0 when there is none.
  absl::StatusOr<Logged> FirstAbove(int64_t rev, int64_t at);
  // Key order. most: how many rows will be asked for, as far as is known; 0 = all.
  absl::Status Scan(const std::string& start, const std::string& end, int64_t at, int64_t most,
                    const KvSink& sink);

  // The row of a key as it lies there; views into kv.
  absl::Status ToRow(const pb::KeyValue& kv, const Lane& lane, Row* row) const;

  // Snapshots hold what they may read against our own compaction (upkeep.cc).
  class Pin {
   public:
    explicit Pin(Store* store);  // before the snapshot's first read
    ~Pin();
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
    void MoveTo(int64_t etcd_rev);

   private:
    Store* const store_;
    std::multiset<int64_t>::iterator at_;
  };
  // Compacts etcd up to what floor and snapshots leave free.
  absl::Status CompactEtcd();
  // Somebody else compacted: finds out which floor is left, for all later readers.
  absl::StatusOr<int64_t> FindFloorLeft();

  // Where the batch of a token begins, of the last few that were tried.
  void Remember(int64_t token, int64_t first);
  int64_t FirstOf(int64_t token);  // 0 = not known

 private:
  absl::StatusOr<LaneState> LaneOf(const pb::RangeResponse& lane, int64_t etcd_rev,
                                   SteadyTime until);
  absl::Status CountForeign(LaneState* state, SteadyTime until);
  absl::StatusOr<int64_t> OldestReadable(int64_t newest);
  void Saw(int64_t etcd_rev);

  const std::unique_ptr<Client> client_;
  std::string lane_in_numbers_;
  std::atomic<int64_t> seen_{0};           // highest revision of etcd in any answer
  std::atomic<int64_t> outside_floor_{0};  // what a compaction from outside left
  Mutex mutex_;
  std::multiset<int64_t> pins_ ABSL_GUARDED_BY(mutex_);
  int64_t compacted_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<int64_t, int64_t> tokens_ ABSL_GUARDED_BY(mutex_);
};

// Requests.
void AddRange(pb::TxnRequest* txn, const std::string& key, int64_t at = 0);
pb::RangeRequest RangeOf(const std::string& start, const std::string& end, int64_t at);

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_STORE_H_
