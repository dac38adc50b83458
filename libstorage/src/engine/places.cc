// Where the databases of an engine come from, for messages, and that no two of
// them are one file.
#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "src/engine/backends.h"
#include "src/engine/engine_impl.h"

namespace storage {
namespace {

absl::Status Prefixed(const std::string& place, const std::string& backend,
                      const absl::Status& status, const char* more = "") {
  return MakeStatus(CodeOf(status), absl::StrCat(place, ": ", status.message(), more), backend,
                    DriverCodeOf(status));
}

// A flag that was not given still has a value.
std::string Flag(const char* flag, bool given, const Endpoint& endpoint) {
  return given ? flag : absl::StrCat(flag, " (not given: ", endpoint.redacted, ")");
}

}  // namespace

std::string RealPath(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  if (error) return path;
  const std::filesystem::path real = std::filesystem::weakly_canonical(absolute, error);
  return error ? absolute.string() : real.string();
}

std::string EngineImpl::TopologyFile() const {
  if (!options_.topology_path.empty()) return options_.topology_path;
  return options_.topology_text.empty() ? "--topology-config (not given)" : "topology";
}

std::string EngineImpl::PlaceOf(const Part& part) const {
  if (part.rule == nullptr) {
    return Flag("--etcd-servers", !options_.default_endpoint.empty(), part.endpoint);
  }
  return absl::StrCat(TopologyFile(), ":", part.rule->line, ":", part.rule->column, ": rule \"",
                      part.name, "\"");
}

absl::Status EngineImpl::AtPart(const Part& part, const absl::Status& status) const {
  return status.ok() ? status : Prefixed(PlaceOf(part), part.name, status);
}

absl::Status EngineImpl::AtMetadata(const absl::Status& status) const {
  if (status.ok()) return status;
  const std::string place =
      Flag("--metadata-store", !options_.metadata_endpoint.empty(), metadata_endpoint_);
  return Prefixed(place, "metadata", status,
                  CodeOf(status) != Code::kCorrupt
                      ? ""
                      : "; without a backup move it, its -wal and its -shm away and start with the "
                        "same topology: no object is lost, old resource versions answer 410");
}

// Two names for one file would be two writers in one database.
absl::Status EngineImpl::CheckPlaces() const {
  std::map<std::string, std::string> owner;
  auto claim = [&](const std::string& name, const Endpoint& endpoint) -> absl::Status {
    if (endpoint.kind != EndpointKind::kSqlite) return absl::OkStatus();
    const std::string place = RealPath(endpoint.path);
    auto [found, fresh] = owner.emplace(place, name);
    if (fresh) return absl::OkStatus();
    return MakeStatus(Code::kInvalid, absl::StrCat("the ", found->second, " has the file ", place,
                                                   " too; give each a file of its own"));
  };
  claim("metadata store", metadata_endpoint_).IgnoreError();
  absl::Status status = claim("default database", parts_.back().endpoint);
  if (!status.ok()) return AtPart(parts_.back(), status);
  for (const Part& part : parts_) {
    if (part.rule == nullptr) continue;
    status = claim(absl::StrCat("rule \"", part.name, "\""), part.endpoint);
    if (!status.ok()) return AtPart(part, status);
  }
  return absl::OkStatus();
}

}  // namespace storage
