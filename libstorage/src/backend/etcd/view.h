// The objects at one of our revisions: etcd's own state just before the first
// batch above it, and, when the revision is in the middle of that batch, the
// changes of the batch up to it.
// Threads: one at a time.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_VIEW_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_VIEW_H_

#include <map>
#include <string>

#include "src/backend/etcd/store.h"

namespace storage::etcd {

class View {
 public:
  // rev 0: the latest. lane and etcd_rev: those of the snapshot.
  static absl::StatusOr<View> At(Store* store, const LaneState& state, int64_t rev);

  absl::Status List(const Range& range, int64_t limit, const RowSink& sink);
  absl::StatusOr<int64_t> Count(const Range& range);

 private:
  View(Store* store, const Lane& lane, int64_t base) : store_(store), lane_(lane), base_(base) {}

  struct Changed {
    ChangeKind kind = ChangeKind::kCreate;
    pb::KeyValue kv;  // as the batch left it
  };
  using Changes = std::map<std::string, Changed>;

  // The changes in [start, end), with their values.
  absl::StatusOr<Changes> Load(const std::string& start, const std::string& end) const;

  Store* store_;
  Lane lane_;
  int64_t base_;           // etcd's revision
  int64_t change_at_ = 0;  // etcd's revision of the batch
  std::map<std::string, ChangeKind> changes_;
};

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_VIEW_H_
