// One connection to the server: statements as text, several in one round trip
// where that helps, and buffered results. Everything is bytes: the character set
// of the connection is binary.
//
// Threads: a Connection and its Results belong to one thread at a time.
#ifndef LIBSTORAGE_SRC_BACKEND_MYSQL_CONNECTION_H_
#define LIBSTORAGE_SRC_BACKEND_MYSQL_CONNECTION_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/backend/mysql/errors.h"
#include "src/backend/mysql/options.h"

struct st_mysql;
struct st_mysql_res;

namespace storage::mysql {

// Literals: '...' with quotes and backslashes escaped (no SQL mode of ours turns
// backslashes off), and numbers. "?" stands for nothing here.
void AppendBytes(std::string* sql, std::string_view bytes);
std::string Bytes(std::string_view bytes);

// The rows of one SELECT, all in memory.
class Result {
 public:
  Result() = default;
  explicit Result(st_mysql_res* rows) : rows_(rows) {}
  ~Result();
  Result(Result&& other) noexcept;
  Result& operator=(Result&& other) noexcept;

  bool Next();                    // the first call gives the first row
  int64_t Int(int column) const;  // 0 for NULL
  bool IsNull(int column) const { return row_[column] == nullptr; }
  std::string_view Bytes(int column) const;  // "" for NULL; valid as long as the result
  int64_t size() const;

 private:
  st_mysql_res* rows_ = nullptr;
  char** row_ = nullptr;
  unsigned long* lengths_ = nullptr;
};

// What came of a text of one or more statements.
struct Outcome {
  int done = 0;                   // statements that succeeded, in order
  std::vector<int64_t> affected;  // by each; -1 for a SELECT
  std::vector<Result> results;    // of the SELECTs, in order
  unsigned error = 0;             // of the statement after them; 0 = none
  std::string detail;             // the server's text for it
  bool by_server = false;         // the server answered with the error: nothing after it was run
};

// What a connection is for: which isolation and which time-outs it gets.
enum class Role : uint8_t { kSetup, kLane, kRead, kMetadata };

class Connection {
 public:
  // Connects and sets the session up; the variables that it found are in facts().
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const Site* site,
                                                          const MysqlOptions& options,
                                                          const Settings& settings, Role role);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Runs statements divided by ';' until one fails.
  Outcome Try(std::string_view what, std::string_view sql);
  // The same where the first error is the answer.
  absl::StatusOr<Outcome> Run(std::string_view what, std::string_view sql);
  // One statement with rows.
  absl::StatusOr<Result> Select(std::string_view what, std::string_view sql);

  absl::Status Error(const Outcome& outcome, std::string_view what) const;
  // True after an error that leaves the session useless.
  bool broken() const { return broken_; }
  void Break() { broken_ = true; }
  // False when the server is known to have closed an idle session. Costs no round trip.
  bool LooksAlive() const;

  const std::string& Fact(const std::string& variable) const;
  // The longest text of statements that the server takes.
  int64_t max_packet() const { return max_packet_; }
  int64_t id() const;  // of the session, as in SHOW PROCESSLIST
  const Site& site() const { return *site_; }

 private:
  Connection(const Site* site, st_mysql* handle) : site_(site), handle_(handle) {}
  void Configure(const MysqlOptions& options, const Settings& settings, Role role);
  absl::Status Connect(const MysqlOptions& options, TlsMode tls);
  absl::Status SetUp(const Settings& settings, Role role);
  void TakeResults(Outcome* outcome);

  const Site* const site_;
  st_mysql* const handle_;
  bool broken_ = false;
  bool tls_ = false;
  std::map<std::string, std::string> facts_;
  int64_t max_packet_ = 0;
};

}  // namespace storage::mysql

#endif  // LIBSTORAGE_SRC_BACKEND_MYSQL_CONNECTION_H_
