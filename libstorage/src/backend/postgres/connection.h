// One connection to PostgreSQL, always in pipeline mode: statements are queued,
// and Finish sends what is left and reads all answers in one round trip. No call
// blocks for longer than its patience, also when the server is stopped.
//
// Threads: one at a time; the owner sees to that.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_CONNECTION_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_CONNECTION_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "src/backend/postgres/conninfo.h"
#include "src/backend/postgres/errors.h"
#include "src/backend/postgres/wire.h"

struct pg_conn;

namespace storage::postgres {

// SQL that each connection prepares at its first use; static storage.
struct Statement {
  const char* name;
  const char* sql;
};

class Connection {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Role { kLane, kReader, kMetadata };

  // Both outlive the connection. READ_ONLY when the role writes and the server does not.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const Site* site, const ConnInfo& info,
                                                          Role role);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Errors of queueing come out of Finish.
  void Queue(const Statement& statement, const Params& params = Params());
  // Planned with the values of its parameters: for reads whose best plan depends on them.
  void QueueOnce(const char* sql, const Params& params = Params());
  // Hands to the network what is queued, as far as it takes it at once.
  void Flush();
  // Sends and reads everything queued. results get one entry per statement. The
  // first error ends the rest up to here; where it came from: failed().
  absl::Status Finish(std::string_view what, int64_t patience_ms, std::vector<Result>* results);
  absl::Status Finish(std::string_view what, int64_t patience_ms = kPatienceMs) {
    std::vector<Result> ignored;
    return Finish(what, patience_ms, &ignored);
  }
  // Queues ROLLBACK and returns at once; the answers are skipped by the next Finish.
  void Abandon();

  // The connection is of no more use.
  bool broken() const { return broken_; }
  // It broke because the server did not answer: trying again at once is in vain.
  bool timed_out() const { return timed_out_; }
  // Looks whether the server closed it, without a round trip.
  bool StillThere();

  struct Failure {
    std::string state;   // SQLSTATE; "" = the connection was lost
    std::string detail;  // the server's text
    bool fatal = false;  // the server ended the session
    size_t index = 0;    // of the statement, in the order of queueing
    bool error = false;
  };
  const Failure& failed() const { return failed_; }
  // Waits for a NOTIFY, at most max_ms or until wake_fd can be read. The payload of the
  // newest one; "" = none came, or broken(). Between statements only.
  std::string AwaitNotice(int wake_fd, int64_t max_ms);
  // A warning that came since it was cleared; "" = none.
  std::string TakeWarning() { return std::exchange(warning_, {}); }

  // Not every commit of this session survives a crash of the server.
  bool relaxed() const { return relaxed_; }
  // "<system identifier>/<oid of the database>"
  const std::string& database_id() const { return database_id_; }
  const Site& site() const { return *site_; }

  const Clock::time_point born = Clock::now();
  Clock::time_point idle_since;

 private:
  enum class Kind { kPrepare, kRun, kSync };
  struct Command {
    Kind kind;
    bool stale;                  // nobody waits for its answer
    const Statement* statement;  // kPrepare
  };

  explicit Connection(const Site* site) : site_(site) {}
  absl::Status Connect(const ConnInfo& info);
  absl::Status SetUp(Role role);
  void Send(const char* name, const char* sql, const Params& params);
  // Reads all answers to one command. False: the connection is lost.
  bool Read(const Command& command, size_t index, int64_t patience_ms,
            std::vector<Result>* results);
  // False: no answer came in time, or the connection is lost.
  bool Next(int64_t patience_ms, struct pg_result** result);
  bool Wait(bool write, int64_t patience_ms);
  void Keep(struct pg_result* result, size_t index);
  void Lose(std::string detail, size_t index);
  void LogIfSlow(std::string_view what, Clock::time_point begin) const;
  static void OnNotice(void* self, const struct pg_result* result);

  const Site* const site_;
  pg_conn* db_ = nullptr;
  std::vector<Command> queue_;
  absl::flat_hash_set<const Statement*> prepared_;
  Failure failed_;
  std::string warning_;
  std::string database_id_;
  bool broken_ = false;
  bool timed_out_ = false;
  bool relaxed_ = false;
};

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_CONNECTION_H_
