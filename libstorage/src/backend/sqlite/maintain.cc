// Housekeeping of the lane thread: checkpoints, history below the floor, free
// pages back to the file system.
#include <algorithm>

#include "src/backend/sqlite/sqlite_backend.h"

namespace storage::sqlite {
namespace {

Upkeep upkeep;  // constant but for tests

}  // namespace

void SqliteBackend::SetUpkeepForTest(const Upkeep& other) { upkeep = other; }

absl::StatusOr<int64_t> SqliteBackend::DeleteHistory(int64_t max_rows) {
  if (writer_ == nullptr) return NotWritable();
  if (writer_->lane_open) return LaneOpen();
  if (max_rows <= 0) return 0;
  absl::Status relaxed = writer_->SetRelaxed(true);
  if (!relaxed.ok()) return relaxed;
  absl::StatusOr<int64_t> rows = DeleteRows(max_rows);
  absl::Status strict = writer_->SetRelaxed(false);
  if (!strict.ok()) return strict;
  return rows;
}

absl::StatusOr<int64_t> SqliteBackend::DeleteRows(int64_t max_rows) {
  WriterStatements& s = writer_->statements();
  absl::Status status = writer_->Begin();
  if (!status.ok()) return status;
  int64_t upto = INT64_MAX;  // the statement itself stops at the floor
  {
    Query boundary(&s.last_debt);
    boundary.Bind(1, max_rows - 1);
    if (boundary.Step()) upto = boundary.Int(0);
    status = boundary.status("looking for old history");
  }
  int64_t rows = 0;
  if (status.ok()) {
    Query remove(&s.delete_events);
    status = remove.Bind(1, upto).Run("deleting old history");
    if (status.ok()) rows = remove.changes();
  }
  if (!status.ok() || rows == 0) {
    writer_->Rollback();
    if (!status.ok()) return writer_->Failed(status);
    return 0;
  }
  status = writer_->Commit();
  if (!status.ok()) return status;
  writer_->LookForFreePages();
  return rows;
}

// Gives free pages back to the file system, one step; true = more to do.
absl::StatusOr<bool> SqliteBackend::GiveBack() {
  const auto free_pages = [this]() -> int64_t {
    Query query(&writer_->statements().free_pages);
    return query.Step() ? query.Int(0) : 0;
  };
  if (!writer_->TimeToLookForFreePages() && !writer_->ballast().spent()) return false;
  const int64_t before = free_pages();
  const int64_t file_pages = FileBytes(site_, "") / Writer::kPageBytes;
  const int64_t keep =
      writer_->ballast().spent() ? 0 : std::max(upkeep.keep_free_pages, file_pages / 4);
  if (before <= keep) return false;
  absl::Status status = writer_->SetRelaxed(true);
  if (status.ok()) status = writer_->Vacuum(upkeep.vacuum_pages);
  absl::Status strict = writer_->SetRelaxed(false);
  if (!status.ok()) return status;
  if (!strict.ok()) return strict;
  writer_->LookForFreePages();
  shortened_ = true;
  return free_pages() < before;
}

// True when something was copied; what open snapshots hold back stays.
absl::StatusOr<bool> SqliteBackend::MaintainLog() {
  const int64_t before = writer_->frames_to_copy();
  absl::Status copied = writer_->Checkpoint();
  if (!copied.ok()) return copied;
  return writer_->frames_to_copy() < before;
}

absl::StatusOr<bool> SqliteBackend::Maintain(bool idle) {
  if (writer_ == nullptr) return NotWritable();
  if (writer_->lane_open) return LaneOpen();
  const bool full = !writer_->ballast().Restore(site_);
  if (!idle && !full) {
    const absl::Status copied = writer_->CopyStep();
    return copied.ok() ? absl::StatusOr<bool>(false) : copied;
  }
  const int64_t waiting = writer_->frames_to_copy();
  if (waiting > upkeep.idle_frames || (waiting > 0 && writer_->too_long())) {
    absl::StatusOr<bool> copied = MaintainLog();
    if (!copied.ok() || *copied) return copied;
  }
  absl::StatusOr<bool> more = GiveBack();
  if (!more.ok() || *more) return more;
  // The file itself gets shorter when the log is copied.
  if (shortened_ && writer_->frames_to_copy() > 0) {
    absl::StatusOr<bool> copied = MaintainLog();
    if (!copied.ok()) return copied;
  }
  shortened_ = false;
  if (full || !upkeep.grow_log) return false;
  return writer_->GrowLog();
}

}  // namespace storage::sqlite
