// The metadata store on etcd: one key with the whole state, replaced by
// compare-and-put, and one key for each moment that is remembered.
#include <unistd.h>

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"
#include "src/backend/etcd/client.h"
#include "src/backend/etcd/codec.h"
#include "src/backend/etcd/etcd.h"
#include "src/backend/etcd/keys.h"
#include "src/backend/etcd/store.h"

namespace storage::etcd {
namespace {

constexpr uint8_t kVersion = 1;

std::string MetaKey(std::string_view name) {
  return std::string("\0libstorage-meta/", 17).append(name);
}
std::string StateKey() { return MetaKey("state"); }
std::string ClockKey(int64_t unix_s) { return MetaKey("clock/") + Digits(unix_s); }
std::string ClockEnd() { return PrefixEnd(MetaKey("clock/")); }

// What is stored, and the random name of the write that stored it.
struct Stored {
  MetaState state;
  int64_t txn = 0;
  std::string holder;  // who started last: "pid 12 on host"; "" = closed in order
};

std::string Us() {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat("pid ", getpid(), " on ", host);
}

std::string Encode(const Stored& stored) {
  const MetaState& state = stored.state;
  Packer out;
  out.Byte(kVersion).Number(stored.txn).Bytes(stored.holder).Bytes(state.m_id).Number(state.epoch);
  out.Number(state.reserved).Byte(state.clean ? 1 : 0);
  out.Number(state.topo_version).Bytes(state.topo);
  for (const auto& [name, mark] : state.backends) {
    out.Bytes(name).Bytes(mark.identity).Number(mark.confirmed);
  }
  return out.Take();
}

bool Decode(std::string_view bytes, Stored* out) {
  Unpacker in(bytes);
  MetaState& state = out->state;
  const bool known = in.Byte() == kVersion;
  out->txn = in.Number();
  out->holder = std::string(in.Bytes());
  state.m_id = std::string(in.Bytes());
  state.epoch = in.Number();
  state.reserved = in.Number();
  state.clean = in.Byte() == 1;
  state.topo_version = in.Number();
  state.topo = std::string(in.Bytes());
  while (known && in.ok() && !in.Done()) {
    const std::string name(in.Bytes());
    BackendMark& mark = state.backends[name];
    mark.identity = std::string(in.Bytes());
    mark.confirmed = in.Number();
  }
  state.existed = state.epoch > 0;  // made and never started: new
  return known && in.Done();
}

void Merge(const std::map<std::string, BackendMark>& marks, MetaState* state) {
  for (const auto& [name, mark] : marks) {
    BackendMark& known = state->backends[name];
    const bool same = known.identity == mark.identity;
    known = {mark.identity, same ? std::max(known.confirmed, mark.confirmed) : mark.confirmed};
  }
}

class EtcdMetadata : public MetadataStore {
 public:
  explicit EtcdMetadata(std::unique_ptr<Client> client) : client_(std::move(client)) {}

  absl::Status Open() {
    MutexLock lock(&mutex_);
    if (absl::Status status = Load(); !status.ok()) return status;
    if (mod_ == 0) {
      absl::Status made = Write([](Stored* next) { next->state.m_id = RandomIdentity(); }, nullptr);
      if (!made.ok()) return made;
    }
    found_ = stored_.state;
    return absl::OkStatus();
  }

  const MetaState& found() const override { return found_; }

  absl::StatusOr<int64_t> Start() override {
    MutexLock lock(&mutex_);
    if (!stored_.holder.empty() && client_->logger() != nullptr) {
      client_->logger()->Log(
          LogLevel::kWarning,
          absl::StrCat("metadata store: it was not closed by ", stored_.holder,
                       "; if that server still runs, it is refused from now on"));
    }
    const absl::Status status = Write(
        [](Stored* next) {
          ++next->state.epoch;
          next->state.clean = false;
          next->holder = Us();
        },
        nullptr);
    if (!status.ok()) return status;
    return stored_.state.epoch;
  }

  absl::Status Reserve(int64_t upto, const std::map<std::string, BackendMark>& marks) override {
    MutexLock lock(&mutex_);
    return Write(
        [&](Stored* next) {
          next->state.reserved = std::max(next->state.reserved, upto);
          Merge(marks, &next->state);
        },
        nullptr);
  }

  absl::Status SetTopology(int64_t version, const std::string& topo) override {
    MutexLock lock(&mutex_);
    return Write(
        [&](Stored* next) {
          next->state.topo_version = version;
          next->state.topo = topo;
        },
        nullptr);
  }

  absl::Status Finish(int64_t rev, const std::map<std::string, BackendMark>& marks) override {
    MutexLock lock(&mutex_);
    return Write(
        [&](Stored* next) {
          next->state.reserved = rev;
          next->state.clean = true;
          next->holder.clear();
          Merge(marks, &next->state);
        },
        nullptr);
  }

