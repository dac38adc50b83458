// The engine's doors: resources, writes, watches, compaction, closing.
#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "src/engine/engine_impl.h"

namespace storage {

EngineImpl::~EngineImpl() { Close().IgnoreError(); }

absl::Status EngineImpl::Closed() const {
  if (!closed_.load(std::memory_order_acquire)) return absl::OkStatus();
  return MakeStatus(Code::kCancelled, "the engine is closed");
}

// Order: no new work, watches end, lanes drain, then the clean mark.
absl::Status EngineImpl::Close() {
  MutexLock lock(&close_mu_);
  if (closed_.exchange(true) || !started_.load()) return absl::OkStatus();
  hub_->End(MakeStatus(Code::kCancelled, "the engine was closed"));
  housekeeper_->Stop();
  for (Part& part : parts_) part.lane->Stop();
  if (several_) StopFollowing();
  executor_->Stop();
  if (several_) return Leave();
  {
    MutexLock routes(&mu_);
    RememberCounts();
  }
  return sequencer_->Finish();
}

const EngineImpl::Entry* EngineImpl::Find(ResourceId id) const {
  if (id < 0 || id >= static_cast<ResourceId>(kMaxResources)) return nullptr;
  return table_[id].load(std::memory_order_acquire);
}

// A custom resource may come back with another scope. Where all its keys lived, and live, in
// one and the same database, that changes nothing.
bool EngineImpl::SameRoute(const Entry& known, const Resource& resource) const {
  if (known.resource.namespaced == resource.namespaced &&
      known.resource.custom == resource.custom) {
    return true;
  }
  return known.reach.size() == 1 && router_->Bind(resource)->reach() == known.reach;
}

// Resources are told apart by their keys: two API groups that share one prefix
// (events) are one collection, with one set of watchers.
absl::StatusOr<ResourceId> EngineImpl::Register(const Resource& resource) {
  if (resource.key_prefix.empty() || resource.key_prefix.back() != '/') {
    return MakeStatus(Code::kInvalid,
                      absl::StrCat("resource ", resource.resource, ": key prefix \"",
                                   resource.key_prefix, "\" must end in '/'"));
  }
  if (absl::Status status = Closed(); !status.ok()) return status;
  MutexLock lock(&mu_);
  auto [found, fresh] = by_prefix_.emplace(resource.key_prefix, 0);
  if (!fresh) {
    const Entry& known = *entries_[found->second];
    if (SameRoute(known, resource)) return found->second;
    return MakeStatus(
        Code::kInvalid,
        absl::StrCat("key prefix ", resource.key_prefix, " is registered for ",
                     known.resource.resource, " with another scope or origin than ",
                     resource.resource,
                     ", and the topology has other databases for these: restart the API server"));
  }
  if (entries_.size() >= kMaxResources) {
    by_prefix_.erase(found);
    return MakeStatus(Code::kInvalid, absl::StrCat("more than ", kMaxResources, " resources"));
  }
  if (absl::Status status = Remember(resource); !status.ok()) {
    by_prefix_.erase(found);
    return status;
  }
  std::unique_ptr<const ResourceRoute> route = router_->Bind(resource);
  const std::vector<int>& reach = route->reach();
  entries_.push_back(std::make_unique<Entry>(Entry{resource, std::move(route), reach}));
  found->second = static_cast<ResourceId>(entries_.size() - 1);
  table_[found->second].store(entries_.back().get(), std::memory_order_release);
  return found->second;
}

ResourceId EngineImpl::ResourceOf(std::string_view key) {
  MutexLock lock(&mu_);
  for (size_t n = key.rfind('/'); n != std::string_view::npos; n = key.rfind('/', n - 1)) {
    auto found = by_prefix_.find(std::string(key.substr(0, n + 1)));
    if (found != by_prefix_.end()) return found->second;
    if (n == 0) break;
  }
  return -1;
}

void EngineImpl::Write(std::shared_ptr<WriteOp> op) {
  auto refuse = [&](Code code, const std::string& message) {
    WriteResult result;
    result.code = code;
    result.error = MakeStatus(code, message);
    op->done(std::move(result));
  };
  const Entry* entry = Find(op->resource);
  if (entry == nullptr) return refuse(Code::kInvalid, "unknown resource id");
  if (closed_.load(std::memory_order_acquire)) {
    return refuse(Code::kCancelled, "the engine is closed");
  }
  const auto key_bytes = static_cast<int64_t>(op->key.size());
  if (key_bytes == 0) return refuse(Code::kInvalid, "empty key");
  if (key_bytes > options_.max_key_bytes) {
    return refuse(Code::kTooLarge,
                  absl::StrCat("the key ", absl::CHexEscape(op->key.substr(0, 100)), "... has ",
                               key_bytes, " bytes; the limit is ", options_.max_key_bytes,
                               ": shorten its names or --etcd-prefix"));
  }
  const auto value_bytes = static_cast<int64_t>(op->value.size());
  if (value_bytes > options_.max_value_bytes) {
    return refuse(Code::kTooLarge,
                  absl::StrCat("the object at ", absl::CHexEscape(op->key), " has ", value_bytes,
                               " bytes as it is stored; the limit is ", options_.max_value_bytes,
                               ": split it, or keep its large part elsewhere"));
  }
  // Here, because the database would refuse it only after revisions were taken.
  if (!op->key.starts_with(entry->resource.key_prefix)) {
    return refuse(Code::kInvalid, absl::StrCat("the key must begin with its resource's prefix ",
                                               entry->resource.key_prefix));
  }
  const bool delete_missing = op->verb == WriteOp::Verb::kDelete && op->expected == 0;
  if (op->expected < WriteOp::kAnyRevision || delete_missing) {
    return refuse(Code::kInvalid, absl::StrCat("expected revision ", op->expected));
  }
  const int lane = entry->route->Route(op->key);
  op->begin = OpTimes::Clock::now();
  parts_[lane].lane->Submit(std::move(op));
}

absl::StatusOr<std::unique_ptr<Watch>> EngineImpl::StartWatch(ResourceId resource,
                                                              const Range& range, int64_t after,
                                                              std::function<void()> ready) {
  const Entry* entry = Find(resource);
  if (entry == nullptr) return MakeStatus(Code::kInvalid, "unknown resource id");
  return hub_->Start(resource, range, entry->reach, after, std::move(ready));
}

absl::Status EngineImpl::Compact(int64_t rev) {
  if (absl::Status status = Closed(); !status.ok()) return status;
  ReadHeader header;
  if (absl::Status status = CheckHandedOut(rev, &header); !status.ok()) return status;
  for (Part& part : parts_) {
    if (absl::Status status = part.lane->RaiseFloor(rev); !status.ok()) return status;
  }
  return absl::OkStatus();
}

std::vector<std::string> EngineImpl::BackendNames() const {
  std::vector<std::string> names;
  for (const Part& part : parts_) names.push_back(part.name);
  return names;
}

absl::Status EngineImpl::CheckBackend(const std::string& name) {
  if (absl::Status status = Closed(); !status.ok()) return status;
  for (const Part& part : parts_) {
    if (part.name != name) continue;
    absl::Status status = part.backend->Ping();
    return status.ok() ? part.lane->Health() : status;
  }
  return MakeStatus(Code::kInvalid, absl::StrCat("there is no backend \"", name, "\""));
}

absl::Status EngineImpl::CheckMetadata() {
  absl::Status status = Closed();
  return status.ok() ? metadata_->Ping() : status;
}

absl::Status EngineImpl::CheckEngine() {
  absl::Status status = Closed();
  return status.ok() ? sequencer_->Health() : status;
}

}  // namespace storage
