#include "src/backend/postgres/snapshot.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"

namespace storage::postgres {
namespace {

constexpr int64_t kPageBytes = 1 << 20;
constexpr int64_t kMaxPageRows = 4096;

constexpr Statement kBegin = {"begin_read", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"};
constexpr Statement kLane = {"lane",
                             "SELECT " STG_LANE_COLUMNS " FROM libstorage.lane WHERE id = 1"};

#define OBJECT "SELECT key, create_rev, mod_rev, coalesce(expire_ms, 0), attrs, value "
constexpr Statement kGet = {"get", OBJECT "FROM libstorage.objects WHERE key = $1"};
constexpr Statement kList = {
    "list", OBJECT "FROM libstorage.objects WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3"};
constexpr Statement kListOpen = {
    "list_open", OBJECT "FROM libstorage.objects WHERE key >= $1 ORDER BY key LIMIT $2"};

// An object that did not change after $3, else what its key's first event after
// that replaced. Both sides come in key order and end at a page.
#define LIST_OLD(upper)                                                                  \
  OBJECT                                                                                 \
  "FROM ((SELECT key, create_rev, mod_rev, expire_ms, attrs, value "                     \
  "FROM libstorage.objects WHERE key >= $1 " upper                                       \
  " AND mod_rev <= $3 ORDER BY key LIMIT $4) "                                           \
  "UNION ALL (SELECT e.key, e.prev_create, e.prev_mod, e.prev_expire_ms, e.prev_attrs, " \
  "e.prev FROM (SELECT DISTINCT ON (key) key, rev FROM libstorage.events "               \
  "WHERE key >= $1 " upper                                                               \
  " AND rev > $3 ORDER BY key, rev) f JOIN libstorage.events e ON e.rev = f.rev "        \
  "WHERE e.kind <> 1 ORDER BY f.key LIMIT $4)) r ORDER BY key LIMIT $4"
constexpr char kListOld[] = LIST_OLD("AND key < $2");
// $2 has a type all the same.
constexpr char kListOldOpen[] = LIST_OLD("AND $2::bytea IS NOT NULL");
#undef LIST_OLD
#undef OBJECT

constexpr Statement kExpired = {
    "expired",
    "SELECT key, create_rev, mod_rev, expire_ms FROM libstorage.objects "
    "WHERE expire_ms <= $1 ORDER BY expire_ms, create_rev LIMIT nullif($2, 0)"};
constexpr Statement kNextExpiry = {
    "next_expiry",
    "SELECT coalesce(min(expire_ms), 0) FROM libstorage.objects WHERE expire_ms IS NOT NULL"};

Row RowOf(const Result& result, int row) {
  Row out;
  out.key = result.Bytes(row, 0);
  out.meta = ObjectMeta{result.Int(row, 2), result.Int(row, 1), result.Int(row, 3)};
  out.attrs = result.Bytes(row, 4);
  out.value = result.Bytes(row, 5);
  return out;
}

}  // namespace

void PageSize::Saw(int64_t rows, int64_t bytes) {
  if (rows == 0) return;
  const int64_t fit = kPageBytes * rows / std::max<int64_t>(1, bytes);
  rows_ = std::clamp<int64_t>(std::min(fit, rows_ * 8), 1, kMaxPageRows);
}

absl::Status GetLatest(Connection* connection, std::string_view key, const RowSink& sink) {
  Params params;
  params.Bytes(key);
  connection->Queue(kGet, params);
  std::vector<Result> results;
  absl::Status status = connection->Finish("reading an object", kPatienceMs, &results);
  if (status.ok() && results[0].rows() > 0) sink(RowOf(results[0], 0));
  return status;
}

absl::Status PostgresSnapshot::Begin() {
  lease_->Queue(kBegin);
  lease_->Queue(kLane);
  std::vector<Result> results;
  absl::Status status = lease_->Finish("reading the lane row", kPatienceMs, &results);
  if (!status.ok()) return status;
  if (results[1].rows() != 1) return NoLaneRow(lease_->site());
  lane_ = ReadLane(results[1]);
  return status;
}

absl::StatusOr<std::unique_ptr<PostgresSnapshot>> PostgresSnapshot::Open(ReaderPool* pool,
                                                                         LaneSession* session) {
  auto lease = pool->Acquire();
  if (!lease.ok()) return lease.status();
  std::unique_ptr<PostgresSnapshot> snapshot(new PostgresSnapshot(*std::move(lease), session));
  absl::Status status = snapshot->Begin();
  if (!status.ok() && snapshot->lease_.WorthAnotherTry()) {
    snapshot.reset();
    auto fresh = pool->Acquire(true);
    if (!fresh.ok()) return fresh.status();
    snapshot.reset(new PostgresSnapshot(*std::move(fresh), session));
    status = snapshot->Begin();
  }
  if (!status.ok()) return status;
  return snapshot;
}

PostgresSnapshot::~PostgresSnapshot() { lease_->Abandon(); }

absl::StatusOr<Result> PostgresSnapshot::Run(std::string_view what, int64_t patience_ms) {
  std::vector<Result> results;
  absl::Status status = lease_->Finish(what, patience_ms, &results);
  if (!status.ok()) return status;
  return std::move(results[0]);
}

absl::Status PostgresSnapshot::Get(std::string_view key, int64_t rev, const RowSink& sink) {
  absl::Status legal = CheckReadRevision(lane_, rev, name());
  if (!legal.ok()) return legal;
  if (Latest(rev)) return GetLatest(lease_.get(), key, sink);
  const std::string start(key);
  return List(Range{start, start + '\0'}, rev, 1, sink);
}

absl::Status PostgresSnapshot::List(const Range& range, int64_t rev, int64_t limit,
                                    const RowSink& sink) {
  absl::Status legal = CheckReadRevision(lane_, rev, name());
  if (!legal.ok()) return legal;
  const bool open = range.end.empty();
  std::string start = range.start;
  PageSize size;
  for (int64_t rows = 0;;) {
    const int64_t wanted = size.Next(limit > 0 ? limit - rows : 0);
    Params params;
    params.Bytes(start);
    if (Latest(rev)) {
      if (!open) params.Bytes(range.end);
      lease_->Queue(open ? kListOpen : kList, params.Int(wanted));
    } else {
      // Planned with its values: how much changed since decides how it is best done.
      params.Bytes(range.end).Int(rev).Int(wanted);
      lease_->QueueOnce(open ? kListOldOpen : kListOld, params);
    }
    const auto page = Run("listing objects", kScanMs);
    if (!page.ok()) return page.status();
    int64_t bytes = 0;
    for (int row = 0; row < page->rows(); ++row, ++rows) {
      const Row found = RowOf(*page, row);
      bytes += static_cast<int64_t>(found.key.size() + found.value.size());
      if (row + 1 == page->rows()) start = std::string(found.key) + '\0';
      if (!sink(found)) return absl::OkStatus();
    }
    if (page->rows() < wanted || rows == limit) return absl::OkStatus();
    size.Saw(page->rows(), bytes);
  }
}

absl::Status PostgresSnapshot::Expired(int64_t now_ms, int64_t limit, const RowSink& sink) {
  Params params;
  params.Int(now_ms).Int(limit);
  lease_->Queue(kExpired, params);
  const auto rows = Run("reading what expired", kScanMs);
  if (!rows.ok()) return rows.status();
  for (int row = 0; row < rows->rows(); ++row) {
    Row found;
    found.key = rows->Bytes(row, 0);
    found.meta = ObjectMeta{rows->Int(row, 2), rows->Int(row, 1), rows->Int(row, 3)};
    if (!sink(found)) break;
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> PostgresSnapshot::RunForInt(std::string_view what) {
  const auto row = Run(what, kScanMs);
  if (!row.ok()) return row.status();
  return row->rows() > 0 ? row->Int(0, 0) : 0;
}

absl::StatusOr<int64_t> PostgresSnapshot::NextExpiryMs() {
  lease_->Queue(kNextExpiry);
  return RunForInt("reading the next expiry");
}

}  // namespace storage::postgres
