// Connections that only read. Each belongs to one thread from Acquire to the
// end of its lease, with its statements prepared.
//
// A read transaction costs SQLite two system calls under a lock that all
// connections of the file share, more than reading an object does. So a reader
// that is used again while nothing was written keeps its transaction: this process
// is the only writer, and tells the pool before and after it changes the file.
// Threads: ReaderPool any; a Reader one at a time.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_READER_POOL_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_READER_POOL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "src/backend/backend.h"
#include "src/backend/sqlite/connection.h"
#include "src/backend/sqlite/options.h"
#include "src/base/mutex.h"

namespace storage::sqlite {

// The same statement with and without an upper bound of the key. Parameters:
// ?1 start, ?2 end, from ?3 on the statement's own.
class RangeStatement {
 public:
  RangeStatement(Connection* connection, const std::string& head, const std::string& tail)
      : bounded_(connection, head + " AND key < ?2" + tail), open_(connection, head + tail) {}
  Statement* For(const Range& range) { return range.end.empty() ? &open_ : &bounded_; }
  static void Bind(Query* query, const Range& range);

 private:
  Statement bounded_;
  Statement open_;
};

struct Reader {
  explicit Reader(std::unique_ptr<Connection> c);

  const std::unique_ptr<Connection> connection;
  Statement keep, lane, get, kinds, object_at_event, next_event, older, undone, gone;
  Statement token, expired, next_expiry, first_event, last_event, last_debt, free_pages;
  RangeStatement list, list_old, list_gone, count, count_old, count_gone, events;

  // The pool's: a read transaction that outlives leases, and the state of the
  // file (ReaderPool::version_) that it, or the last lease, was begun in.
  std::optional<Query> kept;
  uint64_t version = 0;
};

class ReaderPool {
 public:
  // read_only: nothing of the file is written, not even by SQLite itself.
  ReaderPool(const Site* site, const Settings& settings, bool read_only)
      : site_(site), settings_(settings), read_only_(read_only) {}

  class Lease {
   public:
    Lease(ReaderPool* pool, std::unique_ptr<Reader> reader)
        : pool_(pool), reader_(std::move(reader)) {}
    Lease(Lease&&) = default;
    ~Lease() {
      if (reader_ != nullptr) pool_->Release(std::move(reader_));
    }
    Reader* operator->() const { return reader_.get(); }
    Reader& operator*() const { return *reader_; }

   private:
    ReaderPool* pool_;
    std::unique_ptr<Reader> reader_;
  };

  // Opens one more when all are busy: a caller never waits for a long list,
  // and a sink may read again.
  absl::StatusOr<Lease> Acquire();

  const Site& site() const { return *site_; }

  // Around everything that changes the file or copies its log; not nested, one
  // thread. Begin lets go of what idle readers keep, so that they never hold the
  // log back; a read that begins after End sees the change.
  void BeginChange();
  void EndChange();
  // Idle readers that keep a transaction.
  int KeptForTest() const;

 private:
  void Release(std::unique_ptr<Reader> reader);
  absl::StatusOr<std::unique_ptr<Reader>> OpenReader() const;
  // Keeps or lets go of the reader's transaction at the begin of a lease.
  void Refresh(Reader* reader) const;

  const Site* const site_;
  const Settings settings_;
  const bool read_only_;
  // Odd while the file is being changed.
  std::atomic<uint64_t> version_{2};
  mutable Mutex mutex_;
  // The warmest last.
  std::vector<std::unique_ptr<Reader>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace storage::sqlite

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_READER_POOL_H_