  absl::Status MarkTime(int64_t unix_s, int64_t rev) override {
    MutexLock lock(&mutex_);
    return Write([](Stored*) {},
                 [&](pb::TxnRequest* request) {
                   pb::PutRequest* const put = request->add_success()->mutable_request_put();
                   put->set_key(ClockKey(unix_s));
                   put->set_value(Packer().Number(rev).Take());
                 });
  }

  absl::Status ForgetBefore(int64_t unix_s) override {
    if (unix_s <= 0) return absl::OkStatus();
    MutexLock lock(&mutex_);
    return Write([](Stored*) {},
                 [&](pb::TxnRequest* request) {
                   auto* const gone = request->add_success()->mutable_request_delete_range();
                   gone->set_key(ClockKey(0));
                   gone->set_range_end(ClockKey(unix_s));
                 });
  }

  absl::StatusOr<int64_t> RevisionAt(int64_t unix_s) override {
    pb::RangeResponse response;
    const std::string end =
        unix_s < 0 ? ClockKey(0) : std::min(ClockKey(unix_s) + '\0', ClockEnd());
    if (end == ClockKey(0)) return 0;
    const absl::Status status = client_->Range(RangeOf(ClockKey(0), end, 0), &response);
    if (!status.ok()) return status;
    int64_t highest = 0;
    for (const pb::KeyValue& kv : response.kvs()) {
      highest = std::max(highest, Unpacker(kv.value()).Number());
    }
    return highest;
  }

  absl::Status Ping() override {
    pb::RangeResponse response;
    return client_->Range(RangeOf(StateKey(), "", 0), &response);
  }

 private:
  absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    pb::RangeResponse response;
    absl::Status status = client_->Range(RangeOf(StateKey(), "", 0), &response);
    if (!status.ok()) return status;
    mod_ = 0;
    stored_ = Stored();
    if (response.kvs_size() == 0) return absl::OkStatus();
    mod_ = response.kvs(0).mod_revision();
    if (Decode(response.kvs(0).value(), &stored_)) return absl::OkStatus();
    return Damaged("the state of the metadata store", client_->name());
  }

  // A write whose reply was lost may be what the compare finds: then it is ours,
  // and what is to be changed now is changed on top of it.
  template <typename Change>
  absl::Status Write(const Change& change, const std::function<void(pb::TxnRequest*)>& add)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (bool again = true;; again = false) {
      Stored next = stored_;
      change(&next);
      std::random_device device;
      next.txn = static_cast<int64_t>(uint64_t{device()} << 32 | device());
      pb::TxnRequest request;
      pb::Compare* const compare = request.add_compare();
      compare->set_target(pb::Compare::MOD);
      compare->set_key(StateKey());
      compare->set_mod_revision(mod_);
      pb::PutRequest* const put = request.add_success()->mutable_request_put();
      put->set_key(StateKey());
      put->set_value(Encode(next));
      if (add) add(&request);
      const int64_t former = std::exchange(last_txn_, next.txn);
      pb::TxnResponse response;
      absl::Status status = client_->Write(request, &response);
      if (status.ok() && response.succeeded()) {
        mod_ = response.header().revision();
        stored_ = std::move(next);
        return status;
      }
      if (!status.ok() && CodeOf(status) != Code::kOutcomeUnknown) return status;
      const Stored known = stored_;
      const int64_t known_mod = mod_;
      if (absl::Status loaded = Load(); !loaded.ok()) return loaded;
      if (stored_.txn == next.txn) return absl::OkStatus();
      const bool ours = mod_ == known_mod || stored_.txn == former;
      if (ours && again) continue;
      if (ours) {
        return MakeStatus(Code::kUnavailable,
                          absl::StrCat("a write was not acknowledged: ", status.message()),
                          client_->name());
      }
      const std::string holder = absl::StrCat(stored_.holder, ", epoch ", stored_.state.epoch);
      stored_ = known;
      mod_ = known_mod;
      return MakeStatus(Code::kUnavailable,
                        absl::StrCat("another server started with this metadata store (", holder,
                                     "); stop one of the two"),
                        client_->name());
    }
  }

  const std::unique_ptr<Client> client_;
  MetaState found_;
  Mutex mutex_;
  Stored stored_ ABSL_GUARDED_BY(mutex_);
  int64_t mod_ ABSL_GUARDED_BY(mutex_) = 0;       // etcd's revision of the state
  int64_t last_txn_ ABSL_GUARDED_BY(mutex_) = 0;  // the last one that was sent
};

}  // namespace
}  // namespace storage::etcd

namespace storage {

absl::StatusOr<std::unique_ptr<MetadataStore>> OpenEtcdMetadata(const EtcdOptions& options) {
  absl::StatusOr<std::unique_ptr<etcd::Client>> client = etcd::Client::Create(options);
  if (!client.ok()) return client.status();
  auto store = std::make_unique<etcd::EtcdMetadata>(*std::move(client));
  if (absl::Status status = store->Open(); !status.ok()) return status;
  return std::unique_ptr<MetadataStore>(std::move(store));
}

}  // namespace storage
