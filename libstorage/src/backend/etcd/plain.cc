#include "src/backend/etcd/plain.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/backend/etcd/client.h"
#include "src/backend/etcd/keys.h"
#include "src/backend/etcd/store.h"

namespace storage {
namespace {

using etcd::Client;
using etcd::PrefixEnd;
namespace pb = ::etcdserverpb;

constexpr int64_t kFirstPage = 16;  // of objects of 1.5 MiB no more fit into the time of a call
constexpr int64_t kPageBytes = 2 << 20;
constexpr int64_t kMostRows = 5000;
// A change of leader is over by then.
constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr absl::Duration kPause = absl::Milliseconds(200);
// Writes that wait for one sync of etcd's log go together.
constexpr int kRaisers = 64;
// While it is raised, so that its file does not grow by every revision.
constexpr int64_t kCompactEvery = 20000;

// Neither begins as our own keys in a database of ours do.
std::string MarkKey() { return std::string("\0stgctl-export/mark", 19); }
std::string RaiseKey() { return std::string("\0stgctl-export/raise", 20); }
std::string OurPrefix() { return std::string("\0libstorage", 11); }

void AddPut(pb::TxnRequest* txn, const std::string& key, const std::string& value, int64_t lease) {
  pb::PutRequest* const put = txn->add_success()->mutable_request_put();
  put->set_key(key);
  put->set_value(value);
  put->set_lease(lease);
}

void AddRemoval(pb::TxnRequest* txn, const std::string& key) {
  txn->add_success()->mutable_request_delete_range()->set_key(key);
}

bool MayPass(Code code) {
  return code == Code::kUnavailable || code == Code::kOutcomeUnknown || code == Code::kDeadline;
}

class PlainEtcdImpl : public PlainEtcd {
 public:
  explicit PlainEtcdImpl(std::unique_ptr<Client> client) : client_(std::move(client)) {}

  absl::StatusOr<About> Describe() override;
  absl::StatusOr<int64_t> Count(const Range& range) override;
  absl::StatusOr<std::vector<PlainEntry>> Page(const Range& range, int64_t revision) override;
  absl::Status Write(const std::vector<PlainPut>& puts,
                     const std::vector<std::string>& removals) override;
  absl::StatusOr<int64_t> Grant(int64_t ttl_s) override { return client_->GrantLease(ttl_s); }
  absl::Status SetMark(const std::string& text) override {
    return Write({{MarkKey(), text, 0}}, {});
  }
  absl::Status RemoveMark() override { return Write({}, {MarkKey(), RaiseKey()}); }
  absl::Status Raise(int64_t revision, const std::function<bool(int64_t)>& progress) override;
  absl::Status Compact(int64_t revision) override { return client_->Compact(revision); }

 private:
  absl::Status Send(const pb::TxnRequest& request, int64_t* revision);
  absl::StatusOr<int64_t> Revision();
  void RaiseSome(int64_t upto, std::atomic<int64_t>* reached, std::atomic<bool>* stop,
                 absl::Status* outcome);

