// Makes connections to one database, and makes sure that it is still the same one.
// After a failure it tries again at most every kRetryMs: callers in between get
// the failure, so that an outage is no busy loop.
// Threads: any.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_DIALER_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_DIALER_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "src/backend/postgres/connection.h"
#include "src/base/mutex.h"

namespace storage::postgres {

class Dialer {
 public:
  Dialer(const Site* site, const ConnInfo* info, Connection::Role role)
      : site_(site), info_(info), role_(role) {}

  // From here on a connection must lead to this database.
  void Expect(const std::string& identity);
  absl::StatusOr<std::unique_ptr<Connection>> Dial();

  static constexpr int64_t kRetryMs = 200;

 private:
  absl::StatusOr<std::unique_ptr<Connection>> Try(const std::string& expected) const;

  const Site* const site_;
  const ConnInfo* const info_;
  const Connection::Role role_;
  Mutex mutex_;
  std::string expected_ ABSL_GUARDED_BY(mutex_);  // "" = any
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  Connection::Clock::time_point retry_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_DIALER_H_
