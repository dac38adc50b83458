// stgctl stats: what the databases hold, read without a lock.
#include "absl/strings/str_cat.h"
#include "src/backend/sqlite/sqlite.h"
#include "src/engine/backends.h"
#include "tools/stgctl/commands.h"

namespace storage::stgctl {
namespace {

struct Found {
  Lane lane;
  BackendStats stats;
  absl::Status error;
};

Found Inspect(const Place& place) {
  Found found;
  if (place.endpoint.kind != EndpointKind::kSqlite) {
    found.error = MakeStatus(
        Code::kUnimplemented,
        absl::StrCat(EndpointKindName(place.endpoint.kind), " is not supported in this build yet"));
    return found;
  }
  absl::StatusOr<std::unique_ptr<Backend>> backend =
      OpenForInspection(place.name, place.endpoint.path);
  if (!backend.ok()) {
    found.error = backend.status();
    return found;
  }
  absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = (*backend)->OpenSnapshot();
  absl::StatusOr<BackendStats> stats = (*backend)->Stats();
  found.error = snapshot.ok() ? stats.status() : snapshot.status();
  if (!found.error.ok()) return found;
  found.lane = (*snapshot)->lane();
  found.stats = *std::move(stats);
  return found;
}

nlohmann::json ToJson(const Place& place, const Found& found) {
  nlohmann::json out = {
      {"name", place.name}, {"endpoint", place.endpoint.redacted}, {"match", place.match}};
  if (!found.error.ok()) {
    out["error"] = std::string(found.error.message());
    return out;
  }
  out["kinds"] = nlohmann::json::array();
  int64_t objects = 0, bytes = 0;
  for (const KindStats& kind : found.stats.kinds) {
    out["kinds"].push_back(
        {{"collection", kind.collection}, {"objects", kind.objects}, {"bytes", kind.bytes}});
    objects += kind.objects;
    bytes += kind.bytes;
  }
  out["objects"] = objects;
  out["bytes"] = bytes;
  out["history"] = {{"rows", found.stats.history_rows}, {"bytes", found.stats.history_bytes}};
  out["debtRows"] = found.stats.debt_rows;
  out["fileBytes"] = found.stats.file_bytes;
  out["freeBytes"] = found.stats.free_bytes;
  out["head"] = found.lane.head;
  out["floor"] = found.lane.floor;
  return out;
}

void PrintText(const Context& context, const nlohmann::json& backends) {
  Table summary({"DATABASE", "OBJECTS", "BYTES", "HISTORY", "HISTORY BYTES", "DEBT", "FILE", "FREE",
                 "HEAD", "FLOOR"});
  Table kinds({"DATABASE", "KIND", "OBJECTS", "BYTES"});
  bool any_kind = false;
  auto human = [](const nlohmann::json& bytes) { return HumanBytes(bytes.get<int64_t>()); };
  for (const nlohmann::json& b : backends) {
    const std::string name = b["name"];
    if (b.contains("error")) {
      summary.Add({name, "-", "-", "-", "-", "-", "-", "-", "-", "-"});
      continue;
    }
    summary.Add({name, b["objects"].dump(), human(b["bytes"]), b["history"]["rows"].dump(),
                 human(b["history"]["bytes"]), b["debtRows"].dump(), human(b["fileBytes"]),
                 human(b["freeBytes"]), b["head"].dump(), b["floor"].dump()});
    for (const nlohmann::json& kind : b["kinds"]) {
      if (kind["objects"] == 0) continue;
      kinds.Add({name, kind["collection"], kind["objects"].dump(), human(kind["bytes"])});
      any_kind = true;
    }
  }
  summary.Print(context.out);
  if (!any_kind) return;
  *context.out << "\n";
  kinds.Print(context.out);
}

}  // namespace

int RunStats(const Context& context, const PlaceFlags& flags) {
  absl::StatusOr<Places> places = ResolvePlaces(flags);
  if (!places.ok()) return Fail(context, places.status());
  nlohmann::json backends = nlohmann::json::array();
  std::vector<absl::Status> errors;
  for (const Place& place : places->backends) {
    Found found = Inspect(place);
    if (!found.error.ok()) {
      errors.push_back(
          MakeStatus(CodeOf(found.error), std::string(found.error.message()), place.name));
    }
    backends.push_back(ToJson(place, found));
  }
  if (context.json) {
    PrintJson(context, {{"databases", backends}});
  } else {
    PrintText(context, backends);
  }
  for (const absl::Status& error : errors) Fail(context, error);
  return errors.empty() ? kExitOk : kExitError;
}

}  // namespace storage::stgctl
