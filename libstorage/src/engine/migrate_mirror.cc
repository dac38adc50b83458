// Databases that hold copies and nothing else: made equal to what belongs in them.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "src/engine/migrate.h"

namespace storage {

Mirror::Env Migration::EnvOf(size_t target, int resource) {
  Mirror::Env env;
  Database& to = databases_[target];
  env.target = {to.backend.get(), to.label()};
  env.owner = OwnerOf(to);
  env.collection = routes_.resources[resource].key_prefix;
  env.owned = [this, resource](const std::string& key) { return Owns(resource, key); };
  env.here = [this, resource, target](const std::string& key) {
    return Owns(resource, key) && TargetOf(resource, key) == static_cast<int>(target);
  };
  env.step = [this](const std::function<absl::Status()>& step) { return Durable(step); };
  env.raise = [this, &to](int64_t rev, int64_t upto) { return RaiseAhead(&to, rev, upto); };
  const std::vector<int> reach = router_->Reach(routes_.resources[resource]);
  // Otherwise whatever is there goes.
  if (std::find(reach.begin(), reach.end(), static_cast<int>(target)) != reach.end()) {
    for (const Database& from : databases_) {
      if (!from.ahead) env.sources.push_back({from.backend.get(), from.label()});
    }
  }
  return env;
}

absl::Status Migration::MirrorAll(size_t target, const Tally& tally, MirrorCounts* counts) {
  for (int resource = 0; resource < static_cast<int>(routes_.resources.size()); ++resource) {
    Mirror::Env env = EnvOf(target, resource);
    env.page = [&] {
      if (options_.progress != nullptr) {
        options_.progress(tally.what, tally.done + counts->rows, tally.total);
      }
      return Stopped();
    };
    if (absl::Status status = Mirror(std::move(env), counts).Run(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// The difference since the last pass ahead. It is not large, so what is the same is most
// of it: all of that is compared byte by byte, and read back once more by the verification.
absl::Status Migration::MirrorCopies() {
  Tally tally{"comparing", 0, 0};
  for (const PlannedMove& move : planned_) tally.total += move.ahead ? move.objects : 0;
  for (size_t i = 0; i < databases_.size(); ++i) {
    if (!databases_[i].ahead) continue;
    MirrorCounts counts;
    if (absl::Status status = MirrorAll(i, tally, &counts); !status.ok()) return status;
    tally.done += counts.rows;
    Logger* const logger = options_.engine.logger;
    if (counts.repaired == 0 || logger == nullptr) continue;
    logger->Log(LogLevel::kWarning,
                absl::StrCat(databases_[i].label(), ": ", counts.repaired,
                             " of the copies that were made ahead had changed since, and were "
                             "made again: look at its disk"));
  }
  return absl::OkStatus();
}

}  // namespace storage
