// CheckRunner: health checks with a time limit. A check that hangs in a dead
// database costs one thread, not one per call, and delays no other check.
// Threads: any; the destructor waits for checks that still run.
#ifndef LIBSTORAGE_SRC_API_CHECK_RUNNER_H_
#define LIBSTORAGE_SRC_API_CHECK_RUNNER_H_

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "src/base/mutex.h"
#include "src/base/status.h"

namespace storage {
namespace api {

class CheckRunner {
 public:
  static constexpr std::chrono::milliseconds kLimit{2000};

  CheckRunner() = default;
  CheckRunner(const CheckRunner&) = delete;
  CheckRunner& operator=(const CheckRunner&) = delete;
  ~CheckRunner() { Stop(); }

  // What check() says, or UNAVAILABLE after kLimit. A call while a check of the
  // same name runs waits for that one.
  absl::Status Run(const std::string& name, const std::function<absl::Status()>& check)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for checks that still run, however long.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Check {
    bool done = false;
    absl::Status result;
  };

  Mutex mu_;
  CondVar changed_;
  std::map<std::string, std::shared_ptr<Check>> running_ ABSL_GUARDED_BY(mu_);
  int threads_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace api
}  // namespace storage

#endif  // LIBSTORAGE_SRC_API_CHECK_RUNNER_H_
