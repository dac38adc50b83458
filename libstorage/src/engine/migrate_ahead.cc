// Ahead of a migration, beside API servers that run: databases that are new to the topology
// are filled, so that the migration finds little to do. Nothing of this is told to the
// metadata store: the lane of such a database says what it is, and its rows are compared,
// never believed (docs/adr/0007-migrate.md, "Ahead").
#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/engine/backends.h"
#include "src/engine/migrate.h"
#include "src/revision/ahead.h"

namespace storage {
namespace {

using Phase = MigrationRecord::Phase;

constexpr int64_t kLittle = 100;  // objects that another pass is not worth
constexpr absl::Duration kLeastPause = absl::Seconds(1);
constexpr absl::Duration kSlice = absl::Milliseconds(50);  // between two looks at a signal

absl::Status Invalid(std::string message) { return MakeStatus(Code::kInvalid, std::move(message)); }

// Another pass would find about as much as this one, because servers write all the time.
bool LittleIsLeft(const std::vector<AheadPass>& passes) {
  const int64_t last = passes.back().counts.changes();
  if (last <= kLittle) return true;
  return passes.size() > 1 && last > passes[passes.size() - 2].counts.changes() / 2;
}

}  // namespace

absl::Status Migration::FindAhead() {
  const std::vector<std::string>& known = record().ahead;
  for (Database& database : databases_) {
    if (database.old_place >= 0 || !database.in_new) continue;
    absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = database.backend->OpenSnapshot();
    if (!snapshot.ok()) return At(database, snapshot.status());
    const Lane lane = (*snapshot)->lane();
    database.marked = lane.m_id == AheadOf(found_.m_id);
    if (IsAhead(lane) && !database.marked) {
      return At(database,
                Invalid(absl::StrCat(
                    "it holds copies that were made ahead for another metadata store (", lane.m_id,
                    "): name an empty database; nothing but copies is lost "
                    "when this one is dropped")));
    }
    database.ahead = database.marked || options_.ahead ||
                     std::find(known.begin(), known.end(), database.name) != known.end();
    if (!options_.ahead) continue;
    absl::Status status = CheckMayFill(database, lane);
    if (!status.ok()) return At(database, status);
  }
  return absl::OkStatus();
}

absl::Status Migration::CheckEmpty(const Database& database) const {
  absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = database.backend->OpenSnapshot();
  if (!snapshot.ok()) return snapshot.status();
  std::string key;
  absl::Status status = (*snapshot)->List(Range(), 0, 1, [&](const Row& row) {
    key.assign(row.key);
    return false;
  });
  if (!status.ok() || key.empty()) return status;
  return Invalid(absl::StrCat("it is new to the topology, but holds objects (",
                              absl::CHexEscape(key),
                              ") that are no copies of ours: name an empty one"));
}

// Nobody serves from it, and nobody is about to.
absl::Status Migration::CheckMayFill(const Database& database, const Lane& lane) const {
  if (lane.m_id == AheadOf(found_.m_id)) return absl::OkStatus();
  if (!lane.m_id.empty() && lane.m_id != found_.m_id) {
    return Invalid(
        absl::StrCat("it belongs to the metadata store ", lane.m_id, ": name an empty database"));
  }
  // Of an earlier topology of ours. A start, or a migration, adopts lanes in its new epoch
  // before it says in the metadata store what it does.
  const bool old = lane.epoch < found_.epoch || (lane.epoch == found_.epoch && found_.clean);
  if (!lane.m_id.empty() && !old) {
    return Invalid("an API server or a migration begins to use it at this moment: run again");
  }
  return CheckEmpty(database);
}

// From here on whoever filled it before cannot go on, and no API server takes it.
absl::Status Migration::FillAhead(Database* database) {
  absl::Status status = ChangeLane(*database, [&](LaneTxn& txn) -> absl::Status {
    if (absl::Status may = CheckMayFill(*database, txn.lane()); !may.ok()) return may;
    database->ahead_owner = {AheadOf(found_.m_id), txn.lane().epoch + 1, 0};
    database->raised = txn.lane().head;
    return txn.Adopt(database->ahead_owner, 0);
  });
  if (!status.ok()) return status;
  database->marked = true;
  // Objects come and go only where nothing older than now can be read.
  return ChangeLane(*database, [&](LaneTxn& txn) {
    return txn.RaiseFloor(database->ahead_owner, database->raised);
  });
}

absl::Status Migration::RaiseAhead(Database* database, int64_t rev, int64_t upto) {
  if (database->ahead_owner.m_id.empty() || rev <= database->raised) return absl::OkStatus();
  const LaneOwner& owner = database->ahead_owner;
  absl::Status status = ChangeLane(*database, [&](LaneTxn& txn) { return txn.Void(owner, upto); });
  if (status.ok()) {
    status = ChangeLane(*database, [&](LaneTxn& txn) { return txn.RaiseFloor(owner, upto); });
  }
  if (status.ok()) database->raised = upto;
  return status;
}

// Servers register resources while we run, and may be started with other rules.
absl::Status Migration::CheckStillBeside() {
  absl::StatusOr<MetaState> now = PeekMetadata(metadata_endpoint_, options_.engine);
  if (!now.ok()) return now.status();
  absl::StatusOr<Routes> routes = Routes::FromJson(now->topo);
  if (!routes.ok()) return routes.status();
  if (now->m_id != found_.m_id || routes->migration.phase != Phase::kNone ||
      !SamePlaces(routes->places, old_places_)) {
    return Invalid(
        "a migration has begun, or API servers were started with another topology, since this run "
        "began; look at them and run again if there is still something to copy");
  }
  routes_ = *std::move(routes);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> Migration::Heads() const {
  std::vector<int64_t> heads;
  for (const Database& database : databases_) {
    if (database.ahead) continue;
    absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = database.backend->OpenSnapshot();
    if (!snapshot.ok()) return At(database, snapshot.status());
    heads.push_back((*snapshot)->lane().head);
  }
  return heads;
}

absl::Status Migration::Pass(const std::vector<size_t>& targets) {
  if (absl::Status status = CheckStillBeside(); !status.ok()) return status;
  absl::StatusOr<std::vector<int64_t>> heads = Heads();
  if (!heads.ok()) return heads.status();
  heads_ = *std::move(heads);
  const absl::Time begin = absl::Now();
  const std::string what = absl::StrCat("pass ", passes_.size() + 1, ": comparing");
  Tally tally{what.c_str(), 0, 0};
  for (const PlannedMove& move : planned_) tally.total += move.ahead ? move.objects : 0;
  AheadPass pass;
  for (const size_t target : targets) {
    MirrorCounts& counts = pass.counts;
    if (absl::Status status = MirrorAll(target, tally, &counts); !status.ok()) return status;
  }
  pass.seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  passes_.push_back(pass);
  if (options_.pass_done != nullptr) options_.pass_done(pass);
  return absl::OkStatus();
}

// At most half of the time is spent reading what servers serve from.
absl::Status Migration::WaitForWrites() {
  const absl::Duration pause = std::max(kLeastPause, absl::Seconds(passes_.back().seconds));
  for (;;) {
    for (const absl::Time until = absl::Now() + pause; absl::Now() < until;) {
      if (absl::Status status = Stopped(); !status.ok()) return status;
      absl::SleepFor(kSlice);
    }
    absl::StatusOr<std::vector<int64_t>> heads = Heads();
    if (!heads.ok()) return heads.status();
    if (*heads != heads_) return absl::OkStatus();
  }
}

absl::Status Migration::RunAhead() {
  std::vector<size_t> targets;
  for (size_t i = 0; i < databases_.size(); ++i) {
    const bool gains = std::any_of(misplaced_.begin(), misplaced_.end(), [&](const auto& entry) {
      return entry.first.to == static_cast<int>(i);
    });
    if (!databases_[i].ahead || (!gains && !databases_[i].marked)) continue;
    if (absl::Status status = FillAhead(&databases_[i]); !status.ok()) return status;
    targets.push_back(i);
  }
  if (targets.empty()) return absl::OkStatus();
  for (;;) {
    absl::Status status = Pass(targets);
    if (status.ok() && !options_.follow && LittleIsLeft(passes_)) return status;
    if (status.ok() && options_.follow) status = WaitForWrites();
    if (status.ok()) continue;
    const bool followed = options_.follow && CodeOf(status) == Code::kCancelled;
    if (followed && !passes_.empty()) return absl::OkStatus();
    if (CodeOf(status) != Code::kBusy) return status;
    return MakeStatus(
        Code::kBusy,
        absl::StrCat("another run of `stgctl migrate` has taken over: ", status.message()),
        BackendOf(status));
  }
}

absl::Status Migration::AbortAhead() {
  for (Database& database : databases_) {
    if (!database.marked) continue;
    absl::Status status = FillAhead(&database);
    if (status.ok()) status = ClearCopies(database);
    if (!status.ok()) return status;
    // It belongs to nobody then.
    status = ChangeLane(database, [&](LaneTxn& txn) -> absl::Status {
      const Lane& lane = txn.lane();
      const LaneOwner& owner = database.ahead_owner;
      if (lane.m_id == owner.m_id && lane.epoch == owner.epoch) return txn.Adopt(LaneOwner(), 0);
      return MakeStatus(Code::kBusy, "another run has taken over");
    });
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace storage
