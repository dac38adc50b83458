#include "src/backend/mysql/snapshot.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"

namespace storage::mysql {
namespace {

constexpr int64_t kChunkBytes = 1 << 20;
constexpr int64_t kMaxRows = 1024;
constexpr int64_t kMinRows = 16;

constexpr char kObject[] =
    "SELECT k, create_rev, mod_rev, expire_ms, attrs, value FROM stg_objects";

// The end of the range of all keys that begin with prefix; "" = there is none.
std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

}  // namespace

Row RowOf(const Result& rows) {
  Row row;
  row.key = rows.Bytes(0);
  row.meta = ObjectMeta{rows.Int(2), rows.Int(1), rows.Int(3)};
  row.attrs = rows.Bytes(4);
  row.value = rows.Bytes(5);
  return row;
}

std::string RangeSql(const Range& range) {
  std::string sql = " k >= ";
  AppendBytes(&sql, range.start);
  if (!range.end.empty()) {
    sql += " AND k < ";
    AppendBytes(&sql, range.end);
  }
  return sql;
}

absl::Status GetLatest(Connection* connection, std::string_view key, const RowSink& sink) {
  std::string sql = absl::StrCat(kObject, " WHERE k = ");
  AppendBytes(&sql, key);
  auto rows = connection->Select("reading an object", sql);
  if (!rows.ok()) return rows.status();
  if (rows->Next()) sink(RowOf(*rows));
  return absl::OkStatus();
}

void ChunkSize::Adapt() {
  const int64_t fit = seen_ == 0 ? kMaxRows : kChunkBytes / (bytes_ / seen_ + 1);
  rows_ = std::clamp(std::min(fit, rows_ * 8), kMinRows, kMaxRows);
}

absl::StatusOr<bool> KeyCursor::Next() {
  if (rows_.Next()) {
    ++got_;
    size_.Count(rows_.Bytes(5).size() + rows_.Bytes(4).size());
    rest_.start.assign(key());
    return true;
  }
  if (asked_ >= 0) {
    if (got_ < asked_) return false;  // the chunk was not full
    rest_.start.push_back('\0');      // right behind the last key
    size_.Adapt();
  }
  asked_ = size_.rows();
  got_ = 0;
  auto rows = connection_->Select("listing objects", sql_(rest_, asked_));
  if (!rows.ok()) return rows.status();
  rows_ = *std::move(rows);
  if (rows_.size() == 0) return false;
  return Next();
}

absl::StatusOr<std::unique_ptr<MysqlSnapshot>> MysqlSnapshot::Open(ReadPool* pool,
                                                                   UnknownTokens* unknown) {
  auto lease = pool->Acquire();
  if (!lease.ok()) return lease.status();
  auto rows = (*lease)->Select(
      "opening a snapshot", absl::StrCat("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY; "
                                         "SELECT ",
                                         kLaneColumns, " FROM stg_lane WHERE id = 1"));
  if (!rows.ok()) {
    (*lease)->Break();  // rather a new connection than one in a transaction
    return rows.status();
  }
  std::unique_ptr<MysqlSnapshot> snapshot(new MysqlSnapshot(*std::move(lease), unknown));
  absl::Status read = ReadLane(&*rows, snapshot->lease_->site(), &snapshot->lane_);
  if (!read.ok()) return read;
  return snapshot;
}

MysqlSnapshot::~MysqlSnapshot() {
  if (lease_->broken()) return;
  if (!lease_->Run("closing a snapshot", "ROLLBACK").ok()) lease_->Break();
}

absl::Status MysqlSnapshot::Get(std::string_view key, int64_t rev, const RowSink& sink) {
  absl::Status legal = CheckReadRevision(lane_, rev, name_);
  if (!legal.ok()) return legal;
  return Latest(rev) ? GetLatest(&*lease_, key, sink) : GetOld(key, rev, sink);
}

absl::Status MysqlSnapshot::List(const Range& range, int64_t rev, int64_t limit,
                                 const RowSink& sink) {
  absl::Status legal = CheckReadRevision(lane_, rev, name_);
  if (!legal.ok()) return legal;
  if (!Latest(rev)) return ListOld(range, rev, limit, sink);
  KeyCursor objects(&*lease_, range, limit, [](const Range& rest, int64_t rows) {
    return absl::StrCat(kObject, " FORCE INDEX(objects_key) WHERE", RangeSql(rest),
                        " ORDER BY k LIMIT ", rows);
  });
  for (int64_t rows = 0;;) {
    const auto more = objects.Next();
    if (!more.ok()) return more.status();
    if (!*more || !sink(RowOf(objects.row())) || ++rows == limit) return absl::OkStatus();
  }
}

absl::StatusOr<int64_t> MysqlSnapshot::Number(std::string_view what, const std::string& sql) {
  auto rows = lease_->Select(what, sql);
  if (!rows.ok()) return rows.status();
  return rows->Next() ? rows->Int(0) : 0;
}

absl::StatusOr<int64_t> MysqlSnapshot::CountCollections(const Range& range) {
  if (range.start.empty() || range.end != PrefixEnd(range.start)) return -1;
  auto kinds = lease_->Select("reading the counts", "SELECT collection, objects FROM stg_kinds");
  if (!kinds.ok()) return kinds.status();
  int64_t objects = 0;
  while (kinds->Next()) {
    const std::string_view collection = kinds->Bytes(0);
    if (collection.starts_with(range.start)) {
      objects += kinds->Int(1);
    } else if (range.start.starts_with(collection) && kinds->Int(1) > 0) {
      return -1;  // some of its keys may lie in the range
    }
  }
  return objects;
}

// The index of keys is far smaller than the table, whose pages hold the values.
absl::StatusOr<int64_t> MysqlSnapshot::Count(const Range& range, int64_t rev) {
  absl::Status legal = CheckReadRevision(lane_, rev, name_);
  if (!legal.ok()) return legal;
  if (!Latest(rev)) return CountOld(range, rev);
  auto whole = CountCollections(range);
  if (!whole.ok() || *whole >= 0) return whole;
  return Number("counting objects",
                absl::StrCat("SELECT COUNT(*) FROM stg_objects FORCE INDEX(objects_key) WHERE",
                             RangeSql(range)));
}

absl::Status MysqlSnapshot::Expired(int64_t now_ms, int64_t limit, const RowSink& sink) {
  std::string sql = absl::StrCat(
      "SELECT k, create_rev, mod_rev, expire_ms, '', '' FROM stg_objects FORCE "
      "INDEX(objects_expiry) WHERE expire_ms > 0 AND expire_ms <= ",
      now_ms, " ORDER BY expire_ms, create_rev");
  if (limit > 0) absl::StrAppend(&sql, " LIMIT ", limit);
  auto rows = lease_->Select("reading what expired", sql);
  if (!rows.ok()) return rows.status();
  while (rows->Next()) {
    if (!sink(RowOf(*rows))) break;
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> MysqlSnapshot::NextExpiryMs() {
  return Number("reading the next expiry", "SELECT MIN(expire_ms) FROM stg_objects");
}

// Asked after an unanswered COMMIT only, of this process: the search begins at the
// head before it. An index would cost every commit.
absl::StatusOr<bool> MysqlSnapshot::HasToken(int64_t token) {
  const int64_t after = unknown_ == nullptr ? 0 : unknown_->HeadBefore(token);
  const auto found =
      Number("looking for a batch", absl::StrCat("SELECT 1 FROM stg_events WHERE rev > ", after,
                                                 " AND token = ", token, " ORDER BY rev LIMIT 1"));
  if (!found.ok()) return found.status();
  return *found != 0;
}

// Events are numbered and their bytes summed up as they come, and go oldest
// first, so both ends of the log say what is between them.
absl::Status MysqlSnapshot::Counters(BackendStats* stats) {
  auto outcome = lease_->Run(
      "reading the counts",
      absl::StrCat(
          "SELECT collection, objects, bytes FROM stg_kinds ORDER BY collection;"
          "SELECT seq, seq_bytes, LENGTH(prev) FROM stg_events ORDER BY rev LIMIT 1;"
          "SELECT seq, seq_bytes FROM stg_events ORDER BY rev DESC LIMIT 1;"
          "SELECT seq FROM stg_events WHERE rev <= ",
          lane_.floor,
          " ORDER BY rev DESC LIMIT 1;"
          "SELECT SUM(DATA_LENGTH + INDEX_LENGTH + DATA_FREE), SUM(DATA_FREE) FROM "
          "information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ('stg_meta',"
          "'stg_lane','stg_objects','stg_events','stg_kinds')"));
  if (!outcome.ok()) return outcome.status();
  std::vector<Result>& results = outcome->results;
  while (results[0].Next()) {
    stats->kinds.push_back(
        KindStats{std::string(results[0].Bytes(0)), results[0].Int(1), results[0].Int(2)});
  }
  if (results[1].Next() && results[2].Next()) {
    const Result& first = results[1];
    const Result& last = results[2];
    stats->history_rows = last.Int(0) - first.Int(0) + 1;
    stats->history_bytes = last.Int(1) - first.Int(1) + first.Int(2);
    if (results[3].Next()) stats->debt_rows = results[3].Int(0) - first.Int(0) + 1;
  }
  if (results[4].Next()) {
    stats->file_bytes = results[4].Int(0);
    stats->free_bytes = results[4].Int(1);
  }
  return absl::OkStatus();
}

}  // namespace storage::mysql
