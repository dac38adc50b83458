// Moves of a topology change: rows of objects as they are, no undo log.
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"
#include "src/backend/sqlite/lane_txn.h"

namespace storage::sqlite {

absl::Status SqliteLaneTxn::Moved(absl::Status status) {
  if (status.ok()) status = CountAll();
  if (!status.ok()) stage_ = Stage::kBroken;
  return writer_->Failed(std::move(status));
}

absl::Status SqliteLaneTxn::Import(absl::Span<const MovedRow> rows) {
  if (stage_ != Stage::kOpen) return Misused("Import comes before the lane is decided");
  absl::Status status = CheckImport(rows, lane_, writer_->site().name);
  if (status.ok()) status = writer_->ballast().CheckGrowth(writer_->site());
  if (!status.ok()) return status;
  moved_ = true;
  for (const MovedRow& moved : rows) {
    if (status.ok()) status = Import(moved);
  }
  return Moved(std::move(status));
}

absl::Status SqliteLaneTxn::Import(const MovedRow& moved) {
  const Row& row = moved.row;
  Query taken(&s_.of_create_rev);
  taken.Bind(1, row.meta.create_rev);
  if (taken.Step()) {
    return MakeStatus(
        Code::kExists,
        absl::StrCat("the object ", absl::CHexEscape(std::string(taken.Blob(0))),
                     " was created at revision ", row.meta.create_rev, " as ",
                     absl::CHexEscape(std::string(row.key)),
                     " was: the two databases had histories of their own once; delete one of the "
                     "two objects and create it again"),
        writer_->site().name);
  }
  absl::Status status = taken.status("looking for an object");
  if (!status.ok()) return status;
  if (!writer_->secure && IsEncrypted(row.value)) encrypted_ = true;
  KindDelta* const delta = DeltaOf(moved.collection);
  delta->objects += 1;
  delta->bytes += static_cast<int64_t>(row.value.size());
  Query query(&s_.import);
  query.Bind(1, row.meta.create_rev).Bind(2, row.meta.mod_rev);
  if (row.meta.expire_at_ms == 0) {
    query.BindNull(3);
  } else {
    query.Bind(3, row.meta.expire_at_ms);
  }
  return query.BindBlob(4, row.key)
      .BindBlob(5, row.attrs)
      .BindBlob(6, row.value)
      .Run("importing an object");
}

absl::Status SqliteLaneTxn::Discard(absl::Span<const DiscardedRow> rows) {
  if (stage_ != Stage::kOpen) return Misused("Discard comes before the lane is decided");
  absl::Status status = CheckDiscard(rows, lane_, writer_->site().name);
  if (!status.ok()) return status;
  moved_ = true;
  for (const DiscardedRow& row : rows) {
    if (status.ok()) status = Discard(row);
  }
  return Moved(std::move(status));
}

absl::Status SqliteLaneTxn::Discard(const DiscardedRow& row) {
  KindDelta* const delta = DeltaOf(row.collection);
  delta->objects -= 1;
  delta->bytes -= row.bytes;
  Query query(&s_.discard);
  query.Bind(1, row.create_rev).BindBlob(2, row.key);
  absl::Status status = query.Run("discarding an object");
  if (status.ok() && query.changes() != 1) return Misused("Discard: an object that is not there");
  return status;
}

}  // namespace storage::sqlite
