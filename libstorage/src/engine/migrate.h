// Migration: moves what a changed topology routes elsewhere, while no API server
// runs (docs/adr/0007-migrate.md). Each step is durable; a run that was ended at any
// point, by whatever, is taken up by the next one.
//
// Threads: one. Databases are opened and locked from Open to destruction.
#ifndef LIBSTORAGE_SRC_ENGINE_MIGRATE_H_
#define LIBSTORAGE_SRC_ENGINE_MIGRATE_H_

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/engine/engine.h"
#include "src/engine/moves.h"
#include "src/engine/routes.h"
#include "src/revision/epoch.h"

namespace storage {

struct MigrateOptions {
  EngineOptions engine;  // as the API server will have them: the new topology
  // As the API server had them: where the password of a database on a server stands
  // that the new topology leaves out. "" = not needed.
  std::string old_topology_path;
  std::string old_topology_text;  // used instead of the path when not empty (tests)
  std::string old_default_endpoint;
  // The operator says that no API server runs. Asked for only where the last one did not
  // end in order, and had no claim on the metadata store (MetaState::unclaimed).
  bool server_stopped = false;

  // what: "copying", "verifying", "discarding"; numbers of objects. Called often.
  std::function<void(const char* what, int64_t done, int64_t total)> progress;
  // Asked between batches; true ends the run with CANCELLED. The next one goes on.
  std::function<bool()> stop;
  // Before and after each durable step; an error ends the run there.
  std::function<absl::Status()> step_for_test;
};

struct PlannedMove {
  std::string from, to;    // name and redacted endpoint
  std::string collection;  // key prefix of the resource
  int64_t objects = 0;
  int64_t bytes = 0;  // of values
};

class Migration {
 public:
  // Looks at everything; changes nothing but that databases that are not there yet are
  // made, empty. INVALID with the remedy for what can't be migrated.
  static absl::StatusOr<std::unique_ptr<Migration>> Open(MigrateOptions options);

  // What a run moves, or still has to copy or discard.
  const std::vector<PlannedMove>& moves() const { return planned_; }
  bool resumes() const { return record().phase != MigrationRecord::Phase::kNone; }

  // To the end: afterwards an API server starts with the new topology. Nothing to move:
  // OK, and nothing is changed. Once.
  absl::Status Run();
  // The way back, as long as the old copies are whole: removes what was copied. The
  // topology of before is good again.
  absl::Status Abort();

 private:
  struct Database {
    std::string name;  // of the rule; "default"
    Endpoint endpoint;
    const Rule* rule = nullptr;
    int old_place = -1;   // in old_places_; -1 = new to the topology
    bool in_new = false;  // else the new topology leaves it out
    std::unique_ptr<Backend> backend;
    int64_t ver = 0;  // of its lane when it was surveyed
    std::string label() const;
  };
  struct MoveKey {
    int from = 0, to = 0;  // databases
    int resource = 0;
    auto operator<=>(const MoveKey&) const = default;
  };
  using RowsFrom = std::function<absl::Status(int to, const RowBatch& rows)>;

  explicit Migration(MigrateOptions options) : options_(std::move(options)) {}
  const MigrationRecord& record() const { return routes_.migration; }
  absl::Status At(const Database& database, const absl::Status& status) const;
  absl::Status Durable(const std::function<absl::Status()>& step);
  absl::Status Remember(std::vector<RememberedPlace> places, MigrationRecord record);
  absl::Status Stopped() const;

  // migrate_open.cc
  absl::Status OpenMetadataStore();
  absl::Status CheckTarget();
  absl::Status OpenDatabases();
  absl::Status AddLeftOut();
  absl::StatusOr<Endpoint> OldEndpoint(const RememberedPlace& place) const;
  absl::Status OpenDatabase(Database* database);
  absl::StatusOr<StartPlan> Plan();
  std::string MarkOf(const Database& database) const;
  std::map<std::string, BackendMark> Marks(bool of_new) const;
  // migrate_survey.cc
  absl::Status Survey();
  absl::Status SurveyOne(int database, int resource);
  absl::Status CheckLeftOut(const Database& database, int64_t seen) const;
  absl::Status CheckArrival();
  absl::Status CheckNoneThere(int from, int resource);
  MigrationRecord NewRecord() const;
  // migrate_verify.cc
  absl::Status Verify();
  absl::Status CheckCopies(int from, int to, const RowBatch& rows);
  // migrate.cc
  absl::Status Start();
  absl::Status Adopt(bool* moved_on);
  absl::Status ChangeLane(const Database& database,
                          const std::function<absl::Status(LaneTxn&)>& body);
  absl::Status SurveyAgain();
  absl::Status Copy();
  absl::Status Discard();
  absl::Status DropHistory();
  absl::Status Finish();
  // The rows of a resource in a database that belong elsewhere, page by page.
  absl::Status ForEachMisplaced(int from, int resource, const RowsFrom& body);
  int TargetOf(int resource, std::string_view key) const;
  bool Owns(int resource, std::string_view key) const;  // no longer prefix has the key

  MigrateOptions options_;
  std::unique_ptr<Router> router_;
  Endpoint metadata_endpoint_;
  std::unique_ptr<MetadataStore> metadata_;
  Routes routes_;  // as remembered
  std::vector<RememberedPlace> new_places_, old_places_;
  std::vector<Endpoint> old_endpoints_;        // of the old topology, when it was given
  std::vector<Database> databases_;            // by number of the router; then what is left out
  std::map<MoveKey, Sum> misplaced_;           // as surveyed
  std::map<std::pair<int, int>, Sum> native_;  // by database and resource
  std::vector<PlannedMove> planned_;
  StartPlan plan_;
  LaneOwner owner_;
  int64_t rev_ = 0;  // head and floor of every lane
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_MIGRATE_H_