  const std::unique_ptr<Client> client_;
  int64_t page_ = kFirstPage;
};

absl::StatusOr<PlainEtcd::About> PlainEtcdImpl::Describe() {
  About about;
  absl::StatusOr<pb::StatusResponse> server = client_->ServerStatus();
  if (!server.ok()) return server.status();
  about.version = server->version();
  pb::RangeResponse mark;
  absl::Status status = client_->Range(etcd::RangeOf(MarkKey(), "", 0), &mark);
  if (!status.ok()) return status;
  if (mark.kvs_size() > 0) about.mark = mark.kvs(0).value();
  about.revision = mark.header().revision();
  about.cluster = absl::StrCat(absl::Hex(mark.header().cluster_id(), absl::kZeroPad16));
  absl::StatusOr<int64_t> ours = Count({OurPrefix(), PrefixEnd(OurPrefix())});
  if (!ours.ok()) return ours.status();
  about.ours = *ours > 0;
  return about;
}

absl::StatusOr<int64_t> PlainEtcdImpl::Revision() {
  pb::RangeResponse response;
  absl::Status status = client_->Range(etcd::RangeOf(MarkKey(), "", 0), &response);
  if (!status.ok()) return status;
  return response.header().revision();
}

absl::StatusOr<int64_t> PlainEtcdImpl::Count(const Range& range) {
  pb::RangeRequest request = etcd::RangeOf(range.start, range.end, 0);
  request.set_count_only(true);
  pb::RangeResponse response;
  absl::Status status = client_->Range(request, &response);
  if (!status.ok()) return status;
  return response.count();
}

absl::StatusOr<std::vector<PlainEntry>> PlainEtcdImpl::Page(const Range& range, int64_t revision) {
  pb::RangeRequest request = etcd::RangeOf(range.start, range.end, revision);
  request.set_limit(page_);
  pb::RangeResponse response;
  absl::Status status = client_->Range(request, &response);
  if (!status.ok()) return status;
  std::vector<PlainEntry> page;
  int64_t bytes = 1;
  for (pb::KeyValue& kv : *response.mutable_kvs()) {
    bytes += static_cast<int64_t>(kv.key().size() + kv.value().size());
    const bool leased = kv.lease() != 0;
    page.push_back({std::move(*kv.mutable_key()), std::move(*kv.mutable_value()), leased});
  }
  if (!page.empty()) {
    page_ =
        std::clamp(kPageBytes * static_cast<int64_t>(page.size()) / bytes, int64_t{1}, kMostRows);
  }
  return page;
}

absl::Status PlainEtcdImpl::Send(const pb::TxnRequest& request, int64_t* revision) {
  const absl::Time until = absl::Now() + kPatience;
  for (;;) {
    pb::TxnResponse response;
    absl::Status status = client_->Write(request, &response);
    if (status.ok() && revision != nullptr) *revision = response.header().revision();
    if (status.ok() || !MayPass(CodeOf(status)) || absl::Now() >= until) return status;
    absl::SleepFor(kPause);
  }
}

absl::Status PlainEtcdImpl::Write(const std::vector<PlainPut>& puts,
                                  const std::vector<std::string>& removals) {
  pb::TxnRequest request;
  for (const PlainPut& put : puts) AddPut(&request, put.key, put.value, put.lease);
  for (const std::string& key : removals) AddRemoval(&request, key);
  return Send(request, nullptr);
}

void PlainEtcdImpl::RaiseSome(int64_t upto, std::atomic<int64_t>* reached, std::atomic<bool>* stop,
                              absl::Status* outcome) {
  pb::TxnRequest request;
  AddPut(&request, RaiseKey(), "", 0);
  while (!stop->load() && reached->load() < upto) {
    int64_t revision = 0;
    *outcome = Send(request, &revision);
    if (!outcome->ok()) {
      *stop = true;
      return;
    }
    int64_t seen = reached->load();
    while (revision > seen && !reached->compare_exchange_weak(seen, revision)) {
    }
  }
}

absl::Status PlainEtcdImpl::Raise(int64_t revision, const std::function<bool(int64_t)>& progress) {
  absl::StatusOr<int64_t> at = Revision();
  if (!at.ok()) return at.status();
  while (*at < revision) {
    if (!progress(*at)) return MakeStatus(Code::kCancelled, "stopped");
    // A slice, so that the history of it can go, and a stop is noticed.
    const int64_t upto = std::min(revision, *at + kCompactEvery);
    const int64_t threads = std::clamp<int64_t>(upto - *at, 1, kRaisers);
    std::atomic<int64_t> reached{*at};
    std::atomic<bool> stop{false};
    std::vector<absl::Status> outcomes(static_cast<size_t>(threads));
    std::vector<std::thread> raisers;
    for (absl::Status& outcome : outcomes) {
      raisers.emplace_back([&, out = &outcome] { RaiseSome(upto, &reached, &stop, out); });
    }
    for (std::thread& raiser : raisers) raiser.join();
    for (const absl::Status& outcome : outcomes) {
      if (!outcome.ok()) return outcome;
    }
    *at = reached.load();
    if (absl::Status status = Compact(*at); !status.ok()) return status;
  }
  return progress(*at) ? absl::OkStatus() : MakeStatus(Code::kCancelled, "stopped");
}

}  // namespace

absl::StatusOr<std::unique_ptr<PlainEtcd>> PlainEtcd::Open(const EtcdOptions& options) {
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(options);
  if (!client.ok()) return client.status();
  std::unique_ptr<PlainEtcd> plain = std::make_unique<PlainEtcdImpl>(*std::move(client));
  absl::StatusOr<About> about = plain->Describe();
  if (!about.ok()) return about.status();
  return plain;
}

}  // namespace storage
