// Snapshot on etcd: one of etcd's revisions, held against our own compaction.
// Threads: one at a time.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_SNAPSHOT_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_SNAPSHOT_H_

#include <memory>

#include "src/backend/etcd/store.h"

namespace storage::etcd {

class EtcdSnapshot : public Snapshot {
 public:
  static absl::StatusOr<std::unique_ptr<EtcdSnapshot>> Open(Store* store);

  const Lane& lane() const override { return state_.head.lane; }
  absl::Status Get(std::string_view key, int64_t rev, const RowSink& sink) override;
  absl::Status List(const Range& range, int64_t rev, int64_t limit, const RowSink& sink) override;
  absl::StatusOr<int64_t> Count(const Range& range, int64_t rev) override;
  absl::Status Events(const Range& range, int64_t after, int64_t upto, int64_t limit,
                      const EventSink& sink) override;
  absl::Status Expired(int64_t now_ms, int64_t limit, const RowSink& sink) override;
  absl::StatusOr<int64_t> NextExpiryMs() override;
  absl::StatusOr<bool> HasToken(int64_t token) override;

 private:
  explicit EtcdSnapshot(Store* store) : store_(store), pin_(store) {}
  // etcd refused to read so far back: which revisions are left.
  absl::Status Overtaken(int64_t rev, const absl::Status& status) const;

  Store* const store_;
  Store::Pin pin_;
  LaneState state_;
};

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_SNAPSHOT_H_
