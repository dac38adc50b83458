// Asks: callers who want a value that was read after they asked. One reader serves them
// in groups: those that came before its read began are answered by it.
// Threads: any. Answers are called without locks.
#ifndef LIBSTORAGE_SRC_REVISION_ASKS_H_
#define LIBSTORAGE_SRC_REVISION_ASKS_H_

#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "src/base/mutex.h"
#include "src/revision/sequencer.h"

namespace storage {

class Asks {
 public:
  using Group = std::vector<Sequencer::Answer>;

  void Add(Sequencer::Answer answer) {
    {
      MutexLock lock(&mu_);
      if (!closed_) {
        waiting_.push_back(std::move(answer));
        return;
      }
    }
    answer(MakeStatus(Code::kCancelled, "the engine is closing"));
  }
  bool empty() const {
    MutexLock lock(&mu_);
    return waiting_.empty();
  }
  // Whom the read that begins now will answer.
  Group Take() {
    MutexLock lock(&mu_);
    return std::exchange(waiting_, {});
  }
  // Answers CANCELLED, now and later.
  void Close() {
    Group group;
    {
      MutexLock lock(&mu_);
      closed_ = true;
      group.swap(waiting_);
    }
    for (const Sequencer::Answer& answer : group) {
      answer(MakeStatus(Code::kCancelled, "the engine is closing"));
    }
  }

 private:
  mutable Mutex mu_;
  Group waiting_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

// Asks and waits: what ask(answer) answers, or `late` at the deadline.
template <typename Ask>
absl::StatusOr<int64_t> WaitForAnswer(absl::Time deadline, absl::Status late, const Ask& ask) {
  auto promise = std::make_shared<std::promise<absl::StatusOr<int64_t>>>();
  std::future<absl::StatusOr<int64_t>> future = promise->get_future();
  ask([promise](const absl::StatusOr<int64_t>& value) { promise->set_value(value); });
  const SteadyTime until = SteadyAfter(deadline - absl::Now());
  if (future.wait_until(until) != std::future_status::ready) return late;
  return future.get();
}

}  // namespace storage

#endif  // LIBSTORAGE_SRC_REVISION_ASKS_H_
