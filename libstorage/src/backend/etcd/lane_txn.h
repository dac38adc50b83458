// LaneTxn on etcd: reads, decides, and commits in one transaction that compares
// the head key, and each key it changes, with what was read.
// Threads: the lane's.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_LANE_TXN_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_LANE_TXN_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

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
  EtcdLaneTxn(Store* store, KindCache* kinds, LaneState state, SteadyTime until,
              std::function<void()> release);
  ~EtcdLaneTxn() override { release_(); }

  const Lane& lane() const override { return lane_; }
  int64_t NowMs() override;
  absl::Status Read(absl::Span<const std::string_view> keys, absl::Span<Current> out) override;
  absl::Status Apply(absl::Span<const Mutation> mutations, int64_t token) override;
  absl::Status Import(absl::Span<const MovedRow> rows) override;
  absl::Status Discard(absl::Span<const DiscardedRow> rows) override;
  absl::Status Guard(const LaneOwner& owner, int64_t first, int64_t last) override;
  absl::Status Void(const LaneOwner& owner, int64_t to) override;
  absl::Status Adopt(const LaneOwner& owner, int64_t jump_to) override;
  absl::Status RaiseFloor(const LaneOwner& owner, int64_t target) override;
  absl::Status Commit() override;

 private:
  // A key as it was read.
  struct Seen {
    int64_t etcd_mod = 0;  // 0 = absent
    bool envelope = true;
    ObjectMeta meta;
    Blob value;
  };
  using Keys = std::vector<std::string>;

  absl::Status Misused(const char* what) const;
  absl::Status CheckOwner(const LaneOwner& owner) const;
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
  absl::Status DespiteNoSpace(const absl::Status& refusal);

  Store* const store_;
  KindCache* const kinds_;
  const LaneState state_;
  const Lane lane_;
  const SteadyTime until_;
  const std::function<void()> release_;
  std::map<std::string, Seen, std::less<>> seen_;
  std::map<std::string, KindCount, std::less<>> counts_;  // as they will be
  pb::TxnRequest request_;
  Batch batch_;
  Head next_;
  bool applied_ = false;
  bool moved_ = false;    // Import or Discard: no batch can follow
  bool decided_ = false;  // one of Guard, Void, Adopt, RaiseFloor agreed
  bool committed_ = false;
};

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_LANE_TXN_H_
