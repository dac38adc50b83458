#include "src/backend/postgres/connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace storage::postgres {
namespace {

std::string Field(const PGresult* result, int field) {
  const char* const text = PQresultErrorField(result, field);
  return text == nullptr ? "" : text;
}

std::string OneLine(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (char& c : text) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return text;
}

}  // namespace

Connection::~Connection() {
  if (db_ != nullptr) PQfinish(db_);
}

void Connection::OnNotice(void* self, const PGresult* result) {
  if (Field(result, PG_DIAG_SEVERITY_NONLOCALIZED) != "WARNING") return;
  static_cast<Connection*>(self)->warning_ = Field(result, PG_DIAG_MESSAGE_PRIMARY);
}

void Connection::Lose(std::string detail, size_t index) {
  broken_ = true;
  if (failed_.error) return;
  failed_ = Failure{"", OneLine(std::move(detail)), false, index, true};
}

bool Connection::StillThere() {
  // The last words of a server come before its end: more than one look.
  for (int look = 0; !broken_ && look < 3; ++look) {
    struct pollfd fd = {PQsocket(db_), POLLIN, 0};
    if (poll(&fd, 1, 0) <= 0) break;
    if (PQconsumeInput(db_) == 0) Lose(PQerrorMessage(db_), 0);
  }
  return !broken_ && PQstatus(db_) == CONNECTION_OK;
}

void Connection::Send(const char* name, const char* sql, const Params& params) {
  const size_t count = params.all().size();
  std::vector<PgOid> types(count);
  std::vector<const char*> values(count);
  std::vector<int> lengths(count), formats(count, 1);
  for (size_t i = 0; i < count; ++i) {
    const Params::Param& param = params.all()[i];
    types[i] = param.type;
    // A null pointer would be NULL: an empty view may have one.
    values[i] = param.data().empty() ? "" : param.data().data();
    lengths[i] = static_cast<int>(param.data().size());
  }
  const int n = static_cast<int>(count);
  const int sent = sql == nullptr ? PQsendQueryPrepared(db_, name, n, values.data(), lengths.data(),
                                                        formats.data(), 1)
                                  : PQsendQueryParams(db_, sql, n, types.data(), values.data(),
                                                      lengths.data(), formats.data(), 1);
  if (sent == 1) {
    queue_.push_back({Kind::kRun, false, nullptr});
  } else {
    Lose(PQerrorMessage(db_), queue_.size());
  }
}

void Connection::Queue(const Statement& statement, const Params& params) {
  if (broken_) return;
  if (prepared_.insert(&statement).second) {
    std::vector<PgOid> types;
    for (const Params::Param& param : params.all()) types.push_back(param.type);
    if (PQsendPrepare(db_, statement.name, statement.sql, static_cast<int>(types.size()),
                      types.data()) != 1) {
      return Lose(PQerrorMessage(db_), queue_.size());
    }
    queue_.push_back({Kind::kPrepare, false, &statement});
  }
  Send(statement.name, nullptr, params);
}

void Connection::QueueOnce(const char* sql, const Params& params) {
  if (!broken_) Send(nullptr, sql, params);
}

void Connection::Flush() {
  if (!broken_) PQflush(db_);  // an error shows when the answers are read
}

bool Connection::Wait(bool write, int64_t patience_ms) {
  struct pollfd fd = {PQsocket(db_), static_cast<short>(write ? POLLIN | POLLOUT : POLLIN), 0};
  const auto end = Clock::now() + std::chrono::milliseconds(patience_ms);
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    const int ready = poll(&fd, 1, left > 0 ? static_cast<int>(left) : 0);
    if (ready > 0) return true;
    if (ready < 0 && errno == EINTR) continue;
    return false;
  }
}

bool Connection::Next(int64_t patience_ms, PGresult** result) {
  while (PQisBusy(db_) != 0) {
    const bool unsent = PQflush(db_) == 1;
    if (!Wait(unsent, patience_ms)) {
      timed_out_ = true;
      return false;
    }
    // What the server said before it closed the connection is still read below.
    if (PQconsumeInput(db_) == 0) break;
  }
  *result = PQgetResult(db_);
  return true;
}

