#include "tools/stgctl/manifest.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "tools/stgctl/files.h"

namespace storage::stgctl {
namespace {

constexpr char kName[] = "manifest.json";
constexpr char kFormat[] = "libstorage-backup";
constexpr int kVersion = 1;

nlohmann::json FileToJson(const ManifestFile& file) {
  return {{"name", file.name},         {"match", file.match},
          {"file", file.file},         {"source", file.source},
          {"size", file.size},         {"sha256", file.sha256},
          {"identity", file.identity}, {"objects", file.objects},
          {"bytes", file.bytes},       {"copiedHead", file.copied_head}};
}

ManifestFile FileFromJson(const nlohmann::json& in) {
  ManifestFile file;
  file.name = in.at("name");
  file.match = in.at("match");
  file.file = in.at("file");
  file.source = in.at("source");
  file.size = in.at("size");
  file.sha256 = in.at("sha256");
  file.identity = in.at("identity");
  file.objects = in.at("objects");
  file.bytes = in.at("bytes");
  file.copied_head = in.at("copiedHead");
  return file;
}

absl::Status Broken(const std::string& directory, const std::string& why) {
  return MakeStatus(Code::kInvalid, absl::StrCat(directory, " is not a complete backup: ", why,
                                                 "; name a directory that stgctl backup made"));
}

// A name with a '/' would reach out of the directory.
bool StaysInside(const ManifestFile& file) {
  return !file.file.empty() && file.file.find('/') == std::string::npos && file.file[0] != '.';
}

absl::StatusOr<Manifest> FromJson(const std::string& directory, const nlohmann::json& in) {
  if (in.at("format") != kFormat) return Broken(directory, "manifest.json is of another program");
  if (in.at("version") != kVersion) {
    return MakeStatus(Code::kInvalid,
                      absl::StrCat(directory, " is a backup of version ", in.at("version").dump(),
                                   ", but this stgctl knows version ", kVersion,
                                   "; use the newer stgctl that wrote it"));
  }
  Manifest out;
  out.revision = in.at("revision");
  out.created = in.at("created");
  out.topology = in.at("topology");
  out.m_id = in.at("metadataStore");
  for (const nlohmann::json& file : in.at("databases")) {
    out.databases.push_back(FileFromJson(file));
    if (!StaysInside(out.databases.back())) return Broken(directory, "a file name is not one");
  }
  if (!in.at("metadata").is_null()) {
    out.metadata = FileFromJson(in.at("metadata"));
    if (!StaysInside(*out.metadata)) return Broken(directory, "a file name is not one");
  }
  return out;
}

}  // namespace

nlohmann::json Manifest::ToJson() const {
  nlohmann::json out = {{"format", kFormat},
                        {"version", kVersion},
                        {"revision", revision},
                        {"created", created},
                        {"topology", topology},
                        {"metadataStore", m_id},
                        {"databases", nlohmann::json::array()},
                        {"metadata", nlohmann::json()}};
  for (const ManifestFile& file : databases) out["databases"].push_back(FileToJson(file));
  if (metadata.has_value()) out["metadata"] = FileToJson(*metadata);
  return out;
}

absl::Status WriteManifest(const std::string& directory, const Manifest& manifest) {
  const std::string text = manifest.ToJson().dump(2) + "\n";
  return WriteSynced(absl::StrCat(directory, "/", kName), text);
}

absl::StatusOr<Manifest> ReadManifest(const std::string& directory) {
  std::ifstream in(absl::StrCat(directory, "/", kName), std::ios::binary);
  if (!in.is_open()) return Broken(directory, "it has no manifest.json that can be read");
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Broken(directory, "manifest.json is damaged");
  try {
    return FromJson(directory, json);
  } catch (const nlohmann::json::exception& e) {
    return Broken(directory, absl::StrCat("manifest.json is damaged: ", e.what()));
  }
}

}  // namespace storage::stgctl
