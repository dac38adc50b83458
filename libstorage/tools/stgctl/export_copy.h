// The copy of a set of databases in an etcd of stock Kubernetes: made, compared, and what
// makes one out of the other. Threads: one.
#ifndef LIBSTORAGE_TOOLS_STGCTL_EXPORT_COPY_H_
#define LIBSTORAGE_TOOLS_STGCTL_EXPORT_COPY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "src/backend/etcd/plain.h"
#include "src/engine/held_set.h"

namespace storage::stgctl {

// In which way the etcd is not the set.
enum class Difference { kMissing, kDiffers, kExtra };

struct CopyCounts {
  int64_t objects = 0;   // of the set, without those that have expired
  int64_t bytes = 0;     // of their values
  int64_t written = 0;   // the others were there already
  int64_t removed = 0;   // keys that the set does not have
  int64_t expiring = 0;  // of objects, written with what is left of their time
  int64_t expired = 0;   // left out
};

class PlainCopy {
 public:
  // done: objects looked at so far; false stops with CANCELLED.
  using Told = std::function<bool(int64_t done)>;

  PlainCopy(const HeldSet* set, PlainEtcd* to, Range range)
      : set_(set), to_(to), range_(std::move(range)) {}

  // Makes the etcd hold exactly the objects of the set. What is there is kept, so that a
  // copy that was ended goes on.
  absl::StatusOr<CopyCounts> Make(const Told& told);

  struct Found {
    int64_t objects = 0;
    std::string sha256;      // of keys and values, in key order, as the etcd has them
    std::string difference;  // "" = none; else the first, with its key
  };
  // Reads both whole, the etcd at one revision; ends at the first difference.
  absl::StatusOr<Found> Compare(int64_t revision, const Told& told);

 private:
  // row: of the set; entry: of the etcd. One of them is null, or both have the same key.
  using Pair = std::function<absl::StatusOr<bool>(const OwnedRow* row, const PlainEntry* entry)>;

  absl::Status ForEachKey(int64_t revision, const Told& told, const Pair& pair);
  absl::Status Put(const OwnedRow& row);
  absl::Status Remove(const std::string& key);
  absl::Status FlushIfFull(size_t next);
  absl::Status Flush();
  absl::Status FlushOneByOne();
  absl::StatusOr<int64_t> LeaseFor(int64_t expire_at_ms);

  struct Lease {
    int64_t id = 0, objects = 0;
  };
  const HeldSet* const set_;
  PlainEtcd* const to_;
  const Range range_;
  std::vector<PlainPut> puts_;
  std::vector<std::string> removals_;
  size_t bytes_ = 0;
  std::map<int64_t, Lease> leases_;  // by when they end
};

}  // namespace storage::stgctl

#endif  // LIBSTORAGE_TOOLS_STGCTL_EXPORT_COPY_H_
