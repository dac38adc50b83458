// The steps of a migration, in their order. Why they can be ended between any two:
// docs/adr/0007-migrate.md.
#include "src/engine/migrate.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/revision/ahead.h"

namespace storage {
namespace {

using Phase = MigrationRecord::Phase;

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
  return MakeStatus(Code::kCancelled,
                    absl::StrCat("stopped; run `stgctl migrate", options_.ahead ? " --ahead" : "",
                                 "` again to go on"));
}

const LaneOwner& Migration::OwnerOf(const Database& database) const {
  return database.ahead_owner.m_id.empty() ? owner_ : database.ahead_owner;
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
  if (status.ok()) status = migration->FindAhead();
  if (!status.ok()) return status;
  if (!migration->options_.ahead) {
    absl::StatusOr<StartPlan> plan = migration->Plan();
    if (!plan.ok()) return plan.status();
    migration->plan_ = *std::move(plan);
  }
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

absl::Status Migration::AdoptOne(size_t database, int64_t jump_to, bool* moved_on) {
  const Database& of = databases_[database];
  return ChangeLane(of, [&](LaneTxn& txn) -> absl::Status {
    *moved_on |= txn.lane().ver != of.ver;
    // Its rows would be taken for objects from here on.
    if (IsAhead(txn.lane()) && !of.ahead) {
      return MakeStatus(Code::kUnavailable,
                        "copies were made ahead while the migration began: run it again");
    }
    if (txn.lane().head < rev_) return txn.Adopt(owner_, jump_to);
    return MakeStatus(Code::kUnavailable,
                      absl::StrCat("an API server wrote revision ", txn.lane().head,
                                   " while the migration began: stop it and run again"));
  });
}

// Fences every lane, as the start of an API server does: from here on nobody else can
// write. *moved_on: somebody did since Open. Not those that were filled ahead: their mark is
// all that tells what is in them, until it is announced.
absl::Status Migration::Adopt(bool* moved_on) {
  for (size_t i = 0; i < databases_.size(); ++i) {
    if (databases_[i].ahead) continue;
    absl::Status status = AdoptOne(i, plan_.adopt_jump[i], moved_on);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Migration::RaiseLane(const Database& database) {
  absl::Status status = ChangeLane(database, [&](LaneTxn& txn) { return txn.Void(owner_, rev_); });
  if (!status.ok()) return status;
  return ChangeLane(database, [&](LaneTxn& txn) { return txn.RaiseFloor(owner_, rev_); });
}

// Whoever still fills them is fenced by this. Their heads are those of the others, at most.
absl::Status Migration::AdoptArrived() {
  for (size_t i = 0; i < databases_.size(); ++i) {
    if (!databases_[i].ahead) continue;
    bool moved_on = false;  // they are compared as a whole
    absl::Status status = AdoptOne(i, 0, &moved_on);
    if (status.ok()) status = RaiseLane(databases_[i]);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Everything is ours then, and nothing older than now can be read, so that no resource
// version of before is served from a database that has only half of its history.
absl::Status Migration::Start() {
  absl::Status status = Durable([&]() -> absl::Status {
    absl::StatusOr<int64_t> epoch = metadata_->Start();
    if (epoch.ok()) owner_.epoch = *epoch;
    return epoch.status();
  });
  if (!status.ok()) return status;
  owner_.m_id = found_.m_id;
  owner_.gen = std::max<int64_t>(1, found_.topo_version + (resumes() ? 0 : 1));
  rev_ = plan_.jump ? plan_.rev : plan_.rev + 1;
  bool moved_on = false;
  status = Adopt(&moved_on);
  if (status.ok()) status = Durable([&] { return metadata_->Reserve(rev_, {}); });
  for (const Database& database : databases_) {
    if (status.ok() && !database.ahead) status = RaiseLane(database);
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

bool Migration::HasCopies() const {
  return std::any_of(databases_.begin(), databases_.end(),
                     [](const Database& database) { return database.marked; });
}

absl::Status Migration::Announce() {
  if (!resumes()) return Remember(routes_.places, NewRecord());
  MigrationRecord more = record();
  for (const Database& database : databases_) {
    const bool known =
        std::find(more.ahead.begin(), more.ahead.end(), database.name) != more.ahead.end();
    if (database.ahead && !known) more.ahead.push_back(database.name);
  }
  if (more.ahead == record().ahead) return absl::OkStatus();
  return Remember(routes_.places, std::move(more));
}

absl::Status Migration::Run() {
  if (options_.ahead) return RunAhead();
  if (!resumes() && planned_.empty() && !HasCopies()) return absl::OkStatus();
  absl::Status status = Start();
  if (status.ok()) status = Announce();
  if (status.ok() && record().phase == Phase::kCopy) {
    status = AdoptArrived();
    if (status.ok()) status = Copy();
    if (status.ok()) status = MirrorCopies();
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

}  // namespace storage
