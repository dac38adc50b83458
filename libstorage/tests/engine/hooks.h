// A backend whose calls a test sees and may refuse: for counterexamples, which
// need one thing to happen at one moment.
#ifndef LIBSTORAGE_TESTS_ENGINE_HOOKS_H_
#define LIBSTORAGE_TESTS_ENGINE_HOOKS_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "src/backend/backend.h"
#include "src/base/mutex.h"
#include "src/engine/engine.h"
#include "tests/engine/wrapped.h"

namespace storage {

// Called on whatever thread makes the call. An error replaces the call; that of
// "committed", which follows a commit, is a lost reply. Other calls: begin,
// read, apply, take, guard, void, commit, snapshot, list, token.
using Hook = std::function<absl::Status(const std::string& backend, const std::string& call)>;

class Hooks {
 public:
  void Set(Hook hook) {
    MutexLock lock(&mu_);
    hook_ = std::make_shared<Hook>(std::move(hook));
  }
  // Waits for calls that run, which may look at the test's variables. Not from a hook.
  void Clear() {
    MutexLock lock(&mu_);
    hook_ = nullptr;
    while (running_ > 0) idle_.Wait(&mu_);
  }
  absl::Status Call(const std::string& backend, const std::string& call) {
    std::shared_ptr<Hook> hook;
    {
      MutexLock lock(&mu_);
      if (hook_ == nullptr) return absl::OkStatus();
      hook = hook_;
      ++running_;
    }
    absl::Status status = (*hook)(backend, call);
    MutexLock lock(&mu_);
    if (--running_ == 0) idle_.SignalAll();
    return status;
  }
  // What lane transactions and snapshots opened from now on see instead of the stored lane.
  void SetLane(std::function<void(Lane*)> lane) {
    MutexLock lock(&mu_);
    lane_ = std::move(lane);
  }
  Lane See(Lane lane) {
    MutexLock lock(&mu_);
    if (lane_ != nullptr) lane_(&lane);
    return lane;
  }

 private:
  Mutex mu_;
  CondVar idle_;
  int running_ ABSL_GUARDED_BY(mu_) = 0;
  std::shared_ptr<Hook> hook_ ABSL_GUARDED_BY(mu_);
  std::function<void(Lane*)> lane_ ABSL_GUARDED_BY(mu_);
};

class HookedTxn : public LaneTxn {
 public:
  HookedTxn(std::unique_ptr<LaneTxn> inner, std::string name, Hooks* hooks)
      : inner_(std::move(inner)),
        name_(std::move(name)),
        hooks_(hooks),
        lane_(hooks->See(inner_->lane())) {}
  const Lane& lane() const override { return lane_; }
  int64_t NowMs() override { return inner_->NowMs(); }
  absl::Status Read(absl::Span<const std::string_view> keys, absl::Span<Current> out) override {
    absl::Status status = Ask("read");
    return status.ok() ? inner_->Read(keys, out) : status;
  }
  absl::Status Apply(absl::Span<const Mutation> mutations, int64_t token) override {
    absl::Status status = Ask("apply");
    return status.ok() ? inner_->Apply(mutations, token) : status;
  }
  absl::Status Import(absl::Span<const MovedRow> rows) override { return inner_->Import(rows); }
  absl::Status Discard(absl::Span<const DiscardedRow> rows) override {
    return inner_->Discard(rows);
  }
  bool assumed() const override { return inner_->assumed(); }
  int64_t handed_out() const override { return inner_->handed_out(); }
  absl::Status Take(const LaneOwner& owner, int64_t first, int64_t last) override {
    absl::Status status = Ask("take");
    return status.ok() ? inner_->Take(owner, first, last) : status;
  }
  absl::Status Guard(const LaneOwner& owner, int64_t first, int64_t last) override {
    absl::Status status = Ask("guard");
    return status.ok() ? inner_->Guard(owner, first, last) : status;
  }
  absl::Status Void(const LaneOwner& owner, int64_t to) override {
    absl::Status status = Ask("void");
    return status.ok() ? inner_->Void(owner, to) : status;
  }
  absl::Status Adopt(const LaneOwner& owner, int64_t jump_to) override {
    return inner_->Adopt(owner, jump_to);
  }
  absl::Status RaiseFloor(const LaneOwner& owner, int64_t target) override {
    return inner_->RaiseFloor(owner, target);
  }
  absl::Status Commit() override {
    absl::Status status = Ask("commit");
    if (status.ok()) status = inner_->Commit();
    return status.ok() ? Ask("committed") : status;
  }

