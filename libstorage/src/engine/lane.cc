#include "src/engine/lane.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/base/thread.h"

namespace storage {
namespace {

// Checkpoints and space work wait for a pause this long, so that they never
// fall between two writes of one busy caller.
constexpr absl::Duration kIdle = absl::Milliseconds(50);

int64_t Weight(const WriteOp& op) {
  return static_cast<int64_t>(op.value.size() + op.key.size() + op.attrs.size());
}

int64_t CountOf(const WriteOp& op, const BatchLimits& limits) {
  if (op.verb != WriteOp::Verb::kPut) return limits.removal;
  return op.ttl_ms > 0 ? limits.expiring_put : 1;
}

int64_t SteadyNowMs() {
  using std::chrono::duration_cast;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace

CommitLane::CommitLane(LaneEnv env)
    : env_(std::move(env)),
      limits_(env_.backend->limits()),
      head_(env_.head),
      floor_(env_.floor),
      pace_(kIdle, env_.compact),
      batches_(this) {
  thread_ = StartThread("stg-" + env_.backend->name(), [this] { Run(); });
}

CommitLane::~CommitLane() { Stop(); }

void CommitLane::Stop() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    work_.Signal();
  }
  MutexLock lock(&join_mu_);
  if (thread_.joinable()) thread_.join();
}

void CommitLane::Answer(WriteOp* op, WriteResult result) {
  const bool put = op->verb == WriteOp::Verb::kPut;
  stats_.times.Add(put ? Operation::kPut : Operation::kDelete, op->begin);
  op->done(std::move(result));
}

void CommitLane::Submit(std::shared_ptr<WriteOp> op) {
  {
    MutexLock lock(&mu_);
    if (!stopping_) {
      queue_.push_back(std::move(op));
      if (queue_.size() == 1) work_.Signal();
      return;
    }
  }
  WriteResult result;
  result.code = Code::kCancelled;
  result.error = MakeStatus(Code::kCancelled, "the engine is closing", env_.backend->name());
  op->done(std::move(result));
}

void CommitLane::Raise(std::atomic<int64_t>* value, int64_t to) {
  int64_t seen = value->load(std::memory_order_acquire);
  while (to > seen && !value->compare_exchange_weak(seen, to, std::memory_order_acq_rel)) {
  }
}

int64_t CommitLane::queued() const {
  MutexLock lock(&mu_);
  return static_cast<int64_t>(queue_.size());
}

absl::Status CommitLane::CheckHead(int64_t head, int64_t known) {
  went_back_.store(head < known, std::memory_order_release);
  if (head >= known) return absl::OkStatus();
  // Not a crash to repair.
  return MakeStatus(
      Code::kCorrupt,
      absl::StrCat("the database went back to revision ", head, ", but revision ", known,
                   " was committed: an older copy took its place; stop the server and "
                   "bring the newer one back"),
      env_.backend->name());
}

absl::Status CommitLane::Health() const {
  MutexLock lock(&mu_);
  return health_;
}

void CommitLane::SetHealth(const absl::Status& status) {
  bool failed = false;
  {
    MutexLock lock(&mu_);
    if (health_ == status) return;
    failed = health_.ok();
    health_ = status;
  }
  if (failed && env_.failed != nullptr) env_.failed();
}

absl::Status CommitLane::RaiseFloor(int64_t target) {
  return RunTask([this, target] { return DoRaiseFloor(target); });
}

absl::Status CommitLane::VoidTo(int64_t upto) {
  return RunTask([this, upto] { return batches_.VoidTo(upto); });
}

void CommitLane::VoidSoon(int64_t upto) {
  MutexLock lock(&mu_);
  if (stopping_) return;
  // A failure shows in the readers that wait for it; it is tried again.
  tasks_.push_back([this, upto] { batches_.VoidTo(upto).IgnoreError(); });
  work_.Signal();
}

absl::Status CommitLane::RunTask(std::function<absl::Status()> body) {
  auto promise = std::make_shared<std::promise<absl::Status>>();
  std::future<absl::Status> done = promise->get_future();
  {
    MutexLock lock(&mu_);
    if (stopping_) return MakeStatus(Code::kCancelled, "the engine is closing");
    tasks_.push_back([promise, body = std::move(body)] { promise->set_value(body()); });
    work_.Signal();
  }
  return done.get();
}

absl::Status CommitLane::DoRaiseFloor(int64_t target) {
  absl::StatusOr<std::unique_ptr<LaneTxn>> txn = env_.backend->BeginLane();
  if (!txn.ok()) return txn.status();
  const int64_t raised = std::min(target, (*txn)->lane().head);
  if (raised <= (*txn)->lane().floor) {
    // After a commit whose reply was lost, or that of another server.
    if ((*txn)->lane().floor > floor_.exchange((*txn)->lane().floor)) pace_.AddDebt();
    return absl::OkStatus();
  }
  absl::Status status = (*txn)->RaiseFloor(env_.owner, target);
  if (status.ok()) status = (*txn)->Commit();
  if (!status.ok()) return status;
  floor_.store(raised, std::memory_order_release);
  pace_.AddDebt();
  return absl::OkStatus();
}

void CommitLane::Heal() {
  MutexLock lock(&mu_);
  if (stopping_) return;
  tasks_.push_back([this] { SetHealth(batches_.Settle()); });
  work_.Signal();
}

// False = stop. Fills ops with the next batch, or tasks, or neither (idle step).
bool CommitLane::WaitForWork(Ops* ops, std::vector<std::function<void()>>* tasks) {
  MutexLock lock(&mu_);
  const SteadyTime until = SteadyAfter(pace_.MaxWait());
  while (queue_.empty() && tasks_.empty() && !stopping_) {
    if (!work_.WaitUntil(&mu_, until)) break;
  }
  tasks->swap(tasks_);
  int64_t bytes = 0;
  int64_t count = 0;
  while (!queue_.empty()) {
    bytes += Weight(*queue_.front());
    count += CountOf(*queue_.front(), limits_);
    const bool full = bytes > limits_.bytes || count > limits_.operations;
    if (full && !ops->empty()) break;
    ops->push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return !(stopping_ && ops->empty() && tasks->empty());
}

// What waited behind a step that a silent database failed would only wait as long once
// more, for longer than its callers do.
void CommitLane::RefuseWaiting(SteadyTime step_began) {
  if (!SilentSince(step_began)) return;
  Ops waiting;
  absl::Status status;
  {
    MutexLock lock(&mu_);
    const Code code = CodeOf(health_);
    if (code != Code::kUnavailable && code != Code::kOutcomeUnknown) return;
    status = MakeStatus(Code::kUnavailable,
                        absl::StrCat("did not answer who wrote before: ", health_.message()),
                        env_.backend->name(), DriverCodeOf(health_));
    waiting.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
    queue_.clear();
  }
  batches_.FailAll(waiting, status);
}

void CommitLane::Run() {
  RaisePriorityOfThisThread();
  Ops ops;
  std::vector<std::function<void()>> tasks;
  while (WaitForWork(&ops, &tasks)) {
    const bool idle = ops.empty() && tasks.empty();
    for (const std::function<void()>& task : tasks) {
      const SteadyTime began = SteadyAfter(absl::ZeroDuration());
      task();
      RefuseWaiting(began);
    }
    tasks.clear();
    const SteadyTime began = SteadyAfter(absl::ZeroDuration());
    if (!ops.empty()) {
      batches_.Execute(std::move(ops));
      ops = Ops();
      pace_.Wrote();
      RefuseWaiting(began);
    }
    if (absl::Status status = pace_.Step(env_.backend, idle); !status.ok()) {
      if (env_.logger != nullptr) {
        env_.logger->Log(LogLevel::kWarning, absl::StrCat("backend ", env_.backend->name(),
                                                          ": maintenance: ", status.message()));
      }
    }
  }
}

void CommitLane::Requeue(Ops ops) {
  MutexLock lock(&mu_);
  queue_.insert(queue_.begin(), std::make_move_iterator(ops.begin()),
                std::make_move_iterator(ops.end()));
}

bool CommitLane::Refuse(const WriteOp& op, WriteResult* result) const {
  if (op.cancelled.load(std::memory_order_acquire)) {
    result->code = Code::kCancelled;
    result->error = MakeStatus(Code::kCancelled, "cancelled before it was started");
    return true;
  }
  if (op.deadline_ms > 0 && SteadyNowMs() > op.deadline_ms) {
    result->code = Code::kDeadline;
    result->error = MakeStatus(
        Code::kDeadline, "not started before its deadline: the backend is overloaded or stuck",
        env_.backend->name());
    return true;
  }
  return false;
}

}  // namespace storage
