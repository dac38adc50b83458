// What the engine tells about itself, as JSON (docs/metrics.md).
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "src/engine/backends.h"
#include "src/engine/engine_impl.h"

namespace storage {
namespace {

void AddDatabase(const BackendStats& stats, nlohmann::json* out) {
  (*out)["history"] = {{"rows", stats.history_rows}, {"bytes", stats.history_bytes}};
  (*out)["debt_rows"] = stats.debt_rows;
  (*out)["file_bytes"] = stats.file_bytes;
  (*out)["free_bytes"] = stats.free_bytes;
}

nlohmann::json Operations(const OpTimes& times) {
  nlohmann::json out;
  const auto add = [&](const char* name, Operation operation) {
    const OpTimes::Sum& sum = times.of(operation);
    out[name] = {{"count", sum.count.load()},
                 {"seconds_sum", static_cast<double>(sum.ns.load()) / 1e9}};
  };
  add("get", Operation::kGet);
  add("list", Operation::kList);
  add("count", Operation::kCount);
  add("put", Operation::kPut);
  add("delete", Operation::kDelete);
  return out;
}

std::string Dump(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string EngineImpl::CollectionName(const std::string& key_prefix) {
  MutexLock lock(&mu_);
  const auto found = by_prefix_.find(key_prefix);
  if (found == by_prefix_.end()) return key_prefix;
  const std::string& root = entries_[found->second]->resource.root;
  if (root.empty() || !absl::StartsWith(key_prefix, root)) return key_prefix;
  return key_prefix.substr(root.size(), key_prefix.size() - root.size() - 1);
}

std::string EngineImpl::StatsJson() {
  nlohmann::json out = {{"revision", sequencer_->Rev()}, {"backends", nlohmann::json::array()}};
  for (const Part& part : parts_) {
    const LaneStats& lane = part.lane->stats();
    const bool up = CheckBackend(part.name).ok();
    nlohmann::json backend = {
        {"name", part.name},
        {"kind", EndpointKindName(part.endpoint.kind)},
        {"up", up},
        {"head", part.lane->head()},
        {"floor", part.lane->floor()},
        {"epoch", owner_.epoch},
        {"lane",
         {{"batches", lane.batches.load()},
          {"operations", lane.operations.load()},
          {"conflicts", lane.conflicts.load()},
          {"failures", lane.failures.load()},
          {"queue", part.lane->queued()},
          {"commit_seconds_sum", static_cast<double>(lane.commit_us.load()) / 1e6},
          {"commit_count", lane.batches.load()}}},
    };
    backend["operations"] = Operations(lane.times);
    absl::StatusOr<BackendStats> stats = part.backend->Stats();
    if (stats.ok()) {
      AddDatabase(*stats, &backend);
      backend["kinds"] = nlohmann::json::array();
      for (const KindStats& kind : stats->kinds) {
        backend["kinds"].push_back({{"collection", CollectionName(kind.collection)},
                                    {"objects", kind.objects},
                                    {"bytes", kind.bytes}});
      }
    }
    out["backends"].push_back(std::move(backend));
  }
  const Hub::Stats watch = hub_->GetStats();
  out["watch"] = {{"watches", watch.watches},
                  {"ring_bytes", watch.ring_bytes},
                  {"lag_max_revisions", watch.lag_max_revisions},
                  {"lag_max_seconds", watch.lag_max_seconds}};
  return Dump(out);
}

std::string EngineImpl::LayoutJson() {
  nlohmann::json out = {{"metadata", metadata_endpoint_.redacted},
                        {"m_id", owner_.m_id},
                        {"epoch", owner_.epoch},
                        {"backends", nlohmann::json::array()}};
  const std::vector<RememberedPlace> places = PlacesOf(*router_, parts_.back().endpoint);
  for (size_t i = 0; i < parts_.size(); ++i) {
    out["backends"].push_back({{"name", parts_[i].name},
                               {"endpoint", parts_[i].endpoint.redacted},
                               {"kind", places[i].kind},
                               {"match", places[i].match}});
  }
  return Dump(out);
}

}  // namespace storage
