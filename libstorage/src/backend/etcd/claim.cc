#include "src/backend/etcd/claim.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/claimed_metadata.h"
#include "src/backend/etcd/codec.h"
#include "src/backend/etcd/keys.h"
#include "src/backend/etcd/meta_state.h"
#include "src/backend/etcd/store.h"
#include "src/base/thread.h"

namespace storage::etcd {
namespace {

using std::chrono::steady_clock;

// How long a server that was killed keeps others out. The thread has three tries.
constexpr int64_t kLeaseSeconds = 5;
constexpr absl::Duration kBeatEvery = absl::Milliseconds(1250);
constexpr absl::Duration kBeatTime = absl::Milliseconds(1000);
constexpr absl::Duration kBeatAgain = absl::Milliseconds(250);
// For a holder that may be dead: its lease, etcd's look for leases that ended, a change
// of the leader.
constexpr absl::Duration kPatience = absl::Seconds(kLeaseSeconds + 3);
// How long a start waits for that of another server.
constexpr int64_t kStartWaitMs = 20000;
// Between looks at keys that may go away.
constexpr std::chrono::milliseconds kLookEvery{100};
constexpr uint8_t kVersion = 1;

void Expect(pb::TxnRequest* request, const std::string& key, const std::string& end) {
  pb::Compare* const absent = request->add_compare();
  absent->set_target(pb::Compare::VERSION);
  absent->set_key(key);
  absent->set_range_end(end);
  absent->set_version(0);
}

std::string HolderOf(const pb::KeyValue& kv) {
  return kv.value().size() > 1 ? kv.value().substr(1) : "unknown";
}

// Claims are taken again, whatever became of them.
absl::Status Outage(const absl::Status& status) {
  if (CodeOf(status) != Code::kOutcomeUnknown) return status;
  return MakeStatus(Code::kUnavailable, std::string(status.message()), BackendOf(status),
                    DriverCodeOf(status));
}

void ExpectLease(pb::TxnRequest* request, const std::string& key, int64_t lease) {
  pb::Compare* const ours = request->add_compare();
  ours->set_target(pb::Compare::LEASE);
  ours->set_key(key);
  ours->set_lease(lease);
}

}  // namespace

struct Claim::Patience {
  SteadyTime until = SteadyAfter(kPatience);
  int64_t lease = 0;  // of whom we wait for
  int64_t left = 0;   // of it, seconds
};

Claim::Claim(std::unique_ptr<Client> client, std::string where)
    : client_(std::move(client)),
      where_(std::move(where)),
      share_(SharePrefix() + RandomIdentity()),
      key_(share_) {}

absl::Status Claim::Grant() {
  const absl::StatusOr<int64_t> lease = client_->GrantLease(kLeaseSeconds);
  if (!lease.ok()) return lease.status();
  {
    MutexLock lock(&mutex_);
    lease_ = *lease;
    lost_ = false;
  }
  if (!thread_.joinable()) thread_ = StartThread("stg-claim", [this] { Run(); });
  return absl::OkStatus();
}

void Claim::Release() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  stop_.SignalAll();
  if (thread_.joinable()) thread_.join();
  Drop();
}

// Every key of ours goes with it, and what is still on its way is refused.
void Claim::Drop() {
  int64_t lease = 0;
  {
    MutexLock lock(&mutex_);
    lease = std::exchange(lease_, 0);
    lost_ = true;
  }
  if (lease != 0) client_->RevokeLease(lease, SteadyAfter(kBeatTime)).IgnoreError();
}

bool Claim::lost() {
  MutexLock lock(&mutex_);
  return lost_;
}

void Claim::SetLost() {
  MutexLock lock(&mutex_);
  lost_ = true;
}

int64_t Claim::lease() {
  MutexLock lock(&mutex_);
  return lease_;
}

void Claim::Run() {
  SteadyTime next = SteadyAfter(kBeatEvery);
  int64_t lease = 0;
  while (WaitForBeat(next, &lease)) {
    absl::StatusOr<int64_t> left = 0;
    if (lease != 0) left = client_->KeepLease(lease, SteadyAfter(kBeatTime));
    if (lease != 0 && left.ok() && *left <= 0) Ended(lease);
    next = SteadyAfter(left.ok() ? kBeatEvery : kBeatAgain);
  }
}

