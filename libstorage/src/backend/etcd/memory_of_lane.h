// What a backend remembers of its lane since its last commit: the lane row, and rows as
// they were written. A transaction that believes it compares all of that when it
// commits, so being wrong costs a round trip and nothing else.
// Threads: the lane's.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_MEMORY_OF_LANE_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_MEMORY_OF_LANE_H_

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "src/backend/etcd/store.h"

namespace storage::etcd {

// A key as it was read.
struct Seen {
  int64_t etcd_mod = 0;  // 0 = absent
  bool envelope = true;
  ObjectMeta meta;
  Blob value;
};

// The rows written last, up to so many bytes of values.
class RowMemory {
 public:
  explicit RowMemory(size_t max_bytes) : max_bytes_(max_bytes) {}

  const Seen* Find(std::string_view key) const;
  void Put(const std::string& key, Seen seen);
  void Erase(std::string_view key);
  void Clear();
  size_t bytes() const { return bytes_; }

 private:
  using Rows = std::list<std::pair<std::string, Seen>>;  // the newest first
  static size_t Weight(const Rows::value_type& row);

  const size_t max_bytes_;
  size_t bytes_ = 0;
  Rows rows_;
  absl::flat_hash_map<std::string_view, Rows::iterator> at_;  // keys live in rows_
};

constexpr int kMostBelieved = 8;

struct LaneMemory {
  std::optional<LaneState> state;  // nothing: the lane is read
  RowMemory rows{8 << 20};
  SteadyTime not_before{};  // others write too: not believed until then
  // Batches since the lane was read. Who believes needs one round trip, who reads two: another
  // server that never gets in between would not be noticed.
  int believed = 0;
};

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_MEMORY_OF_LANE_H_
