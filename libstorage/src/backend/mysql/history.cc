// Reads at a revision and events, from the undo log. Event r holds the row that
// it replaced (prev_*, NULL for a create), so
// - the row at R is prev of the key's first event after R, else the object;
// - the value after event r is prev of the key's next event, else the object's.
// The index (k, rev, kind, prev_create) finds either in one step, and counts
// without any row.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"
#include "src/backend/mysql/snapshot.h"

namespace storage::mysql {
namespace {

// So many rows of stg_events are read rather than the whole index of their keys.
constexpr int64_t kFewRevisions = 5000;

constexpr char kBefore[] =
    "SELECT e.k, e.prev_create, e.prev_mod, e.prev_expire_ms, e.prev_attrs, "
    "e.prev FROM ";

}  // namespace

const char* MysqlSnapshot::ChangesIndex(int64_t rev) const {
  return lane_.head - rev < kFewRevisions ? " FORCE INDEX(PRIMARY) " : " FORCE INDEX(events_key) ";
}

absl::Status MysqlSnapshot::GetOld(std::string_view key, int64_t rev, const RowSink& sink) {
  const std::string literal = Bytes(key);
  auto outcome = lease_->Run(
      "reading an object",
      absl::StrCat(kBefore, "stg_events e FORCE INDEX(events_key) WHERE e.k = ", literal,
                   " AND e.rev > ", rev,
                   " ORDER BY e.rev LIMIT 1; SELECT k, create_rev, mod_rev, "
                   "expire_ms, attrs, value FROM stg_objects WHERE k = ",
                   literal, " AND mod_rev <= ", rev));
  if (!outcome.ok()) return outcome.status();
  // An object that did not change after rev has no event after it, and the other way round.
  for (Result& rows : outcome->results) {
    if (rows.Next() && !rows.IsNull(2)) sink(RowOf(rows));
  }
  return absl::OkStatus();
}

// What did not change since, and the first change since of every other key: two
// disjoint streams in key order, merged, so that a limit costs what it returns.
absl::Status MysqlSnapshot::ListOld(const Range& range, int64_t rev, int64_t limit,
                                    const RowSink& sink) {
  const std::string index = ChangesIndex(rev);
  KeyCursor same(&*lease_, range, limit, [rev](const Range& rest, int64_t rows) {
    return absl::StrCat(
        "SELECT k, create_rev, mod_rev, expire_ms, attrs, value FROM stg_objects FORCE "
        "INDEX(objects_key) WHERE",
        RangeSql(rest), " AND mod_rev <= ", rev, " ORDER BY k LIMIT ", rows);
  });
  KeyCursor changed(&*lease_, range, 0, [rev, &index](const Range& rest, int64_t rows) {
    return absl::StrCat(kBefore, "(SELECT k, MIN(rev) AS r FROM stg_events", index, "WHERE",
                        RangeSql(rest), " AND rev > ", rev, " GROUP BY k ORDER BY k LIMIT ", rows,
                        ") f STRAIGHT_JOIN stg_events e ON e.rev = f.r ORDER BY f.k");
  });
  auto alive = same.Next();
  auto was = changed.Next();
  for (int64_t rows = 0; alive.ok() && was.ok() && (*alive || *was);) {
    const bool take_changed = *was && (!*alive || changed.key() < same.key());
    const Result& row = take_changed ? changed.row() : same.row();
    if (!row.IsNull(2) && (!sink(RowOf(row)) || ++rows == limit)) return absl::OkStatus();
    (take_changed ? was : alive) = (take_changed ? changed : same).Next();
  }
  return alive.ok() ? was.status() : alive.status();
}

// Objects that lived then and live now, and lives that ended since.
absl::StatusOr<int64_t> MysqlSnapshot::CountOld(const Range& range, int64_t rev) {
  const std::string keys = RangeSql(range);
  return Number(
      "counting objects",
      absl::StrCat("SELECT (SELECT COUNT(*) FROM stg_objects FORCE INDEX(objects_key) WHERE", keys,
                   " AND create_rev <= ", rev, ") + (SELECT COUNT(*) FROM stg_events",
                   ChangesIndex(rev), "WHERE", keys, " AND rev > ", rev,
                   " AND kind >= 3 AND prev_create <= ", rev, ")"));
}

absl::Status MysqlSnapshot::Events(const Range& range, int64_t after, int64_t upto, int64_t limit,
                                   const EventSink& sink) {
  absl::Status legal = CheckEventsAfter(lane_, after, name_);
  if (!legal.ok()) return legal;
  std::string keys;
  if (!range.start.empty()) absl::StrAppend(&keys, " AND e.k >= ", Bytes(range.start));
  if (!range.end.empty()) absl::StrAppend(&keys, " AND e.k < ", Bytes(range.end));
  ChunkSize size(limit);
  for (int64_t seen = 0;;) {
    const int64_t asked = size.rows();
    auto rows = lease_->Select(
        "reading events",
        absl::StrCat("SELECT e.rev, e.kind, e.k, e.prev_mod, e.prev_create, e.prev_expire_ms, "
                     "e.prev, IF(e.kind >= 3, '', COALESCE(o.value, (SELECT n.prev FROM stg_events "
                     "n FORCE INDEX(events_key) WHERE n.k = e.k AND n.rev > e.rev ORDER BY n.rev "
                     "LIMIT 1))) FROM stg_events e FORCE INDEX(PRIMARY) LEFT JOIN stg_objects o ON "
                     "o.k = e.k AND o.mod_rev = e.rev WHERE e.rev > ",
                     after, " AND e.rev <= ", upto, keys, " ORDER BY e.rev LIMIT ", asked));
    if (!rows.ok()) return rows.status();
    while (rows->Next()) {
      EventRow event;
      event.rev = after = rows->Int(0);
      event.kind = static_cast<ChangeKind>(rows->Int(1));
      event.key = rows->Bytes(2);
      event.prev = ObjectMeta{rows->Int(3), rows->Int(4), rows->Int(5)};
      event.prev_value = rows->Bytes(6);
      if (rows->IsNull(7)) {
        return MakeStatus(Code::kCorrupt,
                          absl::StrCat("the value of revision ", event.rev, " is missing in ",
                                       lease_->site().where, "; restore a backup"),
                          name_);
      }
      event.value = rows->Bytes(7);
      size.Count(event.value.size() + event.prev_value.size());
      if (!sink(event) || ++seen == limit) return absl::OkStatus();
    }
    if (rows->size() < asked) return absl::OkStatus();
    size.Adapt();
  }
}

}  // namespace storage::mysql