bool Claim::WaitForBeat(SteadyTime next, int64_t* lease) {
  MutexLock lock(&mutex_);
  while (!stopping_ && steady_clock::now() < next) stop_.WaitUntil(&mutex_, next);
  *lease = lease_;
  return !stopping_;
}

void Claim::Ended(int64_t lease) {
  MutexLock lock(&mutex_);
  if (lease_ == lease) lost_ = true;
}

std::vector<Claim::Span> Claim::Others() const {
  return {{AloneKey(), ""}, {SharePrefix(), share_}, {share_ + '\0', PrefixEnd(SharePrefix())}};
}

absl::StatusOr<Claim::Keys> Claim::PutIfFree(const std::vector<Span>& spans,
                                             const std::vector<std::string>& keys) {
  pb::TxnRequest request;
  for (const Span& span : spans) {
    Expect(&request, span.key, span.end);
    pb::RangeRequest* const look = request.add_failure()->mutable_request_range();
    look->set_key(span.key);
    look->set_range_end(span.end);
  }
  for (const std::string& key : keys) {
    pb::PutRequest* const put = request.add_success()->mutable_request_put();
    put->set_key(key);
    put->set_value(Packer().Byte(kVersion).Take() + holder_);
    put->set_lease(lease());
  }
  pb::TxnResponse response;
  const absl::Status status = client_->Write(request, &response);
  if (!status.ok()) {
    Drop();  // it may still arrive
    return Outage(status);
  }
  Keys others;
  if (response.succeeded()) return others;
  for (const pb::ResponseOp& found : response.responses()) {
    for (const pb::KeyValue& kv : found.response_range().kvs()) others.push_back(kv);
  }
  return others;
}

absl::StatusOr<Claim::Keys> Claim::PutWhenFree(const std::vector<Span>& spans,
                                               const std::vector<std::string>& keys,
                                               int64_t wait_ms) {
  const SteadyTime until = SteadyAfter(absl::Milliseconds(wait_ms));
  while (true) {
    absl::StatusOr<Keys> others = PutIfFree(spans, keys);
    if (!others.ok() || others->empty() || steady_clock::now() + kLookEvery >= until) {
      return others;
    }
    std::this_thread::sleep_for(kLookEvery);
  }
}

// True: look again. A lease that grows is one of somebody who lives.
absl::StatusOr<bool> Claim::MayGo(Patience* patience, const pb::KeyValue& other) {
  if (steady_clock::now() >= patience->until) return false;
  const absl::StatusOr<int64_t> left = client_->LeaseTime(other.lease());
  if (!left.ok()) return left.status();
  const bool known = patience->lease == other.lease();
  if (known && *left > patience->left) return false;
  if (!known && client_->logger() != nullptr) {
    client_->logger()->Log(
        LogLevel::kInfo, absl::StrCat("metadata store: waiting for its holder, ", HolderOf(other),
                                      "; if it died, its claim ends within ", kLeaseSeconds, " s"));
  }
  patience->lease = other.lease();
  patience->left = *left;
  std::this_thread::sleep_for(kLookEvery);
  return true;
}

absl::Status Claim::Busy(const std::string& why, const pb::KeyValue& other) const {
  return MakeStatus(Code::kBusy,
                    absl::StrCat("the metadata store in ", where_, why, HolderOf(other)),
                    client_->name());
}

absl::Status Claim::TakeAlone() {
  key_ = AloneKey();
  absl::Status status = Grant();
  Patience patience;
  while (status.ok()) {
    const absl::StatusOr<Keys> others = PutIfFree(Others(), {AloneKey()});
    if (!others.ok() || others->empty()) return others.status();
    const pb::KeyValue& other = others->front();
    const absl::StatusOr<bool> again = MayGo(&patience, other);
    if (!again.ok()) return again.status();
    if (*again) continue;
    if (other.key() != AloneKey()) return Busy(kUsedShared, other);
    absl::Status busy = Busy(" is used by another process: ", other);
    status = MakeStatus(
        Code::kBusy,
        absl::StrCat(busy.message(), "; stop it, or give this one a metadata store of its own"),
        client_->name());
  }
  return status;
}

