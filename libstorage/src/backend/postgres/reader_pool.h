// The connections that read: opened when needed, at most so many, given back.
// Threads: any; a leased connection belongs to who leased it.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_READER_POOL_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_READER_POOL_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "src/backend/postgres/dialer.h"
#include "src/backend/postgres/postgres.h"
#include "src/base/mutex.h"

namespace storage::postgres {

class ReaderPool {
 public:
  ReaderPool(const Site* site, const ConnInfo* info, const PostgresPool& limits);

  class Lease {
   public:
    Lease(ReaderPool* pool, std::unique_ptr<Connection> connection, bool fresh)
        : pool_(pool), connection_(std::move(connection)), fresh_(fresh) {}
    Lease(Lease&&) = default;
    ~Lease() {
      if (connection_ != nullptr) pool_->Release(std::move(connection_));
    }
    Connection* operator->() const { return connection_.get(); }
    Connection* get() const { return connection_.get(); }
    // Opened for this lease: when it breaks, the server is really gone.
    bool fresh() const { return fresh_; }
    // The first try met a connection that the server had closed meanwhile.
    bool WorthAnotherTry() const {
      return !fresh_ && connection_->broken() && !connection_->timed_out();
    }

   private:
    ReaderPool* pool_;
    std::unique_ptr<Connection> connection_;
    bool fresh_;
  };

  // Waits when all are busy; BUSY when that takes as long as a call may. fresh: a
  // new connection, for a second try.
  absl::StatusOr<Lease> Acquire(bool fresh = false);
  // Closes what was idle for too long.
  void Prune();
  void Expect(const std::string& identity) { dialer_.Expect(identity); }
  const Site& site() const { return *site_; }
  // Connections open now.
  int64_t open();

 private:
  void Release(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> TakeIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool TooOld(const Connection& connection, bool idle) const;

  const Site* const site_;
  const PostgresPool limits_;
  const int64_t max_;
  Dialer dialer_;
  Mutex mutex_;
  CondVar freed_;
  int64_t open_ ABSL_GUARDED_BY(mutex_) = 0;
  // The warmest last.
  std::vector<std::unique_ptr<Connection>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_READER_POOL_H_
