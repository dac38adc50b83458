#include "src/api/log_ring.h"

#include "absl/strings/str_cat.h"
#include "src/api/codes.h"

namespace storage {
namespace api {

void LogRing::Log(LogLevel level, std::string message) {
  GuardVoid([&] {
    if (slabs_->count(Purpose::kLog) >= kCapacity) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    const int64_t dropped = dropped_.exchange(0, std::memory_order_relaxed);
    if (dropped > 0) Push(LogLevel::kWarning, absl::StrCat(dropped, " log messages were dropped"));
    Push(level, message);
  });
}

void LogRing::Push(LogLevel level, const std::string& message) {
  Slab* slab = slabs_->New(Purpose::kLog);
  stg_completion completion = {};
  completion.kind = STG_COMPLETION_LOG;
  completion.flags = static_cast<uint32_t>(level);
  completion.message = slab->Copy(message);
  completion.slab = slab->id();
  queue_->Push(completion);
}

}  // namespace api
}  // namespace storage
