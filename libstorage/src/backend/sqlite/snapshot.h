// Snapshot on SQLite. The query of the lane row stays open: that alone keeps
// one read transaction over everything else the connection reads, for one
// statement less than BEGIN and COMMIT.
// Threads: one at a time.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_SNAPSHOT_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_SNAPSHOT_H_

#include <memory>
#include <string>

#include "src/backend/backend.h"
#include "src/backend/sqlite/reader_pool.h"
#include "src/backend/sqlite/schema.h"
#include "src/backend/sqlite/writer.h"

namespace storage::sqlite {

// The latest state of one key, in a transaction of its own.
absl::Status GetLatest(Reader* reader, std::string_view key, const RowSink& sink);

class SqliteSnapshot : public Snapshot {
 public:
  // unknown may be null (a read-only backend).
  static absl::StatusOr<std::unique_ptr<SqliteSnapshot>> Open(ReaderPool* pool,
                                                              UnknownTokens* unknown);

  const Lane& lane() const override { return lane_; }
  absl::Status Get(std::string_view key, int64_t rev, const RowSink& sink) override;
  absl::Status List(const Range& range, int64_t rev, int64_t limit, const RowSink& sink) override;
  absl::StatusOr<int64_t> Count(const Range& range, int64_t rev) override;
  absl::Status Events(const Range& range, int64_t after, int64_t upto, int64_t limit,
                      const EventSink& sink) override;
  absl::Status Expired(int64_t now_ms, int64_t limit, const RowSink& sink) override;
  absl::StatusOr<int64_t> NextExpiryMs() override;
  absl::StatusOr<bool> HasToken(int64_t token) override;

  // Everything but the sizes of files.
  absl::Status Counters(BackendStats* stats);

 private:
  SqliteSnapshot(ReaderPool::Lease lease, UnknownTokens* unknown, const std::string& name)
      : lease_(std::move(lease)), unknown_(unknown), name_(name), open_(&lease_->lane) {}

  bool Latest(int64_t rev) const { return rev == 0 || rev == lane_.head; }
  // history.cc: what the undo log takes back.
  absl::Status GetOld(std::string_view key, int64_t rev, const RowSink& sink);
  absl::Status ListOld(const Range& range, int64_t rev, int64_t limit, const RowSink& sink);
  // The row that event `event` replaced, or an older one: the one of rev.
  absl::Status Undo(int64_t event, int64_t rev, const RowSink& sink, bool* more);
  absl::Status ValueAfter(const EventRow& event, const EventSink& sink, bool* more);
  // -1: the range is not made of whole collections.
  absl::StatusOr<int64_t> CountCollections(const Range& range);
  absl::StatusOr<int64_t> CountRows(RangeStatement* statement, const Range& range, int64_t rev);

  ReaderPool::Lease lease_;
  UnknownTokens* const unknown_;
  const std::string& name_;
  LaneRow lane_;
  Query open_;  // of the lane row; holds the read transaction
};

}  // namespace storage::sqlite

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_SNAPSHOT_H_