absl::Status Claim::TakeShare(bool* only) {
  absl::Status status = Grant();
  if (!status.ok()) return status;
  const auto starts = PutWhenFree({{StartsKey(), ""}}, {StartsKey()}, kStartWaitMs);
  if (!starts.ok()) return starts.status();
  if (!starts->empty()) return Busy(kBeingStarted, starts->front());
  Patience patience;
  while (true) {
    absl::StatusOr<Keys> others = PutIfFree(Others(), {AloneKey(), share_});
    *only = others.ok() && others->empty();
    // Who was alone and is gone is not joined: it told nobody which numbers it used.
    if (others.ok() && !*only && others->front().key() != AloneKey()) {
      others = PutIfFree({{AloneKey(), ""}}, {share_});
    }
    if (!others.ok() || others->empty()) return others.status();
    const absl::StatusOr<bool> again = MayGo(&patience, others->front());
    if (!again.ok()) return again.status();
    if (*again) continue;
    return Busy(absl::StrCat(kUsedAlone, "; stop it first. It is: "), others->front());
  }
}

absl::Status Claim::TakeAgain() {
  absl::Status status = Grant();
  if (!status.ok()) return status;
  const bool alone = key_ == AloneKey();
  const std::vector<Span> spans = alone ? Others() : std::vector<Span>{{AloneKey(), ""}};
  const absl::StatusOr<Keys> others = PutIfFree(spans, {key_});
  if (!others.ok() || others->empty()) return others.status();
  Drop();
  return Busy(kClaimedMeanwhile, others->front());
}

absl::StatusOr<bool> Claim::LockStarts(int64_t wait_ms) {
  const auto others = PutWhenFree({{StartsKey(), ""}}, {StartsKey()}, wait_ms);
  if (!others.ok()) return others.status();
  return others->empty();
}

absl::StatusOr<bool> Claim::BecomeOnly(int64_t wait_ms) {
  const auto others = PutWhenFree(Others(), {AloneKey()}, wait_ms);
  if (!others.ok()) return others.status();
  return others->empty();
}

absl::Status Claim::ShareAgain() { return Remove({AloneKey()}); }

absl::StatusOr<bool> Claim::OthersThere() {
  for (const Span& span : Others()) {
    pb::RangeResponse response;
    const absl::Status status = client_->Range(RangeOf(span.key, span.end, 0), &response);
    if (!status.ok()) return status;
    if (response.kvs_size() > 0) return true;
  }
  return false;
}

absl::Status Claim::AdmitOthers(bool only) {
  std::vector<std::string> keys = {StartsKey()};
  if (only) keys.push_back(AloneKey());
  return Remove(keys);
}

// What arrives late finds no lock of starts of ours and does nothing.
absl::Status Claim::Remove(const std::vector<std::string>& keys) {
  pb::TxnRequest request;
  ExpectLease(&request, StartsKey(), lease());
  for (const std::string& key : keys) {
    request.add_success()->mutable_request_delete_range()->set_key(key);
  }
  request.add_failure()->mutable_request_range()->set_key(share_);
  const SteadyTime until = SteadyAfter(kCallTime);
  for (bool sent = false;; sent = true) {
    pb::TxnResponse response;
    const absl::Status status = client_->Write(request, &response, until);
    if (CodeOf(status) == Code::kOutcomeUnknown && !sent) continue;
    if (!status.ok() || response.succeeded()) return Outage(status);
    const pb::RangeResponse& ours = response.responses(0).response_range();
    if (sent && ours.kvs_size() > 0 && ours.kvs(0).lease() == lease()) return absl::OkStatus();
    SetLost();
    return MakeStatus(Code::kUnavailable,
                      absl::StrCat("the claim on the metadata store in ", where_,
                                   " was lost during the start: start again"),
                      client_->name());
  }
}

}  // namespace storage::etcd
