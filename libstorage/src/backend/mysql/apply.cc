// The statements of a batch: as many as there are tables, however many rows.
#include "absl/strings/str_cat.h"
#include "src/backend/mysql/lane_txn.h"

namespace storage::mysql {
namespace {

std::string Expiry(int64_t expire_at_ms) {
  return expire_at_ms == 0 ? "NULL" : absl::StrCat(expire_at_ms);  // NULL is never looked for
}

// Changes of the numbers per collection, in order of appearance.
struct KindDelta {
  std::string_view collection;
  int64_t objects = 0;
  int64_t bytes = 0;
};

KindDelta* DeltaOf(std::vector<KindDelta>* deltas, std::string_view collection) {
  for (KindDelta& delta : *deltas) {
    if (delta.collection == collection) return &delta;
  }
  return &deltas->emplace_back(KindDelta{collection, 0, 0});
}

bool Grows(const Mutation& m) {
  return m.kind == ChangeKind::kCreate || m.kind == ChangeKind::kUpdate;
}

// A row of stg_objects; the text is used again and again.
void ObjectRow(const Mutation& m, int64_t create_rev, std::string* row) {
  row->clear();
  absl::StrAppend(row, "(", create_rev, ",", m.rev, ",", Expiry(m.expire_at_ms), ",");
  AppendBytes(row, m.key);
  row->push_back(',');
  AppendBytes(row, m.attrs);
  row->push_back(',');
  AppendBytes(row, m.value);
  row->push_back(')');
}

// The statements in the order in which they must run: old rows move before they go.
struct Lists {
  explicit Lists(Script* script, int64_t token)
      : moved(script,
              "INSERT INTO stg_events SELECT v.r, v.t, " + absl::StrCat(token) +
                  ", v.s, v.b, o.mod_rev, o.create_rev, o.expire_ms, o.k, o.attrs, o.value FROM (",
              " UNION ALL ", ") v STRAIGHT_JOIN stg_objects o ON o.create_rev = v.c"),
        created(script, "INSERT INTO stg_events(rev, kind, token, seq, seq_bytes, k) VALUES", ",",
                ""),
        inserts(script,
                "INSERT INTO stg_objects(create_rev, mod_rev, expire_ms, k, attrs, value) VALUES",
                ",", ""),
        updates(script,
                "INSERT INTO stg_objects(create_rev, mod_rev, expire_ms, k, attrs, value) VALUES",
                ",",
                " ON DUPLICATE KEY UPDATE mod_rev = VALUES(mod_rev), expire_ms = "
                "VALUES(expire_ms), attrs = VALUES(attrs), value = VALUES(value)"),
        deletes(script, "DELETE FROM stg_objects WHERE create_rev IN (", ",", ")"),
        kinds(script, "INSERT INTO stg_kinds VALUES", ",",
              " ON DUPLICATE KEY UPDATE objects = objects + VALUES(objects), bytes = bytes + "
              "VALUES(bytes)") {}

  RowList moved, created, inserts, updates, deletes, kinds;
};

}  // namespace

absl::Status MysqlLaneTxn::WriteAll(absl::Span<const Mutation> mutations,
                                    const std::vector<Known>& before) {
  Lists lists(&script_, token_);
  std::vector<KindDelta> deltas;
  std::string row;
  absl::Status status;
  for (size_t i = 0; i < mutations.size() && status.ok(); ++i) {
    const Mutation& m = mutations[i];
    const int64_t kind = static_cast<int64_t>(m.kind);
    ++seq_;
    seq_bytes_ += before[i].bytes;
    if (m.kind == ChangeKind::kCreate) {
      row = absl::StrCat("(", m.rev, ",", kind, ",", token_, ",", seq_, ",", seq_bytes_, ",");
      AppendBytes(&row, m.key);
      row.push_back(')');
      status = lists.created.Add(row);
    } else if (lists.moved.begins()) {
      status = lists.moved.Add(absl::StrCat("SELECT ", m.rev, " r,", kind, " t,", seq_, " s,",
                                            seq_bytes_, " b,", before[i].create_rev, " c"));
    } else {
      status = lists.moved.Add(absl::StrCat("SELECT ", m.rev, ",", kind, ",", seq_, ",", seq_bytes_,
                                            ",", before[i].create_rev));
    }
    KindDelta* const delta = DeltaOf(&deltas, m.collection);
    delta->objects += (m.kind == ChangeKind::kCreate ? 1 : 0) - (Grows(m) ? 0 : 1);
    delta->bytes += (Grows(m) ? static_cast<int64_t>(m.value.size()) : 0) - before[i].bytes;
  }
  if (status.ok()) status = lists.moved.End();
  if (status.ok()) status = lists.created.End();
  for (size_t i = 0; i < mutations.size() && status.ok(); ++i) {
    const Mutation& m = mutations[i];
    if (!Grows(m)) {
      status = lists.deletes.Add(absl::StrCat(before[i].create_rev));
      continue;
    }
    const bool create = m.kind == ChangeKind::kCreate;
    ObjectRow(m, create ? m.rev : before[i].create_rev, &row);
    status = create ? lists.inserts.Add(row) : lists.updates.Add(row);
  }
  for (size_t i = 0; i < deltas.size() && status.ok(); ++i) {
    row = "(";
    AppendBytes(&row, deltas[i].collection);
    absl::StrAppend(&row, ",", deltas[i].objects, ",", deltas[i].bytes, ")");
    status = lists.kinds.Add(row);
  }
  for (RowList* list : {&lists.inserts, &lists.updates, &lists.deletes, &lists.kinds}) {
    if (status.ok()) status = list->End();
  }
  return status;
}

}  // namespace storage::mysql
