// All databases of a topology, held against API servers and only read: for `stgctl
// export`. Nothing is written, so that it can be done again, and the API servers can
// be started afterwards as if nothing had been.
//
// Threads: one.
#ifndef LIBSTORAGE_SRC_ENGINE_HELD_SET_H_
#define LIBSTORAGE_SRC_ENGINE_HELD_SET_H_

#include <memory>
#include <string>
#include <vector>

#include "src/backend/backend.h"
#include "src/backend/metadata.h"
#include "src/engine/engine.h"
#include "src/engine/moves.h"
#include "src/engine/routes.h"
#include "src/topology/topology.h"

namespace storage {

class HeldSet {
 public:
  struct Database {
    std::string name;  // of the rule; "default"
    Endpoint endpoint;
    const Rule* rule = nullptr;
    std::unique_ptr<Backend> backend;
    int64_t ver = 0;  // of its lane as it was opened
    std::string label() const;
  };

  // BUSY, naming the holder, while an API server runs. INVALID with the remedy when
  // these are not all databases that the last API server had, or not the same ones.
  static absl::StatusOr<std::unique_ptr<HeldSet>> Open(EngineOptions options);

  const std::vector<Database>& databases() const { return databases_; }
  const std::string& m_id() const { return metadata_->found().m_id; }
  // No revision above was ever handed out.
  int64_t highest() const { return highest_; }
  // Of all databases, as they count them.
  absl::StatusOr<Sum> Stored() const;
  absl::StatusOr<int64_t> Count(const Range& range) const;
  // UNAVAILABLE when somebody wrote since Open all the same: a server whose claim on a
  // metadata store ran out goes on without noticing for some seconds.
  absl::Status CheckUnchanged() const;
  absl::Status At(const Database& database, const absl::Status& status) const;

 private:
  explicit HeldSet(EngineOptions options) : options_(std::move(options)) {}
  absl::Status ReadPlaces();
  absl::Status OpenMetadataStore();
  absl::Status CheckRemembered(const Routes& routes) const;
  absl::Status OpenDatabases();
  absl::Status CheckLanes();

  const EngineOptions options_;
  std::unique_ptr<Router> router_;
  Endpoint metadata_endpoint_;
  std::vector<RememberedPlace> places_;
  std::unique_ptr<MetadataStore> metadata_;
  std::vector<Database> databases_;
  int64_t highest_ = 0;
};

// The objects of all of them in key order. CORRUPT when two hold the same key.
class MergedRows {
 public:
  MergedRows(const HeldSet* set, const Range& range);
  // The next one, valid until the call after; null: there is none.
  absl::StatusOr<const OwnedRow*> Next();

 private:
  struct Source {
    const HeldSet::Database* database = nullptr;
    Pages pages;
    std::vector<OwnedRow> page;
    size_t at = 0;
    bool done = false;
  };
  absl::Status Fill(Source* source);

  const HeldSet* const set_;
  std::vector<Source> sources_;
  Source* last_ = nullptr;  // whose row was given out
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_HELD_SET_H_
