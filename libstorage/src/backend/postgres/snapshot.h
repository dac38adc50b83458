// Snapshot on PostgreSQL: one REPEATABLE READ READ ONLY transaction of a pooled
// connection, which the first statement pins. Rows come in pages of about a
// megabyte, each read whole before its first row is passed on: a sink may stop or
// read again, and no table is ever in memory.
// Threads: one at a time.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_SNAPSHOT_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_SNAPSHOT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/backend/backend.h"
#include "src/backend/postgres/lane_session.h"
#include "src/backend/postgres/reader_pool.h"

namespace storage::postgres {

// The latest state of one key, in a statement of its own.
absl::Status GetLatest(Connection* connection, std::string_view key, const RowSink& sink);

class PostgresSnapshot : public Snapshot {
 public:
  // session may be used from any thread here (its hints are atomic).
  static absl::StatusOr<std::unique_ptr<PostgresSnapshot>> Open(ReaderPool* pool,
                                                                LaneSession* session);
  ~PostgresSnapshot() override;

  const Lane& lane() const override { return lane_; }
  absl::Status Get(std::string_view key, int64_t rev, const RowSink& sink) override;
  absl::Status List(const Range& range, int64_t rev, int64_t limit, const RowSink& sink) override;
  absl::StatusOr<int64_t> Count(const Range& range, int64_t rev) override;
  absl::Status Events(const Range& range, int64_t after, int64_t upto, int64_t limit,
                      const EventSink& sink) override;
  absl::Status Expired(int64_t now_ms, int64_t limit, const RowSink& sink) override;
  absl::StatusOr<int64_t> NextExpiryMs() override;
  absl::StatusOr<bool> HasToken(int64_t token) override;

  absl::Status Counters(BackendStats* stats);

 private:
  PostgresSnapshot(ReaderPool::Lease lease, LaneSession* session)
      : lease_(std::move(lease)), session_(session) {}

  bool Latest(int64_t rev) const { return rev == 0 || rev == lane_.head; }
  absl::Status Begin();
  absl::StatusOr<Result> Run(std::string_view what, int64_t patience_ms);
  absl::StatusOr<int64_t> RunForInt(std::string_view what);
  const std::string& name() const { return lease_->site().name; }
  // history.cc: what the undo log takes back.
  absl::StatusOr<int64_t> CountBack(const Range& range, int64_t rev);
  // -1: the range is not made of whole collections.
  absl::StatusOr<int64_t> CountCollections(const Range& range);
  absl::StatusOr<int64_t> CountRows(const Range& range);

  ReaderPool::Lease lease_;
  LaneSession* const session_;
  LaneRow lane_;
};

// The sizes of pages, from the rows of the last one.
class PageSize {
 public:
  // left: rows that are still wanted, 0 = all.
  int64_t Next(int64_t left) const { return left > 0 && left < rows_ ? left : rows_; }
  void Saw(int64_t rows, int64_t bytes);

 private:
  int64_t rows_ = 64;
};

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_SNAPSHOT_H_
