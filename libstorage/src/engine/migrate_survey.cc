// What lies where, what of it belongs elsewhere, and whether it can go there.
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "src/engine/migrate.h"

namespace storage {
namespace {

using Phase = MigrationRecord::Phase;

absl::Status Invalid(const std::string& message) { return MakeStatus(Code::kInvalid, message); }

}  // namespace

int Migration::TargetOf(int resource, std::string_view key) const {
  return router_->Route(routes_.resources[resource], key);
}

bool Migration::Owns(int resource, std::string_view key) const {
  const std::string& prefix = routes_.resources[resource].key_prefix;
  for (const Resource& other : routes_.resources) {
    if (other.key_prefix.size() > prefix.size() && key.starts_with(other.key_prefix)) return false;
  }
  return true;
}

absl::Status Migration::Survey() {
  const int resources = static_cast<int>(routes_.resources.size());
  for (int i = 0; i < static_cast<int>(databases_.size()); ++i) {
    for (int resource = 0; resource < resources; ++resource) {
      if (absl::Status status = SurveyOne(i, resource); !status.ok()) return status;
    }
  }
  std::map<int, int64_t> seen;
  for (const auto& [move, sum] : misplaced_) {
    const auto& [from, to, resource] = move;
    seen[from] += sum.objects;
    planned_.push_back({databases_[from].label(), databases_[to].label(),
                        routes_.resources[resource].key_prefix, sum.objects, sum.bytes,
                        databases_[to].ahead});
  }
  for (int i = 0; i < static_cast<int>(databases_.size()); ++i) {
    if (databases_[i].in_new || options_.ahead) continue;  // servers write on
    if (absl::Status status = CheckLeftOut(databases_[i], seen[i]); !status.ok()) return status;
  }
  return record().phase == Phase::kNone ? CheckArrival() : absl::OkStatus();
}

absl::Status Migration::SurveyOne(int database, int resource) {
  Database& of = databases_[database];
  if (of.ahead) return absl::OkStatus();  // copies, of whatever
  Pages pages(of.backend.get(), RangeUnder(routes_.resources[resource].key_prefix));
  std::vector<OwnedRow> page;
  for (;;) {
    if (absl::Status status = Stopped(); !status.ok()) return status;
    absl::StatusOr<bool> more = pages.Next(&page);
    if (!more.ok()) return At(of, more.status());
    if (!*more) return absl::OkStatus();
    for (const OwnedRow& row : page) {
      if (!Owns(resource, row.key)) continue;
      const int to = TargetOf(resource, row.key);
      if (to == database) {
        native_[{database, resource}].Add(row);
      } else {
        misplaced_[{database, to, resource}].Add(row);
      }
    }
  }
}

// A key that no resource has goes nowhere, and nobody would see it again.
absl::Status Migration::CheckLeftOut(const Database& database, int64_t seen) const {
  absl::StatusOr<BackendStats> stats = database.backend->Stats();
  if (!stats.ok()) return At(database, stats.status());
  int64_t objects = 0;
  for (const KindStats& kind : stats->kinds) objects += kind.objects;
  if (objects == seen) return absl::OkStatus();
  return At(database, Invalid(absl::StrCat(
                          "it holds ", objects, " objects, ", objects - seen,
                          " of them of resources that no API server has served yet, so that it is "
                          "not known where they belong. Start the API server with the topology of "
                          "before, list those resources once (custom ones, mostly), and stop it")));
}

absl::Status Migration::CheckDurable(const Database& target) const {
  if (target.endpoint.kind == EndpointKind::kSqlite || target.backend->durable()) {
    return absl::OkStatus();
  }
  return At(target, Invalid("it is set to lose its last commits when power fails, and the old "
                            "copy goes when it has the new one: set it to be durable, and "
                            "start the API server once with the topology of before"));
}

// Nothing may be overwritten, and nothing come to light that was not there before.
absl::Status Migration::CheckArrival() {
  for (const auto& [move, sum] : misplaced_) {
    const auto& [from, to, resource] = move;
    const Database& target = databases_[to];
    if (absl::Status status = CheckDurable(target); !status.ok()) return status;
    if (target.ahead || options_.ahead) continue;
    const auto native = native_.find({to, resource});
    if (native == native_.end()) continue;
    if (target.old_place < 0) {
      return At(target, Invalid(absl::StrCat(
                            "it was no part of the topology, but holds ", native->second.objects,
                            " objects of ", routes_.resources[resource].key_prefix,
                            " that would appear beside those that move; name an empty database")));
    }
    if (absl::Status status = CheckNoneThere(from, resource); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Migration::CheckNoneThere(int from, int resource) {
  return ForEachMisplaced(from, resource, [&](int to, const RowBatch& rows) -> absl::Status {
    if (databases_[to].ahead) return absl::OkStatus();
    int64_t twice = 0;
    std::string example;
    absl::Status status =
        LookUp(databases_[to].backend.get(), rows, [&](size_t i, const ObjectMeta&) {
          if (twice++ == 0) example = rows[i]->key;
        });
    if (!status.ok() || twice == 0) return At(databases_[to], status);
    return At(databases_[to],
              Invalid(absl::StrCat("the object ", absl::CHexEscape(example), " is in ",
                                   databases_[from].label(),
                                   " too, and it is not known which one is right: delete one of "
                                   "the two with the database's own tools")));
  });
}

MigrationRecord Migration::NewRecord() const {
  MigrationRecord record;
  record.phase = Phase::kCopy;
  record.others = new_places_;
  std::map<std::pair<int, int>, Sum> expected;
  for (const auto& [move, sum] : misplaced_) {
    const auto& [from, to, resource] = move;
    auto [at, fresh] = expected.emplace(std::pair(to, resource), Sum());
    const auto native = native_.find({to, resource});
    if (fresh && native != native_.end()) at->second.Add(native->second);
    at->second.Add(sum);
  }
  // Of what was copied ahead for another topology nothing may stay.
  for (size_t i = 0; i < databases_.size(); ++i) {
    if (!databases_[i].ahead) continue;
    record.ahead.push_back(databases_[i].name);
    for (size_t resource = 0; resource < routes_.resources.size(); ++resource) {
      expected.emplace(std::pair(static_cast<int>(i), static_cast<int>(resource)), Sum());
    }
  }
  for (const auto& [where, sum] : expected) {
    record.expected.push_back({databases_[where.first].name,
                               routes_.resources[where.second].key_prefix, sum.objects, sum.hash});
  }
  return record;
}

}  // namespace storage
