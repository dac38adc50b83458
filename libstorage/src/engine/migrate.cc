// The steps of a migration, in their order. Why they can be ended between any two:
// docs/adr/0007-migrate.md.
#include "src/engine/migrate.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace storage {
namespace {

using Phase = MigrationRecord::Phase;

constexpr int64_t kHistoryRows = 1000;

}  // namespace

std::string Migration::Database::label() const {
  const std::string what =
      rule == nullptr && name == "default" ? "the default database" : "\"" + name + "\"";
  return absl::StrCat(what, " (", endpoint.redacted, ")");
}

absl::Status Migration::At(const Database& database, const absl::Status& status) const {
  if (status.ok()) return status;
  return MakeStatus(CodeOf(status), absl::StrCat(database.label(), ": ", status.message()),
                    database.name, DriverCodeOf(status));
}

absl::Status Migration::Stopped() const {
  if (options_.stop == nullptr || !options_.stop()) return absl::OkStatus();
  return MakeStatus(Code::kCancelled, "stopped; run `stgctl migrate` again to go on");
}

absl::Status Migration::Durable(const std::function<absl::Status()>& step) {
  const auto& hook = options_.step_for_test;
  absl::Status status = hook == nullptr ? absl::OkStatus() : hook();
  if (status.ok()) status = step();
  if (status.ok() && hook != nullptr) status = hook();
  return status;
}

absl::StatusOr<std::unique_ptr<Migration>> Migration::Open(MigrateOptions options) {
  std::unique_ptr<Migration> migration(new Migration(std::move(options)));
  absl::Status status = migration->OpenMetadataStore();
  if (status.ok()) status = migration->CheckTarget();
  if (status.ok()) status = migration->OpenDatabases();
  if (!status.ok()) return status;
  absl::StatusOr<StartPlan> plan = migration->Plan();
  if (!plan.ok()) return plan.status();
  migration->plan_ = *std::move(plan);
  status = migration->Survey();
  if (!status.ok()) return status;
  return migration;
}

absl::Status Migration::Remember(std::vector<RememberedPlace> places, MigrationRecord record) {
  routes_.places = std::move(places);
  routes_.migration = std::move(record);
  return Durable([&] { return metadata_->SetTopology(owner_.gen, routes_.ToJson()); });
}

absl::Status Migration::ChangeLane(const Database& database,
                                   const std::function<absl::Status(LaneTxn&)>& body) {
  const absl::Status done = Durable([&]() -> absl::Status {
    absl::StatusOr<std::unique_ptr<LaneTxn>> txn = database.backend->BeginLane();
    if (!txn.ok()) return txn.status();
    const absl::Status decided = body(**txn);
    return decided.ok() ? (*txn)->Commit() : decided;
  });
  return At(database, done);
}

