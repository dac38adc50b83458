// The backend on etcd. Threads: as backend.h says.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_ETCD_BACKEND_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_ETCD_BACKEND_H_

#include <memory>
#include <string>

#include "src/backend/etcd/etcd.h"
#include "src/backend/etcd/lane_txn.h"
#include "src/backend/etcd/store.h"

namespace storage::etcd {

class EtcdBackend : public Backend {
 public:
  explicit EtcdBackend(std::unique_ptr<Client> client)
      : name_(client->name()), store_(std::move(client)) {}
  // Finds out who this database is.
  absl::Status Open();

  const std::string& name() const override { return name_; }
  const std::string& identity() const override { return identity_; }
  bool fast_reads() const override { return false; }
  bool durable() const override { return true; }
  BatchLimits limits() const override;

  absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLane() override {
    return BeginLaneAndRead({}, {}, false);
  }
  absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLaneAndRead(absl::Span<const std::string_view> keys,
                                                            absl::Span<Current> out,
                                                            bool may_assume) override;
  absl::StatusOr<std::unique_ptr<Snapshot>> OpenSnapshot() override;
  absl::Status Get(std::string_view key, const RowSink& sink) override;
  size_t gets_together() const override;
  void GetMany(absl::Span<const std::string_view> keys, const ManyRowsSink& sink,
               absl::Span<absl::Status> outcomes) override;
  absl::StatusOr<int64_t> DeleteHistory(int64_t max_rows) override;
  absl::StatusOr<bool> Maintain(bool idle) override;
  absl::StatusOr<BackendStats> Stats() override;
  absl::Status Ping() override;
  absl::StatusOr<bool> ShareNumbers(const NumbersPlace& place) override {
    memory_.state.reset();  // it is without numbers
    return store_.ShareNumbers(place);
  }
  std::unique_ptr<HeadWatch> WatchHead() override;

 private:
  absl::Status TakeLane();
  std::unique_ptr<EtcdLaneTxn> NewTxn(LaneState state, bool assumed, SteadyTime until);
  bool MayAssume(absl::Span<const std::string_view> keys) const;
  void ReleaseLane();
  absl::Status CheckVersion();
  absl::StatusOr<std::string> FindIdentity();
  absl::Status GetFound(const pb::RangeResponse& found, const RowSink& sink);
  absl::Status GetForeign(std::string_view key, const RowSink& sink);
  // history.cc
  absl::StatusOr<int64_t> TrimSome(int64_t max_rows);
  absl::Status WriteTrim(const LaneState& state, const Trim& trim);
  absl::StatusOr<int64_t> EventsUpTo(int64_t floor, const LaneState& state);

  const std::string name_;
  Store store_;
  std::string identity_;
  KindCache kinds_;    // of the lane transaction that is open
  LaneMemory memory_;  // the same one's
  Mutex mutex_;
  bool lane_open_ ABSL_GUARDED_BY(mutex_) = false;
  bool compact_ = false;  // history was deleted; lane thread
};

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_ETCD_BACKEND_H_
