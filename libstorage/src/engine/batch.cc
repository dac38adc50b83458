#include "src/engine/batch.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/engine/lane.h"

namespace storage {
namespace {

int64_t RandomToken() {
  std::random_device device;
  return static_cast<int64_t>((uint64_t{device()} << 30 ^ device()) & ((uint64_t{1} << 61) - 1)) +
         1;
}

// A thousand years: what is added to a clock must not overflow.
constexpr int64_t kMaxTtlMs = int64_t{1000} * 366 * 24 * 3600 * 1000;

// How long a batch is tried again that waited for the lane's lock: callers wait 3 s.
constexpr absl::Duration kTryAgain = absl::Milliseconds(2000);
// The same where other servers are faster (etcd): the database is well, and each try is
// a new chance. A try that took longer than kQuickTry waited for something.
constexpr absl::Duration kTryOvertaken = absl::Seconds(10);
constexpr absl::Duration kQuickTry = absl::Milliseconds(500);
// Others took numbers while a batch was on its way: for so long they are taken before.
constexpr absl::Duration kTakeApart = absl::Milliseconds(200);

}  // namespace

BatchWriter::BatchWriter(CommitLane* lane) : lane_(lane), next_token_(RandomToken()) {}

void BatchWriter::Execute(Ops ops) {
  Batch batch;
  for (std::shared_ptr<WriteOp>& op : ops) {
    WriteResult refused;
    if (lane_->Refuse(*op, &refused)) {
      lane_->Answer(op.get(), std::move(refused));
    } else {
      batch.ops.push_back(std::move(op));
    }
  }
  if (batch.ops.empty()) return;
  const absl::Time begin = absl::Now();
  if (absl::Status status = TryWithOthers(&batch); !status.ok()) {
    batch.txn.reset();
    lane_->stats_.failures += static_cast<int64_t>(batch.ops.size());
    AfterError(std::move(batch.ops), status);
    return;
  }
  lane_->SetHealth(absl::OkStatus());
  ++lane_->stats_.batches;
  lane_->stats_.operations += static_cast<int64_t>(batch.survivors.size());
  lane_->stats_.commit_us += absl::ToInt64Microseconds(absl::Now() - begin);
  Finish(&batch);
}

// Databases without a lock of the lane (etcd) say so at the commit, others when the lock
// was not free in time. The numbers are dead, and need no void of their own when a later
// batch of this lane is committed above them.
absl::Status BatchWriter::TryWithOthers(Batch* batch) {
  const bool others = lane_->env_.follower != nullptr;
  const SteadyTime until = SteadyAfter(kTryAgain);
  const SteadyTime until_overtaken = SteadyAfter(kTryOvertaken);
  for (int64_t dead = 0;;) {
    const SteadyTime quick = SteadyAfter(kQuickTry);
    absl::Status status = Try(batch);
    const bool busy = CodeOf(status) == Code::kBusy;
    if (busy && batch->takes && !batch->assumed) take_apart_until_ = SteadyAfter(kTakeApart);
    const SteadyTime now = SteadyAfter(absl::ZeroDuration());
    const bool late = now >= (now < quick ? until_overtaken : until);
    if (!busy || !(others || batch->assumed) || late) {
      const bool committed = status.ok() && !batch->survivors.empty();
      if (dead == 0 || committed) return status;
      void_to_ = std::max(void_to_, dead);
      Fence().IgnoreError();
      return status;
    }
    dead = std::max(dead, std::exchange(void_to_, 0));
    Batch fresh;
    fresh.ops = std::move(batch->ops);
    fresh.fresh = true;
    *batch = std::move(fresh);
  }
}

absl::Status BatchWriter::Try(Batch* batch) {
  if (void_to_ > 0) {
    if (absl::Status status = Fence(); !status.ok()) return status;
  }
  if (absl::Status status = OpenAndDecide(batch); !status.ok()) return status;
  for (size_t i = 0; i < batch->ops.size(); ++i) {
    if (batch->decisions[i].verdict == Verdict::kSurvives) {
      batch->survivors.push_back(static_cast<int>(i));
    }
  }
  if (batch->survivors.empty()) {
    batch->txn.reset();  // nothing to write: no revision is burnt (counterexample 12)
    return absl::OkStatus();
  }
  const SteadyTime began = SteadyAfter(absl::ZeroDuration());
  absl::Status status = WriteSurvivors(batch);
  if (status.ok()) return CommitAndResolve(batch);
  batch->txn.reset();
  // Who took and did not commit voids at once; if even that fails, the next
  // batch starts with it, and readers of several backends wait until then.
  if (void_to_ > 0 && !CommitLane::SilentSince(began)) Fence().IgnoreError();
  return status;
}

// Who is refused is told what is there, not what is remembered.
absl::Status BatchWriter::OpenAndDecide(Batch* batch) {
  const auto refused = [](const Decision& decision) {
    return decision.verdict == Verdict::kRefused;
  };
  for (;;) {
    const int64_t known = lane_->head();
    if (absl::Status status = Open(batch); !status.ok()) return status;
    batch->decisions = Decide(batch->ops, batch->current);
    const std::vector<Decision>& all = batch->decisions;
    const int64_t out = batch->txn->handed_out();
    const bool outdated = batch->prev_head < known || (out > 0 && out < batch->known_rev);
    if (!batch->assumed || (!outdated && std::none_of(all.begin(), all.end(), refused))) {
      return CheckLane(batch->txn->lane(), known);
    }
    batch->txn.reset();
    batch->fresh = true;
  }
}

absl::Status BatchWriter::Open(Batch* batch) {
  batch->known_rev = lane_->env_.sequencer->Rev();
  std::vector<std::string_view> keys;
  keys.reserve(batch->ops.size());
  for (const std::shared_ptr<WriteOp>& op : batch->ops) keys.push_back(op->key);
  batch->current.assign(keys.size(), Current());
  absl::StatusOr<std::unique_ptr<LaneTxn>> txn =
      lane_->env_.backend->BeginLaneAndRead(keys, absl::MakeSpan(batch->current), !batch->fresh);
  if (!txn.ok()) return txn.status();
  batch->txn = std::move(*txn);
  batch->assumed = batch->txn->assumed();
  batch->prev_head = batch->txn->lane().head;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<LaneTxn>> BatchWriter::Begin() {
  const int64_t known = lane_->head();
  absl::StatusOr<std::unique_ptr<LaneTxn>> txn = lane_->env_.backend->BeginLane();
  if (!txn.ok()) return txn;
  if (absl::Status ours = CheckLane((*txn)->lane(), known); !ours.ok()) return ours;
  return txn;
}

absl::Status BatchWriter::CheckLane(const Lane& row, int64_t known) const {
  const LaneEnv& env = lane_->env_;
  if (row.m_id != env.owner.m_id || row.epoch != env.owner.epoch || row.gen != env.owner.gen) {
    return MakeStatus(Code::kUnavailable,
                      absl::StrCat("another process took this database over (metadata store ",
                                   row.m_id, ", epoch ", row.epoch, "); stop one of the two"),
                      env.backend->name());
  }
  return lane_->CheckHead(row.head, known);
}

// In one transaction with the batch where the metadata store is in the same database:
// nothing is handed out then that could stay undecided. Otherwise they are taken first.
absl::Status BatchWriter::ChooseNumbers(Batch* batch) {
  const LaneEnv& env = lane_->env_;
  const int64_t out = batch->txn->handed_out();
  batch->takes = out > 0 && SteadyAfter(absl::ZeroDuration()) >= take_apart_until_;
  if (batch->takes) {
    batch->first = out + 1;
    return CheckStoreIsNotOlder(out, std::max(batch->known_rev, batch->prev_head), "metadata");
  }
  absl::StatusOr<int64_t> first =
      env.sequencer->Take(env.number, static_cast<int64_t>(batch->survivors.size()));
  if (!first.ok()) return first.status();
  batch->first = *first;
  void_to_ = batch->last();
  return absl::OkStatus();
}

absl::Status BatchWriter::WriteSurvivors(Batch* batch) {
  const LaneEnv& env = lane_->env_;
  if (absl::Status status = ChooseNumbers(batch); !status.ok()) return status;
  batch->token = next_token_++;
  const int64_t now_ms = batch->txn->NowMs();
  int64_t rev = batch->first;
  for (int i : batch->survivors) {
    const WriteOp& op = *batch->ops[i];
    Mutation mutation;
    mutation.kind = batch->decisions[i].kind;
    mutation.collection = env.collection(op.resource);
    mutation.key = op.key;
    mutation.value = op.value.view();
    mutation.attrs = op.attrs;
    mutation.rev = rev++;
    mutation.expire_at_ms =
        op.ttl_ms > 0 && op.grows() ? now_ms + std::min(op.ttl_ms, kMaxTtlMs) : 0;
    mutation.old_create_rev = batch->current[i].meta.create_rev;
    mutation.old_bytes = static_cast<int64_t>(batch->current[i].value.size());
    batch->mutations.push_back(mutation);
  }
  if (absl::Status status = batch->txn->Apply(batch->mutations, batch->token); !status.ok()) {
    return status;
  }
  if (batch->takes) {
    absl::Status taken = batch->txn->Take(env.owner, batch->first, batch->last());
    if (!taken.ok()) return taken;
  }
  return batch->txn->Guard(env.owner, batch->first, batch->last());
}

void BatchWriter::Tell(int64_t prev_head, const std::vector<EventPtr>& events, int64_t head) {
  const LaneEnv& env = lane_->env_;
  lane_->Saw(head);
  if (env.follower != nullptr) {
    env.sequencer->Decide(env.number, head);
    env.follower->Committed(prev_head, events, head);
    return;
  }
  env.hub->Publish(env.number, prev_head, events, head,
                   [&] { env.sequencer->Decide(env.number, head); });
}

void BatchWriter::Publish(const Batch& batch) {
  std::vector<EventPtr> events;
  events.reserve(batch.survivors.size());
  for (size_t n = 0; n < batch.survivors.size(); ++n) {
    const int i = batch.survivors[n];
    const Mutation& mutation = batch.mutations[n];
    auto event = std::make_shared<Event>();
    event->rev = mutation.rev;
    event->kind = mutation.kind;
    event->resource = batch.ops[i]->resource;
    event->key = batch.ops[i]->key;
    if (batch.ops[i]->grows()) event->value = batch.ops[i]->value;
    event->prev = batch.current[i].value;
    events.push_back(std::move(event));
    if (mutation.expire_at_ms > 0) {
      const int64_t known = lane_->earliest_expiry_ms_.load();
      if (known == 0 || mutation.expire_at_ms < known) {
        lane_->earliest_expiry_ms_.store(mutation.expire_at_ms);
      }
    }
  }
  Tell(batch.prev_head, events, batch.last());
}

WriteResult BatchWriter::ResultOf(const Batch& batch, size_t i) const {
  const Decision& decision = batch.decisions[i];
  WriteResult result;
  result.code = decision.code;
  result.revision = lane_->env_.sequencer->Complete(lane_->env_.number);
  if (decision.verdict == Verdict::kRefusedLate) {
    if (decision.code == Code::kNotFound) return result;
    const auto at = std::lower_bound(batch.survivors.begin(), batch.survivors.end(), decision.on);
    const Mutation& winner = batch.mutations[at - batch.survivors.begin()];
    result.current.mod_rev = winner.rev;
    const bool created = winner.kind == ChangeKind::kCreate;
    result.current.create_rev = created ? winner.rev : batch.current[decision.on].meta.create_rev;
    result.current.expire_at_ms = winner.expire_at_ms;
    result.current_value = batch.ops[decision.on]->value;
    return result;
  }
  result.current = batch.current[i].meta;
  result.current_value = batch.current[i].value;
  if (decision.verdict == Verdict::kSurvives) {
    const auto at =
        std::lower_bound(batch.survivors.begin(), batch.survivors.end(), static_cast<int>(i));
    result.revision = batch.mutations[at - batch.survivors.begin()].rev;
  }
  return result;
}

void BatchWriter::Finish(Batch* batch) {
  Ops later;
  for (size_t i = 0; i < batch->ops.size(); ++i) {
    if (batch->decisions[i].verdict == Verdict::kDeferred) {
      later.push_back(batch->ops[i]);
      continue;
    }
    if (batch->decisions[i].code != Code::kOk) ++lane_->stats_.conflicts;
    lane_->Answer(batch->ops[i].get(), ResultOf(*batch, i));
  }
  if (!later.empty()) lane_->Requeue(std::move(later));
}

}  // namespace storage