 private:
  absl::Status Ask(const char* call) { return hooks_->Call(name_, call); }
  const std::unique_ptr<LaneTxn> inner_;
  const std::string name_;
  Hooks* const hooks_;
  Lane lane_;
};

class HookedSnapshot : public Snapshot {
 public:
  HookedSnapshot(std::unique_ptr<Snapshot> inner, std::string name, Hooks* hooks)
      : inner_(std::move(inner)),
        name_(std::move(name)),
        hooks_(hooks),
        lane_(hooks->See(inner_->lane())) {}
  const Lane& lane() const override { return lane_; }
  absl::Status Get(std::string_view key, int64_t rev, const RowSink& sink) override {
    return inner_->Get(key, rev, sink);
  }
  absl::Status List(const Range& range, int64_t rev, int64_t limit, const RowSink& sink) override {
    absl::Status status = hooks_->Call(name_, "list");
    return status.ok() ? inner_->List(range, rev, limit, sink) : status;
  }
  absl::StatusOr<int64_t> Count(const Range& range, int64_t rev) override {
    return inner_->Count(range, rev);
  }
  absl::Status Events(const Range& range, int64_t after, int64_t upto, int64_t limit,
                      const EventSink& sink) override {
    return inner_->Events(range, after, upto, limit, sink);
  }
  absl::Status Expired(int64_t now_ms, int64_t limit, const RowSink& sink) override {
    return inner_->Expired(now_ms, limit, sink);
  }
  absl::StatusOr<int64_t> NextExpiryMs() override { return inner_->NextExpiryMs(); }
  absl::StatusOr<bool> HasToken(int64_t token) override {
    absl::Status status = hooks_->Call(name_, "token");
    if (!status.ok()) return status;
    return inner_->HasToken(token);
  }

 private:
  const std::unique_ptr<Snapshot> inner_;
  const std::string name_;
  Hooks* const hooks_;
  const Lane lane_;
};

class HookedBackend : public WrappedBackend {
 public:
  HookedBackend(std::unique_ptr<Backend> inner, Hooks* hooks)
      : WrappedBackend(std::move(inner)), hooks_(hooks) {}
  absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLane() override {
    if (absl::Status status = hooks_->Call(name(), "begin"); !status.ok()) return status;
    auto txn = inner_->BeginLane();
    if (!txn.ok()) return txn.status();
    return std::unique_ptr<LaneTxn>(new HookedTxn(*std::move(txn), name(), hooks_));
  }
  absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLaneAndRead(absl::Span<const std::string_view> keys,
                                                            absl::Span<Current> out,
                                                            bool may_assume) override {
    if (absl::Status status = hooks_->Call(name(), "begin"); !status.ok()) return status;
    auto txn = inner_->BeginLaneAndRead(keys, out, may_assume);
    if (!txn.ok()) return txn.status();
    if (absl::Status status = hooks_->Call(name(), "read"); !status.ok()) return status;
    return std::unique_ptr<LaneTxn>(new HookedTxn(*std::move(txn), name(), hooks_));
  }
  absl::StatusOr<std::unique_ptr<Snapshot>> OpenSnapshot() override {
    if (absl::Status status = hooks_->Call(name(), "snapshot"); !status.ok()) return status;
    auto snapshot = inner_->OpenSnapshot();
    if (!snapshot.ok()) return snapshot.status();
    return std::unique_ptr<Snapshot>(new HookedSnapshot(*std::move(snapshot), name(), hooks_));
  }

 private:
  Hooks* const hooks_;
};

inline std::unique_ptr<Engine> OpenHooked(Hooks* hooks, const std::string& topology = "") {
  EngineOptions options;
  options.topology_text = topology;
  options.default_endpoint = "memory://default";
  options.allow_memory = true;
  options.wrap_backend_for_test = [hooks](std::unique_ptr<Backend> inner) {
    return std::make_unique<HookedBackend>(std::move(inner), hooks);
  };
  auto engine = Engine::Open(options);
  return engine.ok() ? *std::move(engine) : nullptr;
}

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_ENGINE_HOOKS_H_
