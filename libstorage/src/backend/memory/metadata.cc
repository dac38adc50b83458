#include <algorithm>
#include <map>

#include "src/backend/checks.h"
#include "src/backend/memory/memory.h"
#include "src/base/mutex.h"

namespace storage {
namespace {

class MemoryMetadata : public MetadataStore {
 public:
  MemoryMetadata() { found_.m_id = RandomIdentity(); }

  const MetaState& found() const override { return found_; }

  absl::StatusOr<int64_t> Start() override {
    MutexLock lock(&mutex_);
    return ++epoch_;
  }
  // What is only read back at the next open need not be kept.
  absl::Status Reserve(int64_t upto, const std::map<std::string, BackendMark>& marks) override {
    return absl::OkStatus();
  }
  absl::Status SetTopology(int64_t version, const std::string& topo) override {
    return absl::OkStatus();
  }
  absl::Status Finish(int64_t rev, const std::map<std::string, BackendMark>& marks) override {
    return absl::OkStatus();
  }

  absl::Status MarkTime(int64_t unix_s, int64_t rev) override {
    MutexLock lock(&mutex_);
    clock_[unix_s] = rev;
    return absl::OkStatus();
  }

  absl::StatusOr<int64_t> RevisionAt(int64_t unix_s) override {
    MutexLock lock(&mutex_);
    int64_t highest = 0;
    for (const auto& [when, rev] : clock_) highest = std::max(highest, when <= unix_s ? rev : 0);
    return highest;
  }

  absl::Status ForgetBefore(int64_t unix_s) override {
    MutexLock lock(&mutex_);
    clock_.erase(clock_.begin(), clock_.lower_bound(unix_s));
    return absl::OkStatus();
  }

  absl::Status Ping() override { return absl::OkStatus(); }

 private:
  Mutex mutex_;
  MetaState found_;
  int64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  // Unix seconds -> revision
  std::map<int64_t, int64_t> clock_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<MetadataStore> NewMemoryMetadata() { return std::make_unique<MemoryMetadata>(); }

}  // namespace storage
