// Reads of the undo log: events, counts at a revision, batches by their token.
// Event r holds the row it replaced; the value after r is what the key's next
// event replaced, else the object's.
#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"
#include "src/backend/postgres/snapshot.h"

namespace storage::postgres {
namespace {

#define EVENTS(upper)                                                                  \
  "SELECT e.rev, e.kind, e.prev_mod, e.prev_create, e.prev_expire_ms, e.key, e.prev, " \
  "CASE WHEN e.kind < 3 THEN coalesce(n.prev, o.value) ELSE ''::bytea END "            \
  "FROM libstorage.events e "                                                          \
  "LEFT JOIN LATERAL (SELECT x.prev FROM libstorage.events x WHERE e.kind < 3 "        \
  "AND x.key = e.key AND x.rev > e.rev ORDER BY x.rev LIMIT 1) n ON true "             \
  "LEFT JOIN libstorage.objects o ON o.key = e.key AND o.mod_rev = e.rev "             \
  "WHERE e.rev > $3 AND e.rev <= $4 AND e.key >= $1 " upper " ORDER BY e.rev LIMIT $5"
constexpr char kEvents[] = EVENTS("AND e.key < $2");
constexpr char kEventsOpen[] = EVENTS("AND $2::bytea IS NOT NULL");
#undef EVENTS

// Keys that changed after $3: those that lived then, less those that live now.
#define BACK(upper)                                                                     \
  "SELECT (SELECT count(*) FROM (SELECT DISTINCT ON (key) kind FROM libstorage.events " \
  "WHERE key >= $1 " upper                                                              \
  " AND rev > $3 ORDER BY key, rev) f WHERE kind <> 1) - "                              \
  "(SELECT count(*) FROM (SELECT DISTINCT ON (key) kind FROM libstorage.events "        \
  "WHERE key >= $1 " upper " AND rev > $3 ORDER BY key, rev DESC) l WHERE kind < 3)"
constexpr char kBack[] = BACK("AND key < $2");
constexpr char kBackOpen[] = BACK("AND $2::bytea IS NOT NULL");
#undef BACK

constexpr Statement kCount = {
    "count", "SELECT count(*) FROM libstorage.objects WHERE key >= $1 AND key < $2"};
constexpr Statement kCountOpen = {"count_open",
                                  "SELECT count(*) FROM libstorage.objects WHERE key >= $1"};
constexpr Statement kKinds = {
    "kinds_read", "SELECT collection, objects, bytes FROM libstorage.kinds ORDER BY collection"};
constexpr Statement kToken = {
    "token",
    "SELECT count(*) FROM (SELECT 1 FROM libstorage.events WHERE token = $1 AND rev > $2 "
    "ORDER BY rev DESC LIMIT 1) t"};

// Events are numbered and their bytes summed up as they come, and go oldest first:
// both ends of the log say what is between them. $1: all up to there is gone.
constexpr Statement kFirstEvent = {"first_event",
                                   "SELECT seq, seq_bytes - coalesce(octet_length(prev), 0) "
                                   "FROM libstorage.events WHERE rev > $1 ORDER BY rev LIMIT 1"};
constexpr Statement kLastDebt = {
    "last_debt",
    "SELECT seq FROM libstorage.events WHERE rev <= $1 AND rev > $2 ORDER BY rev DESC LIMIT 1"};
constexpr Statement kSize = {
    "size",
    "SELECT sum(pg_total_relation_size(c.oid))::int8 FROM pg_class c JOIN pg_namespace n "
    "ON n.oid = c.relnamespace WHERE n.nspname = 'libstorage' AND c.relkind = 'r'"};

// The end of the range of all keys that begin with prefix; "" = there is none.
std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

}  // namespace

absl::Status PostgresSnapshot::Events(const Range& range, int64_t after, int64_t upto,
                                      int64_t limit, const EventSink& sink) {
  absl::Status legal = CheckEventsAfter(lane_, after, name());
  if (!legal.ok()) return legal;
  PageSize size;
  for (int64_t rows = 0;;) {
    const int64_t wanted = size.Next(limit > 0 ? limit - rows : 0);
    Params params;
    params.Bytes(range.start).Bytes(range.end).Int(after).Int(upto).Int(wanted);
    lease_->QueueOnce(range.end.empty() ? kEventsOpen : kEvents, params);
    const auto page = Run("reading events", kScanMs);
    if (!page.ok()) return page.status();
    int64_t bytes = 0;
    for (int row = 0; row < page->rows(); ++row, ++rows) {
      EventRow event;
      event.rev = after = page->Int(row, 0);
      event.kind = static_cast<ChangeKind>(page->Int(row, 1));
      event.prev = ObjectMeta{page->Int(row, 2), page->Int(row, 3), page->Int(row, 4)};
      event.key = page->Bytes(row, 5);
      event.prev_value = page->Bytes(row, 6);
      event.value = page->Bytes(row, 7);
      if (page->IsNull(row, 7)) {
        return MakeStatus(Code::kCorrupt,
                          absl::StrCat("the value of revision ", event.rev, " is missing in ",
                                       lease_->site().where, "; restore a backup"),
                          name());
      }
      bytes += static_cast<int64_t>(event.prev_value.size() + event.value.size());
      if (!sink(event)) return absl::OkStatus();
    }
    if (page->rows() < wanted || rows == limit) return absl::OkStatus();
    size.Saw(page->rows(), bytes);
  }
}

absl::StatusOr<int64_t> PostgresSnapshot::CountBack(const Range& range, int64_t rev) {
  Params params;
  params.Bytes(range.start).Bytes(range.end).Int(rev);
  lease_->QueueOnce(range.end.empty() ? kBackOpen : kBack, params);
  return RunForInt("counting what changed");
}

absl::StatusOr<int64_t> PostgresSnapshot::CountCollections(const Range& range) {
  if (range.start.empty() || range.end != PrefixEnd(range.start)) return -1;
  lease_->Queue(kKinds);
  const auto kinds = Run("reading the counts", kScanMs);
  if (!kinds.ok()) return kinds.status();
  int64_t objects = 0;
  for (int row = 0; row < kinds->rows(); ++row) {
    const std::string_view collection = kinds->Bytes(row, 0);
    if (collection.starts_with(range.start)) {
      objects += kinds->Int(row, 1);
    } else if (range.start.starts_with(collection) && kinds->Int(row, 1) > 0) {
      return -1;  // some of its keys may lie in the range
    }
  }
  return objects;
}

absl::StatusOr<int64_t> PostgresSnapshot::CountRows(const Range& range) {
  auto whole = CountCollections(range);
  if (!whole.ok() || *whole >= 0) return whole;
  Params params;
  params.Bytes(range.start);
  if (!range.end.empty()) params.Bytes(range.end);
  lease_->Queue(range.end.empty() ? kCountOpen : kCount, params);
  return RunForInt("counting objects");
}

absl::StatusOr<int64_t> PostgresSnapshot::Count(const Range& range, int64_t rev) {
  absl::Status legal = CheckReadRevision(lane_, rev, name());
  if (!legal.ok()) return legal;
  auto now = CountRows(range);
  if (!now.ok() || Latest(rev)) return now;
  auto back = CountBack(range, rev);
  if (!back.ok()) return back;
  return *now + *back;
}

// Asked after a failed COMMIT only, mostly of this process: then the search ends
// at the head before it. An unknown token costs a scan of the undo log, which is
// better than an index that every commit would pay for.
absl::StatusOr<bool> PostgresSnapshot::HasToken(int64_t token) {
  Params params;
  params.Int(token).Int(session_->unknown().HeadBefore(token));
  lease_->Queue(kToken, params);
  const auto found = RunForInt("looking for a batch");
  if (!found.ok()) return found.status();
  return *found > 0;
}

absl::Status PostgresSnapshot::Counters(BackendStats* stats) {
  const int64_t pruned = session_->pruned();
  Params first, debt;
  first.Int(pruned);
  debt.Int(lane_.floor).Int(pruned);
  lease_->Queue(kKinds);
  lease_->Queue(kFirstEvent, first);
  lease_->Queue(kLastDebt, debt);
  lease_->Queue(kSize);
  std::vector<Result> results;
  absl::Status status = lease_->Finish("reading the counts", kScanMs, &results);
  if (!status.ok()) return status;
  for (int row = 0; row < results[0].rows(); ++row) {
    stats->kinds.push_back(
        KindStats{results[0].Text(row, 0), results[0].Int(row, 1), results[0].Int(row, 2)});
  }
  stats->file_bytes = results[3].Int(0, 0);
  if (results[1].rows() == 0) return status;
  const int64_t first_seq = results[1].Int(0, 0);
  stats->history_rows = lane_.seq - first_seq + 1;
  stats->history_bytes = lane_.seq_bytes - results[1].Int(0, 1);
  if (results[2].rows() > 0) stats->debt_rows = results[2].Int(0, 0) - first_seq + 1;
  return status;
}

}  // namespace storage::postgres
