// The events of a range: what the log of batches says changed, with the values
// that etcd has just before and at each batch.
// Threads: one.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_EVENTS_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_EVENTS_H_

#include <vector>

#include "src/backend/etcd/store.h"

namespace storage::etcd {

class EventReader {
 public:
  EventReader(Store* store, const Range& range, int64_t after, int64_t upto, int64_t limit,
              const EventSink& sink)
      : store_(store), range_(range), after_(after), upto_(upto), limit_(limit), sink_(sink) {}

  // etcd_rev: that of the snapshot.
  absl::Status Run(int64_t etcd_rev);

 private:
  struct Wanted {
    int64_t etcd_rev;
    Change change;
  };
  bool Wants(const Change& change) const;
  // Reads the values of what is collected and hands it on; false = stop.
  absl::StatusOr<bool> Flush();
  absl::StatusOr<bool> Hand(const Wanted& wanted, const pb::KeyValue* before,
                            const pb::KeyValue* after);

  Store* const store_;
  const Range& range_;
  const int64_t after_, upto_, limit_;
  const EventSink& sink_;
  std::vector<Wanted> wanted_;
  int64_t bytes_ = 0;
  int64_t rows_ = 0;
};

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_EVENTS_H_
