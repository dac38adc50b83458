// What goes from one database to another, and what goes away.
#include <set>
#include <utility>

#include "src/engine/migrate.h"

namespace storage {
namespace {

using Phase = MigrationRecord::Phase;

constexpr int64_t kHistoryRows = 1000;

}  // namespace

absl::Status Migration::ForEachMisplaced(int from, int resource, const RowsFrom& body) {
  Database& source = databases_[from];
  Pages pages(source.backend.get(), RangeUnder(routes_.resources[resource].key_prefix));
  std::vector<OwnedRow> page;
  for (;;) {
    if (absl::Status status = Stopped(); !status.ok()) return status;
    absl::StatusOr<bool> more = pages.Next(&page);
    if (!more.ok()) return At(source, more.status());
    if (!*more) return absl::OkStatus();
    std::map<int, RowBatch> by_target;
    for (const OwnedRow& row : page) {
      if (!Owns(resource, row.key)) continue;
      const int to = TargetOf(resource, row.key);
      if (to != from) by_target[to].push_back(&row);
    }
    for (const auto& [to, rows] : by_target) {
      if (absl::Status status = body(to, rows); !status.ok()) return status;
    }
  }
}

// Each page is read once, however many databases its rows go to.
absl::Status Migration::ForEachMove(const MoveBody& body) {
  std::set<std::pair<int, int>> walks;
  for (const auto& [move, sum] : misplaced_) walks.emplace(move.from, move.resource);
  for (const auto& [from, resource] : walks) {
    const int of = from, what = resource;
    const absl::Status status =
        ForEachMisplaced(of, what, [&](int to, const RowBatch& rows) -> absl::Status {
          return body({of, to, what}, rows);
        });
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Migration::InBatches(const Database& of, const RowBatch& rows, const Change& change,
                                  Tally* tally) {
  return ForEachBatch(of.backend->limits(), rows, [&](const RowBatch& batch) -> absl::Status {
    const absl::Status changed = Durable([&] { return change(of, batch); });
    tally->done += static_cast<int64_t>(batch.size());
    if (tally->what != nullptr && options_.progress != nullptr) {
      options_.progress(tally->what, tally->done, tally->total);
    }
    return At(of, changed);
  });
}

Migration::Tally Migration::TallyOf(const char* what) const {
  Tally tally{what, 0, 0};
  for (const PlannedMove& move : planned_) tally.total += move.objects;
  return tally;
}

// What was copied ahead of it is compared, not copied: MirrorCopies.
absl::Status Migration::Copy() {
  Tally tally{"copying", 0, 0};
  for (const PlannedMove& move : planned_) tally.total += move.ahead ? 0 : move.objects;
  if (tally.total == 0) return absl::OkStatus();
  return ForEachMove([&](const MoveKey& move, const RowBatch& rows) {
    if (databases_[move.to].ahead) return absl::OkStatus();
    const std::string& collection = routes_.resources[move.resource].key_prefix;
    const Change import = [&](const Database& target, const RowBatch& batch) {
      return ImportBatch(target.backend.get(), owner_, collection, batch);
    };
    return InBatches(databases_[move.to], rows, import, &tally);
  });
}

absl::Status Migration::Discard() {
  Tally tally = TallyOf("discarding");
  return ForEachMove([&](const MoveKey& move, const RowBatch& rows) -> absl::Status {
    if (absl::Status copied = CheckCopies(move.from, move.to, rows); !copied.ok()) return copied;
    return InBatches(databases_[move.from], rows, DiscardOf(move.resource), &tally);
  });
}

Migration::Change Migration::DiscardOf(int resource) const {
  return [this, resource](const Database& of, const RowBatch& batch) {
    return DiscardBatch(of.backend.get(), OwnerOf(of), routes_.resources[resource].key_prefix,
                        batch);
  };
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

// Of a database that holds nothing else.
absl::Status Migration::ClearCopies(const Database& database) {
  Tally tally;
  for (int resource = 0; resource < static_cast<int>(routes_.resources.size()); ++resource) {
    Pages pages(database.backend.get(), RangeUnder(routes_.resources[resource].key_prefix));
    for (std::vector<OwnedRow> page;;) {
      absl::Status status = Stopped();
      if (!status.ok()) return status;
      absl::StatusOr<bool> more = pages.Next(&page);
      if (!more.ok()) return At(database, more.status());
      if (!*more) break;
      RowBatch rows;
      for (const OwnedRow& row : page) {
        if (Owns(resource, row.key)) rows.push_back(&row);
      }
      status = InBatches(database, rows, DiscardOf(resource), &tally);
      if (!status.ok()) return status;
    }
  }
  return At(database, CheckEmpty(database));
}

absl::Status Migration::Abort() {
  if (!resumes() && HasCopies()) return AbortAhead();
  if (options_.ahead) return MakeStatus(Code::kInvalid, "nothing was copied ahead");
  if (record().phase != Phase::kCopy) {
    return MakeStatus(Code::kInvalid,
                      resumes() ? "everything has arrived, and old copies are being removed: run "
                                  "the migration to its end without --abort; then it can be "
                                  "migrated back"
                                : "no migration is in progress, so there is nothing to abort");
  }
  absl::Status status = Start();
  if (status.ok()) status = AdoptArrived();
  for (const Database& database : databases_) {
    if (status.ok() && database.ahead) status = ClearCopies(database);
  }
  if (status.ok()) {
    Tally tally;
    status = ForEachMove([&](const MoveKey& move, const RowBatch& rows) -> absl::Status {
      const Database& target = databases_[move.to];
      if (target.ahead) return absl::OkStatus();
      RowBatch copies;
      absl::Status looked =
          LookUp(target.backend.get(), rows, [&](size_t i, const ObjectMeta& meta) {
            if (meta.create_rev == rows[i]->meta.create_rev) copies.push_back(rows[i]);
          });
      if (!looked.ok()) return At(target, looked);
      return InBatches(target, copies, DiscardOf(move.resource), &tally);
    });
  }
  if (status.ok()) status = Remember(routes_.places, MigrationRecord());
  if (!status.ok()) return status;
  return Durable([&] { return metadata_->Finish(rev_, Marks(false)); });
}

}  // namespace storage
