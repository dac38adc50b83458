#include "src/backend/mysql/connection.h"

#include <mysql.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"

namespace storage::mysql {
namespace {

int64_t MicrosNow() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

}  // namespace

void AppendBytes(std::string* sql, std::string_view bytes) {
  sql->push_back('\'');
  while (!bytes.empty()) {
    const size_t plain = bytes.find_first_of(std::string_view("'\\", 2));
    sql->append(bytes.substr(0, plain));
    if (plain == std::string_view::npos) break;
    sql->push_back('\\');
    sql->push_back(bytes[plain]);
    bytes.remove_prefix(plain + 1);
  }
  sql->push_back('\'');
}

std::string Bytes(std::string_view bytes) {
  std::string literal;
  literal.reserve(bytes.size() + 2);
  AppendBytes(&literal, bytes);
  return literal;
}

Result::~Result() {
  if (rows_ != nullptr) mysql_free_result(rows_);
}

Result::Result(Result&& other) noexcept
    : rows_(std::exchange(other.rows_, nullptr)),
      row_(std::exchange(other.row_, nullptr)),
      lengths_(std::exchange(other.lengths_, nullptr)) {}

Result& Result::operator=(Result&& other) noexcept {
  std::swap(rows_, other.rows_);
  std::swap(row_, other.row_);
  std::swap(lengths_, other.lengths_);
  return *this;
}

bool Result::Next() {
  row_ = rows_ == nullptr ? nullptr : mysql_fetch_row(rows_);
  lengths_ = row_ == nullptr ? nullptr : mysql_fetch_lengths(rows_);
  return row_ != nullptr;
}

int64_t Result::Int(int column) const {
  return IsNull(column) ? 0 : std::strtoll(row_[column], nullptr, 10);
}

std::string_view Result::Bytes(int column) const {
  return IsNull(column) ? std::string_view() : std::string_view(row_[column], lengths_[column]);
}

int64_t Result::size() const {
  return rows_ == nullptr ? 0 : static_cast<int64_t>(mysql_num_rows(rows_));
}

Connection::~Connection() { mysql_close(handle_); }

int64_t Connection::id() const { return static_cast<int64_t>(mysql_thread_id(handle_)); }

const std::string& Connection::Fact(const std::string& variable) const {
  static const std::string* const none = new std::string;
  const auto it = facts_.find(variable);
  return it == facts_.end() ? *none : it->second;
}

void Connection::TakeResults(Outcome* outcome) {
  for (int rc = 0; rc == 0;) {
    MYSQL_RES* const rows = mysql_store_result(handle_);
    if (rows == nullptr && mysql_errno(handle_) != 0) return;
    ++outcome->done;
    outcome->affected.push_back(rows == nullptr ? static_cast<int64_t>(mysql_affected_rows(handle_))
                                                : -1);
    if (rows != nullptr) outcome->results.emplace_back(rows);
    rc = mysql_next_result(handle_);
  }
}

Outcome Connection::Try(std::string_view what, std::string_view sql) {
  const int64_t begin = site_->slow_us > 0 ? MicrosNow() : 0;
  Outcome outcome;
  if (mysql_real_query(handle_, sql.data(), sql.size()) == 0) TakeResults(&outcome);
  outcome.error = mysql_errno(handle_);
  if (outcome.error != 0) {
    outcome.detail = mysql_error(handle_);
    outcome.by_server = !IsClientError(outcome.error);
    if (LosesConnection(outcome.error)) broken_ = true;
  }
  const int64_t took = begin > 0 ? MicrosNow() - begin : 0;
  if (begin > 0 && took >= site_->slow_us) {
    int64_t rows = 0;
    for (const Result& result : outcome.results) rows += result.size();
    Log(*site_, LogLevel::kWarning,
        absl::StrCat("slow statement: ", took / 1000, " ms, ", rows, " rows, ", sql.size(),
                     " bytes sent: ", std::string(what)));
  }
  return outcome;
}

absl::Status Connection::Error(const Outcome& outcome, std::string_view what) const {
  if (outcome.error == 0) return absl::OkStatus();
  return FromMysql(outcome.error, what, outcome.detail, *site_);
}

absl::StatusOr<Outcome> Connection::Run(std::string_view what, std::string_view sql) {
  Outcome outcome = Try(what, sql);
  if (outcome.error != 0) return Error(outcome, what);
  return outcome;
}

absl::StatusOr<Result> Connection::Select(std::string_view what, std::string_view sql) {
  auto outcome = Run(what, sql);
  if (!outcome.ok()) return outcome.status();
  if (outcome->results.empty()) {
    return MakeStatus(Code::kInternal, absl::StrCat(std::string(what), ": no rows came back"),
                      site_->name);
  }
  return std::move(outcome->results.back());
}

// Before a statement is sent the server has nothing to say, so anything to read
// is the end of the session (but for TLS, which talks by itself).
bool Connection::LooksAlive() const {
  char byte = 0;
  const ssize_t got = recv(mysql_get_socket(handle_), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  return got > 0 && tls_;
}

}  // namespace storage::mysql
