#include "src/backend/postgres/head_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <vector>

#include "absl/strings/numbers.h"
#include "src/backend/postgres/schema.h"

namespace storage::postgres {
namespace {

constexpr Statement kHead = {"head", "SELECT head FROM libstorage.lane WHERE id = 1"};

}  // namespace

PostgresHeadWatch::PostgresHeadWatch(const Site* site, const ConnInfo* info,
                                     const std::string& identity)
    : dialer_(site, info, Connection::Role::kReader),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  dialer_.Expect(identity);
}

PostgresHeadWatch::~PostgresHeadWatch() { close(wake_fd_); }

absl::Status PostgresHeadWatch::Connect() {
  if (connection_ != nullptr && connection_->StillThere()) return absl::OkStatus();
  connection_.reset();
  auto connection = dialer_.Dial();
  if (!connection.ok()) return connection.status();
  (*connection)->QueueOnce("LISTEN libstorage");
  absl::Status status = (*connection)->Finish("listening");
  if (status.ok()) connection_ = *std::move(connection);
  return status;
}

absl::StatusOr<int64_t> PostgresHeadWatch::Read() {
  for (bool again = true;; again = false) {
    if (absl::Status status = Connect(); !status.ok()) return status;
    connection_->Queue(kHead);
    std::vector<Result> results;
    absl::Status status = connection_->Finish("reading the head", kPatienceMs, &results);
    if (status.ok() && results[0].rows() != 1) return NoLaneRow(connection_->site());
    if (status.ok()) return results[0].Int(0, 0);
    if (!again || !connection_->broken() || connection_->timed_out()) return status;
  }
}

int64_t PostgresHeadWatch::Wait(absl::Duration max_wait) {
  const int64_t max_ms = absl::ToInt64Milliseconds(max_wait);
  std::string payload;
  if (connection_ != nullptr && !connection_->broken()) {
    payload = connection_->AwaitNotice(wake_fd_, max_ms);
  } else {
    struct pollfd fd = {wake_fd_, POLLIN, 0};
    poll(&fd, 1, static_cast<int>(max_ms));
  }
  eventfd_t ignored;
  eventfd_read(wake_fd_, &ignored);
  int64_t head = 0;
  return absl::SimpleAtoi(payload, &head) ? head : 0;
}

void PostgresHeadWatch::Interrupt() { eventfd_write(wake_fd_, 1); }

}  // namespace storage::postgres
