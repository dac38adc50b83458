// How a connection comes about: the handshake, and the settings of its session.
#include <libpq-fe.h>
#include <poll.h>

#include <cctype>

#include "absl/strings/str_cat.h"
#include "src/backend/postgres/connection.h"

namespace storage::postgres {
namespace {

// "FATAL:  28P01: password ..." of a verbose message; "" when the error is libpq's.
std::string StateIn(const std::string& message) {
  for (size_t at = message.find(":  "); at != std::string::npos; at = message.find(":  ", at + 1)) {
    std::string state = message.substr(at + 3, 5);
    bool legal = state.size() == 5 && message.compare(at + 8, 2, ": ") == 0;
    for (const char c : state) legal &= isupper(c) != 0 || isdigit(c) != 0;
    if (legal) return state;
  }
  return "";
}

// Without the place in the server's sources, on one line.
std::string Readable(std::string message) {
  const size_t location = message.find("\nLOCATION:");
  if (location != std::string::npos) message.erase(location);
  while (!message.empty() && message.back() == '\n') message.pop_back();
  for (char& c : message) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return message;
}

// What libpq and the server say of certificates and of TLS, with what to do.
std::string WithTlsRemedy(const std::string& message, const std::string& remedy) {
  if (message.find("does not support SSL") != std::string::npos) {
    return message + "; turn ssl on in the server, or leave TLS out of backendTLS and sslmode";
  }
  for (const char* word : {"certificate", "SSL error", "SSL SYSCALL", "tlsv1", "host name"}) {
    if (message.find(word) != std::string::npos) return message + remedy;
  }
  return message;
}

std::string Setting(const char* name, const std::string& value) {
  return absl::StrCat("set_config('", name, "', ", value, ", false), ");
}

std::string Ms(int64_t ms) { return absl::StrCat("'", ms, "'"); }

// One SELECT that sets what a session of the role needs. What can lose commits is
// read first, and then kept for the life of the session whatever becomes of the
// server's default.
std::string SetUpSql(Connection::Role role) {
  const bool reader = role == Connection::Role::kReader;
  std::string sql =
      "SELECT current_setting('synchronous_commit'), current_setting('fsync'), "
      "current_setting('transaction_read_only'), (SELECT oid::int8 FROM pg_database WHERE "
      "datname = current_database()), ";
  sql += Setting("lock_timeout", Ms(kLockMs));
  sql += Setting("statement_timeout", Ms(reader ? kScanMs : kStatementMs));
  sql += Setting("idle_in_transaction_session_timeout", Ms(reader ? kReaderIdleMs : kPatienceMs));
  // A server notices soon that the host of a client is gone.
  sql += Setting("tcp_keepalives_idle", "'5'") + Setting("tcp_keepalives_interval", "'2'") +
         Setting("tcp_keepalives_count", "'3'");
  // Tables are read by their indexes whatever the statistics, which lag behind.
  sql += Setting("jit", "'off'") + Setting("enable_seqscan", "'off'") +
         Setting("enable_bitmapscan", "'off'") + Setting("max_parallel_workers_per_gather", "'0'") +
         Setting("enable_hashjoin", "'off'") + Setting("enable_mergejoin", "'off'");
  if (!reader) sql += Setting("plan_cache_mode", "'force_generic_plan'");
  // What was handed out must survive, whatever the data may lose.
  const char* const keep =
      role == Connection::Role::kMetadata
          ? "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE "
            "current_setting('synchronous_commit') END"
          : "current_setting('synchronous_commit')";
  return sql + "set_config('synchronous_commit', " + keep + ", false)";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const Site* site, const ConnInfo& info,
                                                             Role role) {
  std::unique_ptr<Connection> connection(new Connection(site));
  absl::Status status = connection->Connect(info);
  if (status.ok()) status = connection->SetUp(role);
  if (!status.ok()) return status;
  return connection;
}

absl::Status Connection::Connect(const ConnInfo& info) {
  std::vector<const char*> names, values;
  for (const auto& [name, value] : info.values) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  db_ = PQconnectStartParams(names.data(), values.data(), 0);
  if (db_ == nullptr) {
    return MakeStatus(Code::kUnavailable, "the process is out of memory", site_->name);
  }
  PQsetErrorVerbosity(db_, PQERRORS_VERBOSE);  // the only way to a SQLSTATE here
  const auto end = Clock::now() + std::chrono::milliseconds(kConnectMs);
  PostgresPollingStatusType step = PGRES_POLLING_WRITING;
  while (PQstatus(db_) != CONNECTION_BAD && step != PGRES_POLLING_OK) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0 || !Wait(step == PGRES_POLLING_WRITING, left.count())) {
      timed_out_ = true;
      return FromSqlState("", "connecting", absl::StrCat("no answer for ", kConnectMs, " ms"),
                          *site_);
    }
    step = PQconnectPoll(db_);
    if (step == PGRES_POLLING_FAILED) break;
  }
  if (PQstatus(db_) != CONNECTION_OK) {
    const std::string message = PQerrorMessage(db_);
    const bool read_only = message.find("session is read-only") != std::string::npos;
    return FromSqlState(read_only ? "25006" : StateIn(message), "connecting",
                        WithTlsRemedy(Readable(message), info.tls_remedy), *site_);
  }
  if (absl::Status old = CheckServerVersion(PQserverVersion(db_), *site_); !old.ok()) return old;
  PQsetErrorVerbosity(db_, PQERRORS_DEFAULT);
  PQsetNoticeReceiver(db_, &Connection::OnNotice, this);
  if (PQsetnonblocking(db_, 1) != 0 || PQenterPipelineMode(db_) != 1) {
    return FromSqlState("", "connecting", Readable(PQerrorMessage(db_)), *site_);
  }
  return absl::OkStatus();
}

absl::Status Connection::SetUp(Role role) {
  QueueOnce(SetUpSql(role).c_str());
  std::vector<Result> results;
  absl::Status status = Finish("setting up a session", kPatienceMs, &results);
  if (!status.ok()) return status;
  relaxed_ = results[0].Bytes(0, 0) == "off" || results[0].Bytes(0, 1) == "off";
  if (role != Role::kReader && results[0].Bytes(0, 2) != "off") {
    return FromSqlState("25006", "connecting", "the server or the session is read-only", *site_);
  }
  const int64_t oid = results[0].Int(0, 3);
  // Not every service lets its users see it, and CockroachDB has none.
  QueueOnce("SELECT system_identifier::text FROM pg_control_system()");
  results.clear();
  status = Finish("reading the identity of the server", kPatienceMs, &results);
  if (!status.ok() && broken_) return status;
  database_id_ = absl::StrCat(status.ok() ? results[0].Text(0, 0) : "0", "/", oid);
  return absl::OkStatus();
}

}  // namespace storage::postgres
