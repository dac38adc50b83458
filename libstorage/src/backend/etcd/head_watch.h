// HeadWatch on etcd: a watch of the lane's head key, on whichever member serves. What it
// announces is committed; a stream that ended is opened again, on the next member.
// Threads: as HeadWatch, and one of its own for the stream.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_HEAD_WATCH_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_HEAD_WATCH_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "src/backend/backend.h"
#include "src/backend/etcd/store.h"
#include "src/base/mutex.h"

namespace storage::etcd {

class EtcdHeadWatch : public HeadWatch {
 public:
  explicit EtcdHeadWatch(Store* store);  // outlives it
  ~EtcdHeadWatch() override;
  absl::StatusOr<int64_t> Read() override;
  int64_t Wait(absl::Duration max_wait) override;
  void Interrupt() override;

 private:
  void Follow();
  void Take(const pb::WatchResponse& response);

  Store* const store_;
  WatchCall call_;
  Mutex mu_;
  CondVar changed_;
  int64_t announced_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t told_ ABSL_GUARDED_BY(mu_) = 0;  // by Wait
  bool interrupted_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_HEAD_WATCH_H_
