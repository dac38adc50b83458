#include "src/engine/merge.h"

#include <utility>

namespace storage {
namespace {

constexpr int64_t kChunkBytes = 1 << 20;

}  // namespace

ChunkedRows::ChunkedRows(std::unique_ptr<Snapshot> snapshot, Range range, int64_t rev,
                         int64_t chunk_rows)
    : snapshot_(std::move(snapshot)),
      range_(std::move(range)),
      rev_(rev),
      chunk_rows_(chunk_rows) {}

absl::Status ChunkedRows::Fetch() {
  int64_t bytes = 0;
  bool cut = false;
  absl::Status status = snapshot_->List(range_, rev_, chunk_rows_, [&](const Row& row) {
    if (bytes > kChunkBytes) {
      cut = true;
      return false;
    }
    Owned& owned = rows_.emplace_back();
    owned.bytes.reserve(row.key.size() + row.value.size());
    owned.bytes.append(row.key).append(row.value);
    const std::string_view all(owned.bytes);
    owned.row.key = all.substr(0, row.key.size());
    owned.row.value = all.substr(row.key.size());
    owned.row.meta = row.meta;
    bytes += static_cast<int64_t>(all.size());
    return true;
  });
  if (!status.ok()) return status;
  if (!cut && static_cast<int64_t>(rows_.size()) < chunk_rows_) done_ = true;
  if (rows_.empty()) {
    done_ = true;
  } else {
    range_.start = std::string(rows_.back().row.key) + '\0';
  }
  return status;
}

absl::StatusOr<const Row*> ChunkedRows::Front() {
  if (rows_.empty() && !done_) {
    if (absl::Status status = Fetch(); !status.ok()) return status;
  }
  return rows_.empty() ? nullptr : &rows_.front().row;
}

void ChunkedRows::Pop() { rows_.pop_front(); }

absl::Status MergeRows(std::vector<ChunkedRows>& sources, const RowSink& sink, bool* stopped) {
  *stopped = false;
  for (;;) {
    ChunkedRows* first = nullptr;
    const Row* row = nullptr;
    for (ChunkedRows& source : sources) {
      absl::StatusOr<const Row*> front = source.Front();
      if (!front.ok()) return front.status();
      if (*front != nullptr && (row == nullptr || (*front)->key < row->key)) {
        row = *front;
        first = &source;
      }
    }
    if (first == nullptr) return absl::OkStatus();
    if (!sink(*row)) {
      *stopped = true;
      return absl::OkStatus();
    }
    first->Pop();
  }
}

}  // namespace storage
