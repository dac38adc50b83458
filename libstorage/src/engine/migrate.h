// Migration: moves what a changed topology routes elsewhere, while no API server
// runs (docs/adr/0007-migrate.md). Each step is durable; a run that was ended at any
// point, by whatever, is taken up by the next one. Ahead of it, while they run, the bulk
// can be copied into databases that are new.
//
// Threads: one. Databases are opened and locked from Open to destruction.
#ifndef LIBSTORAGE_SRC_ENGINE_MIGRATE_H_
#define LIBSTORAGE_SRC_ENGINE_MIGRATE_H_

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/engine/engine.h"
#include "src/engine/mirror.h"
#include "src/engine/moves.h"
#include "src/engine/routes.h"
#include "src/revision/epoch.h"

namespace storage {

// What one pass of a run ahead did.
struct AheadPass {
  MirrorCounts counts;
  double seconds = 0;
};

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
  // Beside API servers that run with the topology of before: nothing is moved, but copies
  // are made in the databases that are new to the topology.
  bool ahead = false;
  bool follow = false;  // ahead: pass after pass, until stop says so
  std::function<void(const AheadPass& pass)> pass_done;

  // what: "copying", "comparing", "verifying", "discarding", or a pass; numbers of objects.
  // Called often.
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
  int64_t bytes = 0;   // of values
  bool ahead = false;  // it can be copied ahead, or was
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
  // The way back, as long as the old copies are whole: removes what was copied, ahead too.
  // The topology of before is good again.
  absl::Status Abort();
  // There is something to do, though nothing may have to move: copies were made ahead.
  bool HasCopies() const;

  // Of a run ahead: passes over everything, until one found little.
  const std::vector<AheadPass>& passes() const { return passes_; }

 private:
  struct Database {
    std::string name;  // of the rule; "default"
    Endpoint endpoint;
    const Rule* rule = nullptr;
    int old_place = -1;   // in old_places_; -1 = new to the topology
    bool in_new = false;  // else the new topology leaves it out
    // New to the topology, and holds nothing but copies that were, or may be, made ahead.
    bool ahead = false;
    bool marked = false;    // ... and its lane says so
    LaneOwner ahead_owner;  // of its lane, while it is filled; else owner_ counts
    int64_t raised = 0;     // head and floor of its lane then
    std::unique_ptr<Backend> backend;
    int64_t ver = 0;  // of its lane when it was surveyed
    std::string label() const;
  };
  struct MoveKey {
    int from = 0, to = 0;  // databases
    int resource = 0;
    auto operator<=>(const MoveKey&) const = default;
  };
  struct Tally {
    const char* what = nullptr;  // of MigrateOptions::progress; null = not told
    int64_t done = 0, total = 0;
  };
  using RowsFrom = std::function<absl::Status(int to, const RowBatch& rows)>;
  using MoveBody = std::function<absl::Status(const MoveKey& move, const RowBatch& rows)>;
  using Change = std::function<absl::Status(const Database& of, const RowBatch& batch)>;

  explicit Migration(MigrateOptions options) : options_(std::move(options)) {}
  const MigrationRecord& record() const { return routes_.migration; }
  absl::Status At(const Database& database, const absl::Status& status) const;
  absl::Status Durable(const std::function<absl::Status()>& step);
  absl::Status Remember(std::vector<RememberedPlace> places, MigrationRecord record);
  absl::Status Stopped() const;
  const LaneOwner& OwnerOf(const Database& database) const;

  // migrate_open.cc
  absl::Status OpenMetadataStore();
  absl::Status PeekAtMetadata();
  absl::Status ClaimMetadata();
  absl::Status CheckTarget();
  absl::Status OpenDatabases();
  absl::Status AddLeftOut();
  absl::StatusOr<Database> OldDatabase(const RememberedPlace& place) const;
  absl::Status OpenDatabase(Database* database);
  absl::StatusOr<StartPlan> Plan();
  std::string MarkOf(const Database& database) const;
  std::map<std::string, BackendMark> Marks(bool of_new) const;
  bool IsSource(const Database& database) const;
  // migrate_survey.cc
  absl::Status Survey();
  absl::Status SurveyOne(int database, int resource);
  absl::Status CheckLeftOut(const Database& database, int64_t seen) const;
  absl::Status CheckArrival();
  absl::Status CheckDurable(const Database& target) const;
  absl::Status CheckNoneThere(int from, int resource);
  MigrationRecord NewRecord() const;
  // migrate_verify.cc
  absl::Status Verify();
  absl::Status CheckCopies(int from, int to, const RowBatch& rows);
  // migrate.cc
  absl::Status Start();
  absl::Status Adopt(bool* moved_on);
  absl::Status AdoptOne(size_t database, int64_t jump_to, bool* moved_on);
  absl::Status RaiseLane(const Database& database);
  absl::Status ChangeLane(const Database& database,
                          const std::function<absl::Status(LaneTxn&)>& body);
  absl::Status SurveyAgain();
  absl::Status Announce();
  absl::Status AdoptArrived();
  absl::Status Finish();
  // migrate_moves.cc
  absl::Status Copy();
  absl::Status Discard();
  absl::Status DropHistory();
  // The rows of a resource in a database that belong elsewhere, page by page.
  absl::Status ForEachMisplaced(int from, int resource, const RowsFrom& body);
  absl::Status ForEachMove(const MoveBody& body);  // of all databases and resources
  Tally TallyOf(const char* what) const;
  // A durable step for each batch of rows of `of`.
  absl::Status InBatches(const Database& of, const RowBatch& rows, const Change& change,
                         Tally* tally);
  Change DiscardOf(int resource) const;
  absl::Status ClearCopies(const Database& database);
  // migrate_mirror.cc
  absl::Status MirrorAll(size_t target, const Tally& tally, MirrorCounts* counts);
  Mirror::Env EnvOf(size_t target, int resource);
  absl::Status MirrorCopies();
  // migrate_ahead.cc
  absl::Status FindAhead();
  absl::Status RunAhead();
  absl::Status CheckMayFill(const Database& database, const Lane& lane) const;
  absl::Status CheckEmpty(const Database& database) const;
  absl::Status FillAhead(Database* database);
  absl::Status RaiseAhead(Database* database, int64_t rev, int64_t upto);
  absl::Status CheckStillBeside();
  absl::Status Pass(const std::vector<size_t>& targets);
  absl::Status WaitForWrites();
  absl::StatusOr<std::vector<int64_t>> Heads() const;
  absl::Status AbortAhead();
  int TargetOf(int resource, std::string_view key) const;
  bool Owns(int resource, std::string_view key) const;  // no longer prefix has the key

  MigrateOptions options_;
  std::unique_ptr<Router> router_;
  Endpoint metadata_endpoint_;
  std::unique_ptr<MetadataStore> metadata_;  // null: ahead
  MetaState found_;                          // in it
  Routes routes_;                            // as remembered
  std::vector<RememberedPlace> new_places_, old_places_;
  Topology old_topology_;                      // when it was given
  std::optional<Endpoint> old_default_;        // likewise
  std::vector<Database> databases_;            // by number of the router; then what is left out
  std::map<MoveKey, Sum> misplaced_;           // as surveyed
  std::map<std::pair<int, int>, Sum> native_;  // by database and resource
  std::vector<PlannedMove> planned_;
  StartPlan plan_;
  LaneOwner owner_;
  int64_t rev_ = 0;  // head and floor of every lane
  std::vector<AheadPass> passes_;
  std::vector<int64_t> heads_;  // of the sources before the last pass
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_MIGRATE_H_
