#include "src/backend/sqlite/snapshot.h"

#include <utility>

#include "src/backend/checks.h"

namespace storage::sqlite {
namespace {

// From a query whose columns are key, create_rev, mod_rev, expire_ms, attrs, value.
Row RowOf(const Query& query) {
  Row row;
  row.key = query.Blob(0);
  row.meta = ObjectMeta{query.Int(2), query.Int(1), query.Int(3)};
  row.attrs = query.Blob(4);
  row.value = query.Blob(5);
  return row;
}

// The end of the range of all keys that begin with prefix; "" = there is none.
std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

}  // namespace

absl::Status GetLatest(Reader* reader, std::string_view key, const RowSink& sink) {
  Query query(&reader->get);
  query.BindBlob(1, key);
  if (query.Step()) sink(RowOf(query));
  return query.status("reading an object");
}

absl::StatusOr<std::unique_ptr<SqliteSnapshot>> SqliteSnapshot::Open(ReaderPool* pool,
                                                                     UnknownTokens* unknown) {
  auto lease = pool->Acquire();
  if (!lease.ok()) return lease.status();
  std::unique_ptr<SqliteSnapshot> snapshot(
      new SqliteSnapshot(*std::move(lease), unknown, pool->site().name));
  if (!snapshot->open_.Step()) {
    absl::Status status = snapshot->open_.status("reading the lane row");
    if (!status.ok()) return status;
    return MakeStatus(Code::kCorrupt, pool->site().path + " has no lane row; restore a backup",
                      pool->site().name);
  }
  ReadLane(snapshot->open_, &snapshot->lane_);
  return snapshot;
}

absl::Status SqliteSnapshot::Get(std::string_view key, int64_t rev, const RowSink& sink) {
  absl::Status legal = CheckReadRevision(lane_, rev, name_);
  if (!legal.ok()) return legal;
  return Latest(rev) ? GetLatest(&*lease_, key, sink) : GetOld(key, rev, sink);
}

absl::Status SqliteSnapshot::List(const Range& range, int64_t rev, int64_t limit,
                                  const RowSink& sink) {
  absl::Status legal = CheckReadRevision(lane_, rev, name_);
  if (!legal.ok()) return legal;
  if (!Latest(rev)) return ListOld(range, rev, limit, sink);
  Query query(lease_->list.For(range));
  RangeStatement::Bind(&query, range);
  for (int64_t rows = 0; query.Step();) {
    if (!sink(RowOf(query)) || ++rows == limit) break;
  }
  return query.status("listing objects");
}

absl::StatusOr<int64_t> SqliteSnapshot::CountCollections(const Range& range) {
  if (range.start.empty() || range.end != PrefixEnd(range.start)) return -1;
  Query query(&lease_->kinds);
  int64_t objects = 0;
  while (query.Step()) {
    const std::string_view collection = query.Blob(0);
    if (collection.starts_with(range.start)) {
      objects += query.Int(1);
    } else if (range.start.starts_with(collection) && query.Int(1) > 0) {
      return -1;  // some of its keys may lie in the range
    }
  }
  absl::Status status = query.status("reading the counts");
  if (!status.ok()) return status;
  return objects;
}

absl::StatusOr<int64_t> SqliteSnapshot::CountRows(RangeStatement* statement, const Range& range,
                                                  int64_t rev) {
  Query query(statement->For(range));
  RangeStatement::Bind(&query, range);
  if (rev > 0) query.Bind(3, rev);
  const int64_t rows = query.Step() ? query.Int(0) : 0;
  absl::Status status = query.status("counting objects");
  if (!status.ok()) return status;
  return rows;
}

absl::StatusOr<int64_t> SqliteSnapshot::Count(const Range& range, int64_t rev) {
  absl::Status legal = CheckReadRevision(lane_, rev, name_);
  if (!legal.ok()) return legal;
  if (Latest(rev)) {
    auto whole = CountCollections(range);
    if (!whole.ok() || *whole >= 0) return whole;
    return CountRows(&lease_->count, range, 0);
  }
  auto alive = CountRows(&lease_->count_old, range, rev);
  if (!alive.ok()) return alive;
  auto gone = CountRows(&lease_->count_gone, range, rev);
  if (!gone.ok()) return gone;
  // Alive now and changed later counts, created later does not: both are in
  // the index of keys, whose rows end in the create revision.
  return *alive + *gone;
}

absl::Status SqliteSnapshot::Expired(int64_t now_ms, int64_t limit, const RowSink& sink) {
  Query query(&lease_->expired);
  query.Bind(1, now_ms);
  for (int64_t rows = 0; query.Step();) {
    Row row;
    row.key = query.Blob(0);
    row.meta = ObjectMeta{query.Int(2), query.Int(1), query.Int(3)};
    if (!sink(row) || ++rows == limit) break;
  }
  return query.status("reading what expired");
}

absl::StatusOr<int64_t> SqliteSnapshot::NextExpiryMs() {
  Query query(&lease_->next_expiry);
  const int64_t next = query.Step() ? query.Int(0) : 0;
  absl::Status status = query.status("reading the next expiry");
  if (!status.ok()) return status;
  return next;
}

// Asked after a failed COMMIT only, mostly of this process: then the search
// ends at the head before it. An unknown token costs a scan of the undo log,
// which is better than an index that every commit would pay for.
absl::StatusOr<bool> SqliteSnapshot::HasToken(int64_t token) {
  Query query(&lease_->token);
  query.Bind(1, token).Bind(2, unknown_ == nullptr ? 0 : unknown_->HeadBefore(token));
  const bool found = query.Step();
  absl::Status status = query.status("looking for a batch");
  if (!status.ok()) return status;
  return found;
}

absl::Status SqliteSnapshot::Counters(BackendStats* stats) {
  Query kinds(&lease_->kinds);
  while (kinds.Step()) {
    stats->kinds.push_back(KindStats{std::string(kinds.Blob(0)), kinds.Int(1), kinds.Int(2)});
  }
  absl::Status status = kinds.status("reading the counts");
  if (!status.ok()) return status;
  Query free_pages(&lease_->free_pages);
  if (free_pages.Step()) stats->free_bytes = free_pages.Int(0) * Writer::kPageBytes;
  // Events are numbered and their bytes summed up as they come, and go oldest
  // first, so both ends of the log say what is between them.
  Query first(&lease_->first_event);
  Query last(&lease_->last_event);
  if (first.Step() && last.Step()) {
    stats->history_rows = last.Int(0) - first.Int(0) + 1;
    stats->history_bytes = last.Int(1) - first.Int(1) + first.Int(2);
    Query debt(&lease_->last_debt);
    debt.Bind(1, lane_.floor);
    if (debt.Step()) stats->debt_rows = debt.Int(0) - first.Int(0) + 1;
    status = debt.status("reading the undo log");
  }
  if (status.ok()) status = first.status("reading the undo log");
  if (status.ok()) status = last.status("reading the undo log");
  return status;
}

}  // namespace storage::sqlite
