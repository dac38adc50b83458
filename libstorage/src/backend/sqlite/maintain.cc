// Housekeeping of the lane thread: checkpoints, history below the floor, free
// pages back to the file system.
#include <algorithm>

#include "src/backend/sqlite/sqlite_backend.h"

namespace storage::sqlite {
namespace {

// An idle lane checkpoints earlier, so that a busy one seldom has to.
constexpr int64_t kIdleFrames = Writer::kCapFrames / 4;
// Pages moved in one step; each may dirty two.
constexpr int64_t kVacuumPages = 64;
// Free pages that are kept for the next writes: 8 MiB, or a quarter of the file.
constexpr int64_t kKeepFreePages = 2048;

}  // namespace

absl::StatusOr<int64_t> SqliteBackend::DeleteHistory(int64_t max_rows) {
  if (writer_ == nullptr) return NotWritable();
  if (writer_->lane_open) return LaneOpen();
  if (max_rows <= 0) return 0;
  const absl::Status relaxed = writer_->SetRelaxed(true);
  if (!relaxed.ok()) return relaxed;
  const absl::StatusOr<int64_t> rows = DeleteRows(max_rows);
  const absl::Status strict = writer_->SetRelaxed(false);
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
  const int64_t file_pages = FileBytes(site_) / Writer::kPageBytes;
  const int64_t keep = writer_->ballast().spent() ? 0 : std::max(kKeepFreePages, file_pages / 4);
  if (before <= keep) return false;
  absl::Status status = writer_->SetRelaxed(true);
  if (status.ok()) {
    status = writer_->Failed(writer_->connection().Exec("PRAGMA incremental_vacuum(" +
                                                        std::to_string(kVacuumPages) + ")"));
  }
  const absl::Status strict = writer_->SetRelaxed(false);
  if (!status.ok()) return status;
  if (!strict.ok()) return strict;
  writer_->LookForFreePages();
  return free_pages() < before;
}

absl::StatusOr<bool> SqliteBackend::Maintain(bool idle) {
  if (writer_ == nullptr) return NotWritable();
  if (writer_->lane_open) return LaneOpen();
  const bool full = !writer_->ballast().Restore(site_);
  if (writer_->WantsCheckpoint(idle || full ? kIdleFrames : Writer::kCapFrames)) {
    const absl::Status copied = writer_->Checkpoint();
    if (!copied.ok()) return copied;
    return idle;  // look again: the log may have to grow, or pages be given back
  }
  if (!idle && !full) return false;
  const absl::StatusOr<bool> more = GiveBack();
  if (!more.ok() || *more) return more;
  // A database that was shortened gets shorter when its log is copied.
  if (full && writer_->frames_to_copy() > 0) {
    const absl::Status copied = writer_->Checkpoint();
    if (!copied.ok()) return copied;
  }
  if (!full) return writer_->GrowLog();
  return false;
}

}  // namespace storage::sqlite
