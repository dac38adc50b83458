// Reads at a revision and events, from the undo log. Event r holds the row it
// replaced (prev), and prev_mod, the revision of that row's own event: the
// events of one life of a key are a chain, from its object (mod_rev) or from
// the event that ended it down to its creation. The row at R is the prev of
// the chain's last event above R.
#include <utility>

#include "src/backend/checks.h"
#include "src/backend/sqlite/snapshot.h"

namespace storage::sqlite {
namespace {

Row RowOf(const Query& query) {
  Row row;
  row.key = query.Blob(0);
  row.meta = ObjectMeta{query.Int(2), query.Int(1), query.Int(3)};
  row.attrs = query.Blob(4);
  row.value = query.Blob(5);
  return row;
}

// The lives that were over after a revision, in key order, one step ahead.
class GoneCursor {
 public:
  GoneCursor(RangeStatement* statement, const Range& range, int64_t rev)
      : query_(statement->For(range)) {
    RangeStatement::Bind(&query_, range);
    query_.Bind(3, rev);
    Next();
  }
  void Next() { valid_ = query_.Step(); }
  bool valid() const { return valid_; }
  std::string_view key() const { return query_.Blob(0); }
  int64_t event() const { return query_.Int(1); }
  absl::Status status() const { return query_.status("listing deleted objects"); }

 private:
  Query query_;
  bool valid_ = false;
};

}  // namespace

absl::Status SqliteSnapshot::Undo(int64_t event, int64_t rev, const RowSink& sink, bool* more) {
  for (bool found = false; !found;) {
    Query older(&lease_->older);
    older.Bind(1, event);
    if (!older.Step()) {
      absl::Status status = older.status("reading the undo log");
      if (!status.ok()) return status;
      return MakeStatus(Code::kCorrupt,
                        "the undo log has a gap at revision " + std::to_string(event) +
                            "; run `sqlite3 FILE 'PRAGMA integrity_check'` and restore a backup",
                        name_);
    }
    found = older.Int(0) <= rev;
    if (!found) event = older.Int(0);
  }
  Query undone(&lease_->undone);
  undone.Bind(1, event);
  if (undone.Step()) *more = sink(RowOf(undone));
  return undone.status("reading the undo log");
}

absl::Status SqliteSnapshot::GetOld(std::string_view key, int64_t rev, const RowSink& sink) {
  bool more = true;
  {
    Query object(&lease_->get);
    object.BindBlob(1, key);
    const bool found = object.Step();
    absl::Status status = object.status("reading an object");
    if (!status.ok()) return status;
    if (found && object.Int(1) <= rev) {
      if (object.Int(2) > rev) return Undo(object.Int(2), rev, sink, &more);
      sink(RowOf(object));
      return status;
    }
  }
  Query gone(&lease_->gone);
  gone.BindBlob(1, key).Bind(3, rev);
  if (gone.Step()) return Undo(gone.Int(0), rev, sink, &more);
  return gone.status("reading deleted objects");
}

// Objects created by then and lives that ended since are disjoint, so two
// cursors in key order are merged, and a limit costs what it returns.
absl::Status SqliteSnapshot::ListOld(const Range& range, int64_t rev, int64_t limit,
                                     const RowSink& sink) {
  Query object(lease_->list_old.For(range));
  RangeStatement::Bind(&object, range);
  object.Bind(3, rev);
  GoneCursor gone(&lease_->list_gone, range, rev);
  bool alive = object.Step();
  bool more = true;
  for (int64_t rows = 0; more && (alive || gone.valid());) {
    absl::Status status;
    if (!alive || (gone.valid() && gone.key() < object.Blob(0))) {
      status = Undo(gone.event(), rev, sink, &more);
      gone.Next();
    } else {
      if (object.Int(2) > rev) {
        status = Undo(object.Int(2), rev, sink, &more);
      } else {
        more = sink(RowOf(object));
      }
      alive = object.Step();
    }
    if (!status.ok()) return status;
    if (++rows == limit) break;
  }
  const absl::Status status = object.status("listing objects");
  return status.ok() ? gone.status() : status;
}

// The value after an event: still the object's, or what the next event of
// that life replaced.
absl::Status SqliteSnapshot::ValueAfter(const EventRow& event, const EventSink& sink, bool* more) {
  EventRow row = event;
  Query object(&lease_->object_at_event);
  object.Bind(1, event.kind == ChangeKind::kCreate ? event.rev : event.prev.create_rev);
  object.Bind(2, event.rev);
  if (object.Step()) {
    row.value = object.Blob(0);
    *more = sink(row);
    return absl::OkStatus();
  }
  absl::Status status = object.status("reading an object");
  if (!status.ok()) return status;
  Query next(&lease_->next_event);
  next.Bind(1, event.rev);
  if (next.Step()) {
    row.value = next.Blob(0);
    *more = sink(row);
    return absl::OkStatus();
  }
  status = next.status("reading the undo log");
  if (!status.ok()) return status;
  return MakeStatus(Code::kCorrupt,
                    "the value of revision " + std::to_string(event.rev) +
                        " is missing; run `sqlite3 FILE 'PRAGMA integrity_check'` and restore a "
                        "backup",
                    name_);
}

absl::Status SqliteSnapshot::Events(const Range& range, int64_t after, int64_t upto, int64_t limit,
                                    const EventSink& sink) {
  absl::Status legal = CheckEventsAfter(lane_, after, name_);
  if (!legal.ok()) return legal;
  Query query(lease_->events.For(range));
  RangeStatement::Bind(&query, range);
  query.Bind(3, after).Bind(4, upto);
  bool more = true;
  for (int64_t rows = 0; more && query.Step();) {
    EventRow row;
    row.rev = query.Int(0);
    row.key = query.Blob(5);
    row.kind = static_cast<ChangeKind>(query.Int(1));
    row.prev = ObjectMeta{query.Int(2), query.Int(3), query.Int(4)};
    row.prev_value = query.Blob(6);
    if (row.kind == ChangeKind::kDelete || row.kind == ChangeKind::kExpire) {
      more = sink(row);
    } else {
      absl::Status status = ValueAfter(row, sink, &more);
      if (!status.ok()) return status;
    }
    if (++rows == limit) break;
  }
  return query.status("reading events");
}

}  // namespace storage::sqlite
