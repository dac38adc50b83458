#include "src/backend/sqlite/connection.h"

#include <sqlite3.h>

#include <chrono>
#include <limits>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "src/backend/sqlite/log_vfs.h"

namespace storage::sqlite {
namespace {

// Without its statistics SQLite's allocator takes no process-wide lock. Only
// the first user of the library in a process can say so; too late is fine.
void ConfigureOnce() {
  static std::once_flag once;
  std::call_once(once, [] { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); });
}

int Flags(Connection::Mode mode) {
  const int base = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  switch (mode) {
    case Connection::Mode::kCreate:
      return base | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    case Connection::Mode::kReadWrite:
      return base | SQLITE_OPEN_READWRITE;
    case Connection::Mode::kReadOnly:
      break;
  }
  return base | SQLITE_OPEN_READONLY;
}

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const Site* site, Mode mode,
                                                             int64_t busy_ms) {
  ConfigureOnce();
  // Debian's SQLite reads names that begin with "file:" as URIs.
  const std::string path = site->path.starts_with("file:") ? "./" + site->path : site->path;
  sqlite3* db = nullptr;
  const char* const vfs = mode == Mode::kCreate ? LogVfs() : nullptr;
  const int rc = sqlite3_open_v2(path.c_str(), &db, Flags(mode), vfs);
  if (db == nullptr) return FromSqlite(rc, "opening", "out of memory", *site);
  std::unique_ptr<Connection> connection(new Connection(site, db));
  sqlite3_extended_result_codes(db, 1);
  if (rc != SQLITE_OK) {
    return FromSqlite(sqlite3_extended_errcode(db), "opening", sqlite3_errmsg(db), *site);
  }
  const int64_t most = std::numeric_limits<int>::max();
  sqlite3_busy_timeout(db, static_cast<int>(busy_ms < most ? busy_ms : most));
  // The writer closes last and checkpoints then; nobody else ever does.
  if (mode != Mode::kCreate) sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  return connection;
}

Connection::~Connection() { sqlite3_close_v2(db_); }

const char* Connection::message() const { return sqlite3_errmsg(db_); }

bool Connection::in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }

absl::Status Connection::Error(int rc, std::string_view what) const {
  if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE) return absl::OkStatus();
  return FromSqlite(rc, what, sqlite3_errmsg(db_), *site_);
}

absl::Status Connection::Exec(const std::string& sql) {
  return Error(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr), sql);
}

absl::StatusOr<int64_t> Connection::QueryInt(const std::string& sql) {
  Statement statement(this, sql);
  Query query(&statement);
  const int64_t value = query.Step() ? query.Int(0) : 0;
  absl::Status status = query.status(sql);
  if (!status.ok()) return status;
  return value;
}

absl::StatusOr<std::string> Connection::QueryText(const std::string& sql) {
  Statement statement(this, sql);
  Query query(&statement);
  const std::string value(query.Step() ? query.Blob(0) : std::string_view());
  absl::Status status = query.status(sql);
  if (!status.ok()) return status;
  return value;
}

Statement::~Statement() { sqlite3_finalize(handle_); }

Query::Query(Statement* statement) : statement_(statement), owned_(statement->in_use_) {
  sqlite3_stmt** const slot = owned_ ? &handle_ : &statement->handle_;
  if (*slot == nullptr) {
    rc_ = sqlite3_prepare_v3(statement->connection_->db(), statement->sql_.c_str(), -1,
                             owned_ ? 0 : SQLITE_PREPARE_PERSISTENT, slot, nullptr);
  }
  handle_ = *slot;
  statement->in_use_ = true;
}

Query::~Query() {
  if (spent_ns_ > 0) LogIfSlow();
  if (owned_) {
    sqlite3_finalize(handle_);
    return;
  }
  sqlite3_reset(handle_);
  statement_->in_use_ = false;
}

Query& Query::Bind(int index, int64_t value) {
  if (rc_ == SQLITE_OK) rc_ = sqlite3_bind_int64(handle_, index, value);
  return *this;
}

Query& Query::BindNull(int index) {
  if (rc_ == SQLITE_OK) rc_ = sqlite3_bind_null(handle_, index);
  return *this;
}

Query& Query::BindBlob(int index, std::string_view bytes) {
  // A null pointer would be bound as NULL, which is not the empty value.
  const char* const data = bytes.data() == nullptr ? "" : bytes.data();
  if (rc_ == SQLITE_OK) {
    rc_ = sqlite3_bind_blob64(handle_, index, data, bytes.size(), SQLITE_STATIC);
  }
  return *this;
}

Query& Query::BindText(int index, std::string_view text) {
  const char* const data = text.data() == nullptr ? "" : text.data();
  if (rc_ == SQLITE_OK) {
    rc_ = sqlite3_bind_text64(handle_, index, data, text.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  return *this;
}

bool Query::Step() {
  if (rc_ != SQLITE_OK && rc_ != SQLITE_ROW) return false;
  rc_ = statement_->connection_->site().slow_ns > 0 ? TimedStep() : sqlite3_step(handle_);
  return rc_ == SQLITE_ROW;
}

int Query::TimedStep() {
  const int64_t begin = NowNs();
  const int rc = sqlite3_step(handle_);
  spent_ns_ += NowNs() - begin;
  if (rc == SQLITE_ROW) ++rows_;
  return rc;
}

// Placeholders only: the parameters are keys and values of the users.
void Query::LogIfSlow() {
  const Site& site = statement_->connection_->site();
  if (spent_ns_ < site.slow_ns) return;
  Log(site, LogLevel::kWarning,
      absl::StrCat("slow statement: ", spent_ns_ / 1000000, " ms, ", rows_,
                   " rows: ", statement_->sql_));
}

absl::Status Query::Run(std::string_view what) {
  while (Step()) {
  }
  return status(what);
}

int64_t Query::Int(int column) const { return sqlite3_column_int64(handle_, column); }

bool Query::IsNull(int column) const { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }

std::string_view Query::Blob(int column) const {
  const void* const data = sqlite3_column_blob(handle_, column);
  const int size = sqlite3_column_bytes(handle_, column);
  // A pointer for the empty blob too: it is present.
  return {data == nullptr ? "" : static_cast<const char*>(data), static_cast<size_t>(size)};
}

absl::Status Query::status(std::string_view what) const {
  return statement_->connection_->Error(rc_, what);
}

int64_t Query::changes() const { return sqlite3_changes64(statement_->connection_->db()); }

}  // namespace storage::sqlite
