// What a migration does to one database at a time: reads it page by page, sums it
// up, and moves batches. One thread; a database that is changed has no other writer.
#ifndef LIBSTORAGE_SRC_ENGINE_MOVES_H_
#define LIBSTORAGE_SRC_ENGINE_MOVES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "src/backend/backend.h"

namespace storage {

struct OwnedRow {
  std::string key, value, attrs;
  ObjectMeta meta;
  Row row() const { return Row{key, value, attrs, meta}; }
};

// Of a set of objects, in any order: how many, and the sum of a hash of each one's
// key, value, attributes, revisions and expiry. Stored, so the hash never changes.
struct Sum {
  int64_t objects = 0;
  int64_t bytes = 0;  // of values
  uint64_t hash = 0;

  void Add(const OwnedRow& row);
  void Add(const Sum& other);
};

// All objects of a range in key order, a page at a time: between two pages nothing
// is open in the database.
class Pages {
 public:
  Pages(Backend* backend, Range range) : backend_(backend), range_(std::move(range)) {}
  // False: there are no more; the page is empty then.
  absl::StatusOr<bool> Next(std::vector<OwnedRow>* page);
  // Of the lane, as it was read with the last page.
  int64_t head() const { return head_; }

 private:
  Backend* const backend_;
  Range range_;
  int64_t head_ = 0;
  bool done_ = false;
};

// The range of the keys that begin with prefix.
Range RangeUnder(const std::string& prefix);

// found(i, meta) for each of the keys that the database holds; keys ascend.
absl::Status LookUp(Backend* backend, const std::vector<const OwnedRow*>& rows,
                    const std::function<void(size_t, const ObjectMeta&)>& found);

using RowBatch = std::vector<const OwnedRow*>;
// As many rows as one transaction may hold, for each call of body.
absl::Status ForEachBatch(const BatchLimits& limits, const RowBatch& rows,
                          const std::function<absl::Status(const RowBatch&)>& body);

// One lane transaction. Rows that are there with the same revisions are left as they
// are; CONFLICT for a key that is there with others.
absl::Status ImportBatch(Backend* backend, const LaneOwner& owner, const std::string& collection,
                         const RowBatch& rows);
absl::Status DiscardBatch(Backend* backend, const LaneOwner& owner, const std::string& collection,
                          const RowBatch& rows);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_MOVES_H_
