// Makes one database hold of a resource what others hold of it, and nothing else: reads
// all of them side by side in key order and changes what differs. It may be ended
// anywhere and done again. The sources may be written meanwhile: what is copied then is
// each object as it was at some moment of the run.
//
// Threads: one.
#ifndef LIBSTORAGE_SRC_ENGINE_MIRROR_H_
#define LIBSTORAGE_SRC_ENGINE_MIRROR_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "src/engine/moves.h"

namespace storage {

struct MirrorCounts {
  int64_t rows = 0;       // in the sources that belong here
  int64_t copied = 0;     // were not there
  int64_t replaced = 0;   // were there with other revisions
  int64_t repaired = 0;   // with the same ones and other bytes: damage
  int64_t discarded = 0;  // are in no source
  int64_t changes() const { return copied + replaced + repaired + discarded; }
};

// The rows of a range that pass, one after the other.
class RowWalk {
 public:
  using Pass = std::function<bool(const std::string& key)>;
  RowWalk(Backend* backend, const Range& range, Pass pass)
      : pages_(backend, range), pass_(std::move(pass)) {}
  // The row in front; null behind the last one. page: is asked before each page.
  absl::StatusOr<OwnedRow*> Front(const std::function<absl::Status()>& page);
  void Pop() { ++at_; }
  int64_t head() const { return pages_.head(); }

 private:
  Pages pages_;
  const Pass pass_;
  std::vector<OwnedRow> page_;
  size_t at_ = 0;
};

class Mirror {
 public:
  struct Side {
    Backend* backend = nullptr;
    std::string label;  // for messages
  };
  struct Env {
    Side target;
    std::vector<Side> sources;
    LaneOwner owner;         // of the target's lane
    std::string collection;  // key prefix of the resource
    RowWalk::Pass owned;     // the key is of this resource
    RowWalk::Pass here;      // and belongs into the target
    // A durable step.
    std::function<absl::Status(const std::function<absl::Status()>&)> step;
    // The target's head and floor are at least rev; upto: the sources' head.
    std::function<absl::Status(int64_t rev, int64_t upto)> raise;
    // Asked before each page; an error ends the run.
    std::function<absl::Status()> page;
  };

  // Adds up in *counts, also when it fails.
  Mirror(Env env, MirrorCounts* counts);
  absl::Status Run();

 private:
  // The next row of all sources in key order; null behind the last one.
  absl::StatusOr<OwnedRow*> Next();
  absl::Status Compare(OwnedRow* row, OwnedRow* there);
  absl::Status Discard(OwnedRow* there);
  absl::Status Import(OwnedRow* row);
  absl::Status Flush();
  absl::Status FlushImports();
  static absl::Status At(const Side& side, const absl::Status& status);

  const Env env_;
  MirrorCounts* const counts_;
  std::vector<RowWalk> sources_;
  RowWalk target_;
  size_t next_ = 0;  // the source whose row Next gave
  std::vector<OwnedRow> gone_, come_;
  int64_t bytes_ = 0;  // of both
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_MIRROR_H_
