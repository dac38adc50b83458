// A backend with faults in front of another: the Nth call on the lane fails,
// once or from then on, before it acts or (commits) after.
#ifndef LIBSTORAGE_TESTS_ENGINE_FAULTY_H_
#define LIBSTORAGE_TESTS_ENGINE_FAULTY_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "src/backend/backend.h"
#include "tests/engine/wrapped.h"

namespace storage {

enum class Fault { kError, kLostReply, kLostRequest, kNoSpace };

// Shared by a test and the backends of its engine.
struct FaultPlan {
  Fault fault = Fault::kError;
  std::atomic<int> fail_at{0};  // the Nth call from now; 0 = none
  bool for_ever = false;
  std::atomic<int> calls{0};
  std::atomic<int> injected{0};

  bool Hit() {
    const int at = fail_at.load();
    if (at == 0) return false;
    const int call = ++calls;
    const bool hit = for_ever ? call >= at : call == at;
    if (hit) ++injected;
    return hit;
  }
  absl::Status Status() const {
    const bool lost = fault == Fault::kLostReply || fault == Fault::kLostRequest;
    return MakeStatus(lost                       ? Code::kOutcomeUnknown
                      : fault == Fault::kNoSpace ? Code::kNoSpace
                                                 : Code::kUnavailable,
                      "injected");
  }
};

class FaultyTxn : public LaneTxn {
 public:
  FaultyTxn(std::unique_ptr<LaneTxn> inner, FaultPlan* plan)
      : inner_(std::move(inner)), plan_(plan) {}
  const Lane& lane() const override { return inner_->lane(); }
  int64_t NowMs() override { return inner_->NowMs(); }
  absl::Status Read(absl::Span<const std::string_view> keys, absl::Span<Current> out) override {
    return Plain([&] { return inner_->Read(keys, out); });
  }
  absl::Status Apply(absl::Span<const Mutation> mutations, int64_t token) override {
    return Plain([&] { return inner_->Apply(mutations, token); });
  }
  absl::Status Import(absl::Span<const MovedRow> rows) override {
    return Plain([&] { return inner_->Import(rows); });
  }
  absl::Status Discard(absl::Span<const DiscardedRow> rows) override {
    return Plain([&] { return inner_->Discard(rows); });
  }
  absl::Status Guard(const LaneOwner& owner, int64_t first, int64_t last) override {
    return Plain([&] { return inner_->Guard(owner, first, last); });
  }
  absl::Status Void(const LaneOwner& owner, int64_t to) override {
    return Plain([&] { return inner_->Void(owner, to); });
  }
  absl::Status Adopt(const LaneOwner& owner, int64_t jump_to) override {
    return Plain([&] { return inner_->Adopt(owner, jump_to); });
  }
  absl::Status RaiseFloor(const LaneOwner& owner, int64_t target) override {
    return Plain([&] { return inner_->RaiseFloor(owner, target); });
  }
  absl::Status Commit() override {
    if (!plan_->Hit()) return inner_->Commit();
    if (plan_->fault == Fault::kLostReply) inner_->Commit().IgnoreError();
    return plan_->Status();
  }

 private:
  // Only a commit can be lost on the way; other calls fail plainly.
  template <typename Call>
  absl::Status Plain(Call call) {
    const bool lost = plan_->fault == Fault::kLostReply || plan_->fault == Fault::kLostRequest;
    if (!lost && plan_->Hit()) return plan_->Status();
    return call();
  }
  std::unique_ptr<LaneTxn> inner_;
  FaultPlan* const plan_;
};

class FaultyBackend : public WrappedBackend {
 public:
  FaultyBackend(std::unique_ptr<Backend> inner, FaultPlan* plan)
      : WrappedBackend(std::move(inner)), plan_(plan) {}
  absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLane() override {
    if (plan_->fault == Fault::kError && plan_->Hit()) return plan_->Status();
    auto txn = inner_->BeginLane();
    if (!txn.ok()) return txn.status();
    return std::unique_ptr<LaneTxn>(new FaultyTxn(std::move(*txn), plan_));
  }

 private:
  FaultPlan* const plan_;
};

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_ENGINE_FAULTY_H_
