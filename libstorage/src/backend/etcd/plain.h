// An etcd as stock Kubernetes has it: keys and values as they are, without our envelope
// and our own keys. For `stgctl export`, which writes one, and reads it back.
//
// Threads: one at a time; Raise has some of its own.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_PLAIN_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_PLAIN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/backend/backend.h"
#include "src/backend/etcd/etcd.h"

namespace storage {

struct PlainEntry {
  std::string key, value;
  bool leased = false;  // it goes by itself
};

struct PlainPut {
  std::string key, value;
  int64_t lease = 0;  // 0 = none
};

class PlainEtcd {
 public:
  struct About {
    std::string cluster;   // as Backend::identity() begins
    std::string version;   // "3.5.21"
    int64_t revision = 0;  // of the whole store
    bool ours = false;     // a database, or a metadata store, of libstorage
    std::string mark;      // see SetMark; "" = none
  };

  // Connects to it; nothing is changed.
  static absl::StatusOr<std::unique_ptr<PlainEtcd>> Open(const EtcdOptions& options);
  virtual ~PlainEtcd() = default;

  virtual absl::StatusOr<About> Describe() = 0;
  virtual absl::StatusOr<int64_t> Count(const Range& range) = 0;
  // Keys in order, all of one revision of etcd, a page at a time. An empty page: no more.
  virtual absl::StatusOr<std::vector<PlainEntry>> Page(const Range& range, int64_t revision) = 0;

  // One transaction; sent again when its outcome is not known, for it may be done twice.
  // TOO_LARGE: this etcd takes less in one.
  virtual absl::Status Write(const std::vector<PlainPut>& puts,
                             const std::vector<std::string>& removals) = 0;
  virtual absl::StatusOr<int64_t> Grant(int64_t ttl_s) = 0;

  // A key outside of what Kubernetes looks at, which says whose copy is being made here.
  virtual absl::Status SetMark(const std::string& text) = 0;
  virtual absl::Status RemoveMark() = 0;

  // Writes until the store's revision is at least this: etcd knows no other way. progress
  // gets the revision, and ends it by false (CANCELLED).
  virtual absl::Status Raise(int64_t revision, const std::function<bool(int64_t)>& progress) = 0;
  // Everything below is gone: who comes with such a revision is told to list anew.
  virtual absl::Status Compact(int64_t revision) = 0;
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_PLAIN_H_
