// LaneTxn on etcd: reads, decides, and commits in one transaction that compares
// the head key, and each key it changes, with what was read.
// Threads: the lane's.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_LANE_TXN_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_LANE_TXN_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "src/backend/etcd/memory_of_lane.h"
#include "src/backend/etcd/store.h"

namespace storage::etcd {

// The counts of collections, as of one head key. Used by one lane transaction
// at a time.
struct KindCache {
  int64_t head_mod = -1;
  std::map<std::string, KindCount, std::less<>> counts;
};

class EtcdLaneTxn : public LaneTxn {
 public:
  // release: called at the end, whatever the end is.
  // assumed: state is of memory.
  EtcdLaneTxn(Store* store, KindCache* kinds, LaneMemory* memory, LaneState state, bool assumed,
              SteadyTime until, std::function<void()> release);
  ~EtcdLaneTxn() override { release_(); }

  // What BeginLaneAndRead answers: of memory, or as it was read with the lane.
  void ReadMemory(absl::Span<const std::string_view> keys, absl::Span<Current> out);
  absl::Status ReadFound(absl::Span<const std::string_view> keys,
                         absl::Span<const pb::RangeResponse> found, absl::Span<Current> out);

  const Lane& lane() const override { return lane_; }
  int64_t NowMs() override;
  absl::Status Read(absl::Span<const std::string_view> keys, absl::Span<Current> out) override;
  absl::Status Apply(absl::Span<const Mutation> mutations, int64_t token) override;
  absl::Status Import(absl::Span<const MovedRow> rows) override;
  absl::Status Discard(absl::Span<const DiscardedRow> rows) override;
  bool assumed() const override { return assumed_; }
  int64_t handed_out() const override {
    return state_.numbers_mod > 0 ? state_.numbers.state.reserved : 0;
  }
  absl::Status Take(const LaneOwner& owner, int64_t first, int64_t last) override;
  absl::Status Guard(const LaneOwner& owner, int64_t first, int64_t last) override;
  absl::Status Void(const LaneOwner& owner, int64_t to) override;
  absl::Status Adopt(const LaneOwner& owner, int64_t jump_to) override;
  absl::Status RaiseFloor(const LaneOwner& owner, int64_t target) override;
  absl::Status Commit() override;

 private:
  using Keys = std::vector<std::string>;

  absl::Status Misused(const char* what) const;
  absl::Status CheckOwner(const LaneOwner& owner) const;
  void Answer(absl::Span<const std::string_view> keys, absl::Span<Current> out) const;
  absl::Status Fetch(const Keys& keys);
  absl::Status FetchSome(const Keys& keys, size_t from, size_t to);
  absl::Status Notice(const std::string& key, const pb::RangeResponse& found);
  absl::Status CheckForeign(const std::string& key, const Seen& seen) const;
  // apply.cc
  absl::Status FetchFor(absl::Span<const Mutation> mutations);
  absl::Status FetchKeys(const Keys& keys, const Keys& collections);
  absl::Status CheckSize(size_t objects) const;
  absl::Status Stage(const Mutation& mutation);
  void StageExpiry(const Mutation& mutation, const Seen& seen, const ObjectMeta& next);
  void Count(const Mutation& mutation, const Seen& seen);
  void Put(const std::string& key, std::string value);
  void Delete(const std::string& key);
  void Expect(const std::string& key, int64_t etcd_mod);
  absl::Status TakeOver();
  // moves.cc
  absl::Status FetchMoved(const Keys& keys, const Keys& collections, bool exist);
  absl::Status Moved();
  // commit.cc
  absl::Status Refused(const pb::TxnResponse& response);
  absl::Status OthersWrote(const Head& found, int64_t found_mod, const pb::TxnResponse& response);
  void RememberCommit(int64_t etcd_rev);
  absl::Status DespiteNoSpace(const absl::Status& refusal);

  Store* const store_;
  KindCache* const kinds_;
  LaneMemory* const memory_;
  const LaneState state_;
  const bool assumed_;
  const Lane lane_;
  const SteadyTime until_;
  const std::function<void()> release_;
  std::map<std::string, Seen, std::less<>> seen_;
  std::map<std::string, KindCount, std::less<>> counts_;  // as they will be
  pb::TxnRequest request_;
  Batch batch_;
  Head next_;
  Stored next_numbers_;                             // of Take
  std::vector<std::pair<std::string, Seen>> rows_;  // as the batch leaves them
  bool applied_ = false;
  bool took_ = false;
  bool moved_ = false;    // Import or Discard: no batch can follow
  bool decided_ = false;  // one of Guard, Void, Adopt, RaiseFloor agreed
  bool committed_ = false;
};

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_LANE_TXN_H_
