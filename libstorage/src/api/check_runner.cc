#include "src/api/check_runner.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "src/api/codes.h"
#include "src/api/read_pool.h"

namespace storage {
namespace api {
namespace {

// A status of its own: several waiters would share one, with a reference count
// that ThreadSanitizer cannot see (see base/mutex.h).
absl::Status Unshared(const absl::Status& status) {
  if (status.ok()) return status;
  return MakeStatus(CodeOf(status), std::string(status.message()), BackendOf(status),
                    DriverCodeOf(status));
}

}  // namespace

absl::Status CheckRunner::Run(const std::string& name, const std::function<absl::Status()>& check) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + kLimit;
  MutexLock lock(&mu_);
  std::shared_ptr<Check>& slot = running_[name];
  if (slot == nullptr) {
    slot = std::make_shared<Check>();
    std::shared_ptr<Check> mine = slot;
    ++threads_;
    auto body = [this, name, check, mine] {
      absl::Status result;
      try {
        result = check();
      } catch (...) {
        result = StatusOfCurrentException();
      }
      MutexLock done(&mu_);
      mine->result = std::move(result);
      mine->done = true;
      running_.erase(name);
      --threads_;
      changed_.SignalAll();
    };
    try {
      StartThread("stg-check", std::move(body)).detach();
    } catch (...) {
      running_.erase(name);
      --threads_;
      throw;
    }
  }
  const std::shared_ptr<Check> current = running_[name];
  while (!current->done) {
    if (changed_.WaitUntil(&mu_, deadline)) continue;
    if (current->done) break;
    return MakeStatus(Code::kUnavailable,
                      absl::StrCat("no answer to the health check within ", kLimit.count(), " ms"),
                      name);
  }
  return Unshared(current->result);
}

void CheckRunner::Stop() {
  MutexLock lock(&mu_);
  while (threads_ > 0) changed_.Wait(&mu_);
}

}  // namespace api
}  // namespace storage
