// One SQLite connection and its prepared statements.
//
// Threads: a Connection, its Statements and Queries belong to one thread at a
// time (opened NOMUTEX); the owner sees to that.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_CONNECTION_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "src/backend/sqlite/errors.h"

struct sqlite3;
struct sqlite3_stmt;

namespace storage::sqlite {

class Connection {
 public:
  // kCreate is for the one that writes (LogVfs). kReadOnly never writes, not even
  // a recovered log's checkpoint.
  enum class Mode { kCreate, kReadWrite, kReadOnly };

  // site outlives the connection. busy_ms: how long a statement waits for a
  // lock of another program.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const Site* site, Mode mode,
                                                          int64_t busy_ms);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Statements without parameters and without rows of interest.
  absl::Status Exec(const std::string& sql);
  // First column of the first row; 0 or "" when there is none.
  absl::StatusOr<int64_t> QueryInt(const std::string& sql);
  absl::StatusOr<std::string> QueryText(const std::string& sql);

  // The last error as a status, or OK when rc is OK, ROW or DONE.
  absl::Status Error(int rc, std::string_view what) const;
  const char* message() const;
  bool in_transaction() const;

  sqlite3* db() const { return db_; }
  const Site& site() const { return *site_; }

 private:
  Connection(const Site* site, sqlite3* db) : site_(site), db_(db) {}

  const Site* const site_;
  sqlite3* db_;
};

// SQL that is prepared at first use and kept. Destroyed before its connection.
class Statement {
 public:
  Statement(Connection* connection, std::string sql)
      : connection_(connection), sql_(std::move(sql)) {}
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

 private:
  friend class Query;
  Connection* const connection_;
  const std::string sql_;
  sqlite3_stmt* handle_ = nullptr;
  bool in_use_ = false;
};

// One run of a statement: bind, step, read columns; the destructor resets it.
// A statement whose run is not over (a sink that reads again) is run as a
// second copy.
class Query {
 public:
  explicit Query(Statement* statement);
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  Query& Bind(int index, int64_t value);
  Query& BindNull(int index);
  // The bytes must live until the run is over: they are not copied.
  Query& BindBlob(int index, std::string_view bytes);
  Query& BindText(int index, std::string_view text);

  bool Step();  // true: a row is there. false: the end, or an error
  // For statements without rows.
  absl::Status Run(std::string_view what);

  int64_t Int(int column) const;  // 0 for NULL
  bool IsNull(int column) const;
  std::string_view Blob(int column) const;  // valid until the next Step

  absl::Status status(std::string_view what) const;
  int rc() const { return rc_; }
  int64_t changes() const;

 private:
  int TimedStep();
  void LogIfSlow();

  Statement* const statement_;
  sqlite3_stmt* handle_ = nullptr;
  bool owned_ = false;  // a second copy, finalized at the end
  int rc_ = 0;
  int64_t spent_ns_ = 0;  // inside SQLite, when statements are timed
  int64_t rows_ = 0;
};

}  // namespace storage::sqlite

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_CONNECTION_H_
