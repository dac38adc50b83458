// PolledHead: a HeadWatch for databases that announce nothing. It asks again soon while
// heads move, and once a second when nothing happens.
// Threads: as HeadWatch.
#ifndef LIBSTORAGE_SRC_BACKEND_POLLED_HEAD_H_
#define LIBSTORAGE_SRC_BACKEND_POLLED_HEAD_H_

#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "src/backend/backend.h"
#include "src/base/mutex.h"

namespace storage {

class PolledHead : public HeadWatch {
 public:
  // read: the committed head, linearizable; called by the one thread.
  explicit PolledHead(std::function<absl::StatusOr<int64_t>()> read) : read_(std::move(read)) {}
  absl::StatusOr<int64_t> Read() override;
  int64_t Wait(absl::Duration max_wait) override;  // always 0
  void Interrupt() override;

  // Half of what a write of another server waits for under load; the rest is the read.
  static constexpr absl::Duration kShortest = absl::Milliseconds(10);

 private:
  const std::function<absl::StatusOr<int64_t>()> read_;
  int64_t head_ = 0;                     // the one thread's
  absl::Duration interval_ = kShortest;  // the one thread's
  Mutex mu_;
  CondVar wake_;
  bool interrupted_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BACKEND_POLLED_HEAD_H_
