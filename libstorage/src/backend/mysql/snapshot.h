// Snapshot on MySQL: a read-only transaction with a consistent snapshot on a
// connection of the pool. Rows come in chunks by key, so that neither side holds
// a whole table, a sink may read again, and one that stops leaves nothing behind.
// Threads: one at a time.
#ifndef LIBSTORAGE_SRC_BACKEND_MYSQL_SNAPSHOT_H_
#define LIBSTORAGE_SRC_BACKEND_MYSQL_SNAPSHOT_H_

#include <functional>
#include <memory>
#include <string>

#include "src/backend/backend.h"
#include "src/backend/mysql/connector.h"
#include "src/backend/mysql/lane_session.h"
#include "src/backend/mysql/schema.h"

namespace storage::mysql {

// The latest state of one key, in a transaction of its own.
absl::Status GetLatest(Connection* connection, std::string_view key, const RowSink& sink);

// " k >= '..' AND k < '..'"
std::string RangeSql(const Range& range);

// From a result whose columns are k, create_rev, mod_rev, expire_ms, attrs, value.
Row RowOf(const Result& rows);

// How many rows the next chunk should have: about a megabyte.
class ChunkSize {
 public:
  explicit ChunkSize(int64_t limit) : left_(limit) {}
  int64_t rows() const { return left_ > 0 ? std::min(left_, rows_) : rows_; }
  void Count(size_t bytes) {
    ++seen_;
    bytes_ += static_cast<int64_t>(bytes);
    if (left_ > 0) --left_;
  }
  void Adapt();

 private:
  int64_t left_;  // 0 = no limit
  int64_t rows_ = 64;
  int64_t seen_ = 0;
  int64_t bytes_ = 0;
};

// Rows in key order, chunk by chunk. The statement ends where the range of keys
// belongs: sql(range, rows).
class KeyCursor {
 public:
  using Sql = std::function<std::string(const Range& rest, int64_t rows)>;
  KeyCursor(Connection* connection, Range range, int64_t limit, Sql sql)
      : connection_(connection), rest_(std::move(range)), size_(limit), sql_(std::move(sql)) {}

  absl::StatusOr<bool> Next();  // false: the end
  const Result& row() const { return rows_; }
  std::string_view key() const { return rows_.Bytes(0); }

 private:
  Connection* const connection_;
  Range rest_;
  ChunkSize size_;
  const Sql sql_;
  Result rows_;
  int64_t asked_ = -1;  // rows of the last chunk; -1 = none was read
  int64_t got_ = 0;
};

class MysqlSnapshot : public Snapshot {
 public:
  // unknown may be null.
  static absl::StatusOr<std::unique_ptr<MysqlSnapshot>> Open(ReadPool* pool,
                                                             UnknownTokens* unknown);
  ~MysqlSnapshot() override;

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
  MysqlSnapshot(ReadPool::Lease lease, UnknownTokens* unknown)
      : lease_(std::move(lease)), unknown_(unknown), name_(lease_->site().name) {}

  bool Latest(int64_t rev) const { return rev == 0 || rev == lane_.head; }
  // history.cc: what the undo log takes back.
  absl::Status GetOld(std::string_view key, int64_t rev, const RowSink& sink);
  absl::Status ListOld(const Range& range, int64_t rev, int64_t limit, const RowSink& sink);
  absl::StatusOr<int64_t> CountOld(const Range& range, int64_t rev);
  // Which index finds what changed after a revision sooner.
  const char* ChangesIndex(int64_t rev) const;
  // -1: the range is not made of whole collections.
  absl::StatusOr<int64_t> CountCollections(const Range& range);
  absl::StatusOr<int64_t> Number(std::string_view what, const std::string& sql);

  ReadPool::Lease lease_;
  UnknownTokens* const unknown_;
  const std::string& name_;
  LaneRow lane_;
};

}  // namespace storage::mysql

#endif  // LIBSTORAGE_SRC_BACKEND_MYSQL_SNAPSHOT_H_
