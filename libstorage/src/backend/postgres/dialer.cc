#include "src/backend/postgres/dialer.h"

#include "absl/strings/str_cat.h"
#include "src/backend/postgres/schema.h"

namespace storage::postgres {

void Dialer::Expect(const std::string& identity) {
  MutexLock lock(&mutex_);
  expected_ = identity;
}

absl::StatusOr<std::unique_ptr<Connection>> Dialer::Try(const std::string& expected) const {
  auto connection = Connection::Open(site_, *info_, role_);
  if (!connection.ok() || expected.empty()) return connection;
  const auto identity = ReadIdentity(connection->get());
  if (!identity.ok()) return identity.status();
  if (*identity == expected) return connection;
  return MakeStatus(Code::kUnavailable,
                    absl::StrCat(site_->where,
                                 " is another database than at start: it has the "
                                 "identity ",
                                 *identity, ", not ", expected,
                                 "; correct the endpoint or the server behind it, or restart"),
                    site_->name);
}

absl::StatusOr<std::unique_ptr<Connection>> Dialer::Dial() {
  std::string expected;
  {
    MutexLock lock(&mutex_);
    if (!failure_.ok() && Connection::Clock::now() < retry_at_) return failure_;
    expected = expected_;
  }
  auto connection = Try(expected);
  MutexLock lock(&mutex_);
  failure_ = connection.ok() ? absl::OkStatus() : connection.status();
  retry_at_ = Connection::Clock::now() + std::chrono::milliseconds(kRetryMs);
  return connection;
}

}  // namespace storage::postgres
