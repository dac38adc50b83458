// Rows of several snapshots in one key order. Keys of different backends are
// disjoint. One thread.
#ifndef LIBSTORAGE_SRC_ENGINE_MERGE_H_
#define LIBSTORAGE_SRC_ENGINE_MERGE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "src/backend/backend.h"

namespace storage {

// A snapshot's rows, fetched in chunks.
class ChunkedRows {
 public:
  // rev: as Snapshot::List.
  ChunkedRows(std::unique_ptr<Snapshot> snapshot, Range range, int64_t rev, int64_t chunk_rows);
  // Null at the end. Valid until Pop.
  absl::StatusOr<const Row*> Front();
  void Pop();
  Snapshot& snapshot() { return *snapshot_; }
  int64_t rev() const { return rev_; }

 private:
  struct Owned {
    std::string bytes;  // key, value, attrs
    Row row;
  };
  absl::Status Fetch();

  std::unique_ptr<Snapshot> snapshot_;
  Range range_;
  const int64_t rev_;
  const int64_t chunk_rows_;
  bool done_ = false;
  std::deque<Owned> rows_;
};

// Calls sink in key order until it returns false (*stopped) or the rows end.
absl::Status MergeRows(std::vector<ChunkedRows>& sources, const RowSink& sink, bool* stopped);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_MERGE_H_
