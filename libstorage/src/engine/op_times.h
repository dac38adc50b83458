// How often each operation of a backend ran, and for how long in all, from the
// call to the answer. Threads: any.
#ifndef LIBSTORAGE_SRC_ENGINE_OP_TIMES_H_
#define LIBSTORAGE_SRC_ENGINE_OP_TIMES_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace storage {

enum class Operation : uint8_t { kGet, kList, kCount, kPut, kDelete };

class OpTimes {
 public:
  using Clock = std::chrono::steady_clock;
  struct Sum {
    std::atomic<int64_t> count{0};
    std::atomic<int64_t> ns{0};
  };

  void Add(Operation operation, Clock::time_point begin) {
    Sum& sum = sums_[static_cast<size_t>(operation)];
    const auto spent = std::chrono::nanoseconds(Clock::now() - begin);
    sum.count.fetch_add(1, std::memory_order_relaxed);
    sum.ns.fetch_add(spent.count(), std::memory_order_relaxed);
  }
  const Sum& of(Operation operation) const { return sums_[static_cast<size_t>(operation)]; }

 private:
  std::array<Sum, 5> sums_;
};

// Adds one operation when it is destroyed.
class Timed {
 public:
  Timed(Operation operation, OpTimes* times) : operation_(operation), times_(times) {}
  ~Timed() { times_->Add(operation_, begin_); }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  const Operation operation_;
  OpTimes* const times_;
  const OpTimes::Clock::time_point begin_ = OpTimes::Clock::now();
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_OP_TIMES_H_
