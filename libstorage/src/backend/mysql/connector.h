// Connector: makes the connections of one database, with a back-off after an
// outage, and refuses another database that answers in its place.
// ReadPool: the bounded pool of reading connections.
// Threads: any.
#ifndef LIBSTORAGE_SRC_BACKEND_MYSQL_CONNECTOR_H_
#define LIBSTORAGE_SRC_BACKEND_MYSQL_CONNECTOR_H_

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "src/backend/mysql/connection.h"
#include "src/base/mutex.h"

namespace storage::mysql {

class Connector {
 public:
  Connector(const MysqlOptions& options, const Settings& settings);
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  // One attempt, unless the last one failed a moment ago: then its error again.
  absl::StatusOr<std::unique_ptr<Connection>> Connect(Role role);
  // From now on a database with another identity is an error.
  void Expect(const std::string& identity) { identity_ = identity; }

  const Site& site() const { return site_; }
  const Settings& settings() const { return settings_; }
  const MysqlOptions& options() const { return options_; }

 private:
  absl::Status CheckIdentity(Connection* connection) const;

  const MysqlOptions options_;
  const Settings settings_;
  Site site_;
  std::string identity_;  // written before there is a second thread
  Mutex mutex_;
  absl::Status last_ ABSL_GUARDED_BY(mutex_);
  std::chrono::milliseconds pause_ ABSL_GUARDED_BY(mutex_){0};
  SteadyTime not_before_ ABSL_GUARDED_BY(mutex_);
};

class ReadPool {
 public:
  explicit ReadPool(Connector* connector);
  ReadPool(const ReadPool&) = delete;
  ReadPool& operator=(const ReadPool&) = delete;

  // A connection, given back by its destructor.
  class Lease {
   public:
    Lease(ReadPool* pool, std::unique_ptr<Connection> connection, SteadyTime born)
        : pool_(pool), connection_(std::move(connection)), born_(born) {}
    Lease(Lease&&) = default;
    ~Lease() {
      if (connection_ != nullptr) pool_->Release(std::move(connection_), born_);
    }
    Connection* operator->() const { return connection_.get(); }
    Connection& operator*() const { return *connection_; }

   private:
    ReadPool* pool_;
    std::unique_ptr<Connection> connection_;
    SteadyTime born_;
  };

  // UNAVAILABLE when all are in use for two seconds.
  absl::StatusOr<Lease> Acquire();
  void CloseIdle();  // what has been idle for too long
  int open_for_test();

 private:
  struct Idle {
    std::unique_ptr<Connection> connection;
    SteadyTime born;
    SteadyTime since;
  };

  void Release(std::unique_ptr<Connection> connection, SteadyTime born);
  bool TooOld(const Idle& idle, SteadyTime now) const;
  // False when the time is up. Otherwise a slot is ours, with an idle connection or none.
  bool Take(Idle* idle);

  Connector* const connector_;
  const int64_t max_open_;
  const int64_t max_idle_;
  Mutex mutex_;
  CondVar freed_;
  std::vector<Idle> idle_ ABSL_GUARDED_BY(mutex_);
  int64_t open_ ABSL_GUARDED_BY(mutex_) = 0;  // idle or leased
};

}  // namespace storage::mysql

#endif  // LIBSTORAGE_SRC_BACKEND_MYSQL_CONNECTOR_H_
