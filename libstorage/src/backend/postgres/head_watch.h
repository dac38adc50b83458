// HeadWatch on PostgreSQL: a session of its own that LISTENs to what lane transactions
// of other servers announce. A NOTIFY is a hint that there is a new head; what is
// behind it is read from the tables.
// Threads: as HeadWatch.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_HEAD_WATCH_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_HEAD_WATCH_H_

#include <memory>
#include <string>

#include "src/backend/backend.h"
#include "src/backend/postgres/dialer.h"

namespace storage::postgres {

class PostgresHeadWatch : public HeadWatch {
 public:
  // site and info outlive it.
  PostgresHeadWatch(const Site* site, const ConnInfo* info, const std::string& identity);
  ~PostgresHeadWatch() override;
  absl::StatusOr<int64_t> Read() override;
  int64_t Wait(absl::Duration max_wait) override;
  void Interrupt() override;

 private:
  absl::Status Connect();

  Dialer dialer_;
  std::unique_ptr<Connection> connection_;
  const int wake_fd_;  // an eventfd
};

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_HEAD_WATCH_H_