// Fences every lane, as the start of an API server does: from here on nobody else can
// write. *moved_on: somebody did since Open.
absl::Status Migration::Adopt(bool* moved_on) {
  for (size_t i = 0; i < databases_.size(); ++i) {
    const Database& database = databases_[i];
    const absl::Status status = ChangeLane(database, [&](LaneTxn& txn) -> absl::Status {
      *moved_on |= txn.lane().ver != database.ver;
      if (txn.lane().head < rev_) return txn.Adopt(owner_, plan_.adopt_jump[i]);
      return MakeStatus(Code::kUnavailable,
                        absl::StrCat("an API server wrote revision ", txn.lane().head,
                                     " while the migration began: stop it and run again"));
    });
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Everything is ours then, and nothing older than now can be read, so that no resource
// version of before is served from a database that has only half of its history.
absl::Status Migration::Start() {
  const MetaState& found = metadata_->found();
  absl::Status status = Durable([&]() -> absl::Status {
    absl::StatusOr<int64_t> epoch = metadata_->Start();
    if (epoch.ok()) owner_.epoch = *epoch;
    return epoch.status();
  });
  if (!status.ok()) return status;
  owner_.m_id = found.m_id;
  owner_.gen = std::max<int64_t>(1, found.topo_version + (resumes() ? 0 : 1));
  rev_ = plan_.jump ? plan_.rev : plan_.rev + 1;
  bool moved_on = false;
  status = Adopt(&moved_on);
  if (status.ok()) status = Durable([&] { return metadata_->Reserve(rev_, {}); });
  for (size_t i = 0; i < databases_.size() && status.ok(); ++i) {
    status = ChangeLane(databases_[i], [&](LaneTxn& txn) { return txn.Void(owner_, rev_); });
    if (!status.ok()) break;
    status = ChangeLane(databases_[i], [&](LaneTxn& txn) { return txn.RaiseFloor(owner_, rev_); });
  }
  return status.ok() && moved_on && !resumes() ? SurveyAgain() : status;
}

// A server that had lost its claim, or never needed one (etcd), wrote until it was fenced.
absl::Status Migration::SurveyAgain() {
  misplaced_.clear();
  native_.clear();
  planned_.clear();
  return Survey();
}

absl::Status Migration::Run() {
  if (!resumes() && planned_.empty()) return absl::OkStatus();
  absl::Status status = Start();
  if (status.ok() && !resumes()) status = Remember(routes_.places, NewRecord());
  if (status.ok() && record().phase == Phase::kCopy) {
    status = Copy();
    if (status.ok()) status = Verify();
    if (!status.ok()) return status;
    MigrationRecord discard;
    discard.phase = Phase::kDiscard;
    discard.others = routes_.places;
    status = Remember(new_places_, std::move(discard));
  }
  if (status.ok()) status = Discard();
  if (status.ok()) status = DropHistory();
  return status.ok() ? Finish() : status;
}

absl::Status Migration::Copy() {
  int64_t done = 0, total = 0;
  for (const PlannedMove& move : planned_) total += move.objects;
  for (const auto& [move, sum] : misplaced_) {
    const int from = move.from, only_to = move.to, resource = move.resource;
    const std::string& collection = routes_.resources[resource].key_prefix;
    absl::Status status = ForEachMisplaced(from, resource, [&](int to, const RowBatch& rows) {
      if (to != only_to) return absl::OkStatus();  // it has an entry of its own
      Backend* const target = databases_[to].backend.get();
      return ForEachBatch(target->limits(), rows, [&](const RowBatch& batch) -> absl::Status {
        const absl::Status copied =
            Durable([&] { return ImportBatch(target, owner_, collection, batch); });
        done += static_cast<int64_t>(batch.size());
        if (options_.progress != nullptr) options_.progress("copying", done, total);
        return At(databases_[to], copied);
      });
    });
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Migration::Discard() {
  int64_t done = 0, total = 0;
  for (const PlannedMove& move : planned_) total += move.objects;
  for (const auto& [move, sum] : misplaced_) {
    const int from = move.from, only_to = move.to, resource = move.resource;
    const std::string& collection = routes_.resources[resource].key_prefix;
    absl::Status status = ForEachMisplaced(from, resource, [&](int to, const RowBatch& rows) {
      if (to != only_to) return absl::OkStatus();
      Backend* const source = databases_[from].backend.get();
      absl::Status copied = CheckCopies(from, to, rows);
      if (!copied.ok()) return copied;
      return ForEachBatch(source->limits(), rows, [&](const RowBatch& batch) -> absl::Status {
        const absl::Status gone =
            Durable([&] { return DiscardBatch(source, owner_, collection, batch); });
        done += static_cast<int64_t>(batch.size());
        if (options_.progress != nullptr) options_.progress("discarding", done, total);
        return At(databases_[from], gone);
      });
    });
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Old values in the undo logs are copies too: all of them are below the floors.
absl::Status Migration::DropHistory() {
  for (Database& database : databases_) {
    for (;;) {
      if (absl::Status status = Stopped(); !status.ok()) return status;
      absl::StatusOr<int64_t> gone = database.backend->DeleteHistory(kHistoryRows);
      if (!gone.ok()) return At(database, gone.status());
      if (*gone == 0) break;
    }
    // etcd forgets with it what was deleted; space is given back by the API server.
    absl::StatusOr<bool> upkeep = database.backend->Maintain(true);
    if (!upkeep.ok()) return At(database, upkeep.status());
  }
  return absl::OkStatus();
}

absl::Status Migration::Finish() {
  routes_.objects.clear();
  for (const Database& database : databases_) {
    if (!database.in_new) continue;
    absl::StatusOr<BackendStats> stats = database.backend->Stats();
    if (!stats.ok()) return At(database, stats.status());
    int64_t objects = 0;
    for (const KindStats& kind : stats->kinds) objects += kind.objects;
    routes_.objects[database.name] = objects;
  }
  // The marks first: with the new places remembered, a start goes by the new names.
  absl::Status status = Durable([&] { return metadata_->Reserve(rev_, Marks(true)); });
  if (status.ok()) status = Remember(new_places_, MigrationRecord());
  if (!status.ok()) return status;
  return Durable([&] { return metadata_->Finish(rev_, Marks(true)); });
}

absl::Status Migration::Abort() {
  if (record().phase != Phase::kCopy) {
    return MakeStatus(Code::kInvalid,
                      resumes() ? "everything has arrived, and old copies are being removed: run "
                                  "the migration to its end without --abort; then it can be "
                                  "migrated back"
                                : "no migration is in progress, so there is nothing to abort");
  }
  absl::Status status = Start();
  for (const auto& [move, sum] : misplaced_) {
    if (!status.ok()) return status;
    const int from = move.from, only_to = move.to, resource = move.resource;
    const std::string& collection = routes_.resources[resource].key_prefix;
    status = ForEachMisplaced(from, resource, [&](int to, const RowBatch& rows) -> absl::Status {
      if (to != only_to) return absl::OkStatus();
      Backend* const target = databases_[to].backend.get();
      RowBatch copies;
      absl::Status looked = LookUp(target, rows, [&](size_t i, const ObjectMeta& meta) {
        if (meta.create_rev == rows[i]->meta.create_rev) copies.push_back(rows[i]);
      });
      if (!looked.ok()) return At(databases_[to], looked);
      return ForEachBatch(target->limits(), copies, [&](const RowBatch& batch) -> absl::Status {
        return At(databases_[to],
                  Durable([&] { return DiscardBatch(target, owner_, collection, batch); }));
      });
    });
  }
  if (status.ok()) status = Remember(routes_.places, MigrationRecord());
  if (!status.ok()) return status;
  return Durable([&] { return metadata_->Finish(rev_, Marks(false)); });
}

}  // namespace storage
