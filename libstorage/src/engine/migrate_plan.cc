// How a migration takes the lanes over: as the start of an API server does, with marks that
// go by the names of rules.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/engine/migrate.h"

namespace storage {

// Marks are kept by name, and names change hands: by the name that the database had,
// unless another one of ours has that mark, else by its identity. "" = none.
std::string Migration::MarkOf(const Database& database) const {
  const auto& marks = found_.backends;
  const auto of_other = [&](const std::string& identity) {
    return std::any_of(databases_.begin(), databases_.end(), [&](const Database& other) {
      return &other != &database && other.backend->identity() == identity;
    });
  };
  if (database.old_place >= 0) {
    const std::string& name = old_places_[database.old_place].name;
    const auto mark = marks.find(name);
    if (mark == marks.end() || !of_other(mark->second.identity)) return name;
  }
  for (const auto& [name, mark] : marks) {
    if (mark.identity == database.backend->identity()) return name;
  }
  return "";
}

std::map<std::string, BackendMark> Migration::Marks(bool of_new) const {
  std::map<std::string, BackendMark> marks;
  for (const Database& database : databases_) {
    const std::string name = of_new ? database.name : MarkOf(database);
    if (of_new && !database.in_new) {
      // Its name may come to mean another database one day.
      marks.emplace(name, BackendMark{});
    } else if (!name.empty()) {
      marks[name] = {database.backend->identity(), rev_};
    }
  }
  return marks;
}

absl::StatusOr<StartPlan> Migration::Plan() {
  StartFacts facts;
  facts.meta = found_;
  facts.unix_seconds = absl::ToUnixSeconds(absl::Now());
  for (Database& database : databases_) {
    absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = database.backend->OpenSnapshot();
    if (!snapshot.ok()) return At(database, snapshot.status());
    database.ver = (*snapshot)->lane().ver;
    absl::StatusOr<BackendStats> stats = database.backend->Stats();
    if (!stats.ok()) return At(database, stats.status());
    LaneFacts lane;
    // No mark has a name like this.
    const std::string mark = MarkOf(database);
    lane.name = mark.empty() ? absl::StrCat("new ", database.label()) : mark;
    lane.place = database.label();
    lane.identity = database.backend->identity();
    lane.lane = (*snapshot)->lane();
    if (database.marked) {  // that a database is new counts, not who filled it
      lane.lane.m_id.clear();
      lane.lane.epoch = 0;
    }
    lane.durable = database.backend->durable();
    for (const KindStats& kind : stats->kinds) lane.empty &= kind.objects == 0;
    facts.lanes.push_back(std::move(lane));
  }
  return PlanStart(facts);
}

}  // namespace storage