void Connection::Keep(PGresult* result, size_t index) {
  if (failed_.error) return;
  failed_.error = true;
  failed_.index = index;
  failed_.state = Field(result, PG_DIAG_SQLSTATE);
  const std::string severity = Field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  failed_.fatal = severity == "FATAL" || severity == "PANIC";
  failed_.detail =
      failed_.state.empty() ? PQresultErrorMessage(result) : Field(result, PG_DIAG_MESSAGE_PRIMARY);
  failed_.detail = OneLine(std::move(failed_.detail));
}

bool Connection::Read(const Command& command, size_t index, int64_t patience_ms,
                      std::vector<Result>* results) {
  for (int empty = 0;;) {
    PGresult* result = nullptr;
    if (!Next(patience_ms, &result)) {
      Lose(absl::StrCat("no answer for ", patience_ms, " ms"), index);
      return false;
    }
    if (result == nullptr) {
      if (PQstatus(db_) != CONNECTION_OK) {
        Lose(PQerrorMessage(db_), index);
        return false;
      }
      // The end of this command; before a sync that of the command before.
      if (command.kind != Kind::kSync) return true;
      if (++empty < 3) continue;
      Lose("libpq lost count of the answers", index);
      return false;
    }
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_PIPELINE_SYNC) {
      PQclear(result);
      if (command.kind == Kind::kSync) return true;
      Lose("libpq lost count of the answers", index);
      return false;
    }
    const bool bad = status == PGRES_FATAL_ERROR || status == PGRES_PIPELINE_ABORTED;
    if (bad && command.kind == Kind::kPrepare) prepared_.erase(command.statement);
    if (status == PGRES_FATAL_ERROR && !command.stale) Keep(result, index);
    if (!bad && command.kind == Kind::kRun && !command.stale) {
      results->emplace_back(result);
      continue;
    }
    PQclear(result);
    if (bad && PQstatus(db_) != CONNECTION_OK) {
      broken_ = true;
      return false;
    }
  }
}

std::string Connection::AwaitNotice(int wake_fd, int64_t max_ms) {
  std::string newest;
  const auto drain = [&] {
    while (PGnotify* const notice = PQnotifies(db_)) {
      newest = notice->extra;
      PQfreemem(notice);
    }
  };
  if (broken_) return newest;
  drain();  // those that came with other answers
  if (!newest.empty()) return newest;
  struct pollfd fds[] = {{PQsocket(db_), POLLIN, 0}, {wake_fd, POLLIN, 0}};
  if (poll(fds, 2, static_cast<int>(max_ms)) <= 0 || fds[0].revents == 0) return newest;
  if (PQconsumeInput(db_) == 0) Lose(PQerrorMessage(db_), 0);
  drain();
  return newest;
}

void Connection::LogIfSlow(std::string_view what, Clock::time_point begin) const {
  if (site_->slow_ns == 0) return;
  const int64_t took =
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
  if (took < site_->slow_ns) return;
  Log(*site_, LogLevel::kWarning,
      absl::StrCat("slow: ", std::string(what), " took ", took / 1000000, " ms in ", site_->where));
}

absl::Status Connection::Finish(std::string_view what, int64_t patience_ms,
                                std::vector<Result>* results) {
  const auto begin = Clock::now();
  if (!broken_ && PQpipelineSync(db_) == 1) {
    queue_.push_back({Kind::kSync, false, nullptr});
  } else if (!broken_) {
    Lose(PQerrorMessage(db_), queue_.size());
  }
  if (!broken_) failed_ = Failure();
  size_t index = 0;  // of the statements that somebody waits for
  for (const Command& command : queue_) {
    if (broken_ || !Read(command, index, patience_ms, results)) break;
    if (!command.stale && command.kind == Kind::kRun) ++index;
  }
  queue_.clear();
  LogIfSlow(what, begin);
  if (broken_ && !failed_.error)
    failed_ = Failure{"", "the connection was lost", false, index, true};
  if (failed_.fatal) broken_ = true;
  if (!failed_.error) return absl::OkStatus();
  return FromSqlState(failed_.state, what, failed_.detail, *site_);
}

void Connection::Abandon() {
  if (broken_) return;
  static constexpr Statement kRollback = {"rollback", "ROLLBACK"};
  // A sync of its own: what failed before it would take the ROLLBACK along.
  if (PQpipelineSync(db_) == 1) queue_.push_back({Kind::kSync, false, nullptr});
  Queue(kRollback);
  if (!broken_ && PQpipelineSync(db_) == 1) queue_.push_back({Kind::kSync, false, nullptr});
  for (Command& command : queue_) command.stale = true;
  Flush();
}

}  // namespace storage::postgres
