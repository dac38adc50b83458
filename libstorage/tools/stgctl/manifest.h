// manifest.json of a backup: written last, so a directory with one is complete.
#ifndef LIBSTORAGE_TOOLS_STGCTL_MANIFEST_H_
#define LIBSTORAGE_TOOLS_STGCTL_MANIFEST_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "src/base/status.h"

namespace storage::stgctl {

struct ManifestFile {
  std::string name;      // of the database: a rule's, "default" or "metadata"
  std::string match;     // what the rule matched then
  std::string file;      // in the directory
  std::string source;    // where it was, absolute
  std::string identity;  // of the database
  std::string sha256;
  int64_t size = 0;
  int64_t objects = 0;
  int64_t bytes = 0;        // of values
  int64_t copied_head = 0;  // revision of the raw copy, before it was taken back
};

struct Manifest {
  int64_t revision = 0;
  std::string created;                  // RFC 3339, UTC
  std::string topology;                 // file, absolute; "" = none. Its rules: databases[].match
  std::string m_id;                     // metadata store that the set belonged to; "" = never used
  std::vector<ManifestFile> databases;  // in the order of the rules, the default last
  std::optional<ManifestFile> metadata;

  nlohmann::json ToJson() const;
};

// directory/manifest.json. Synced, like its directory.
absl::Status WriteManifest(const std::string& directory, const Manifest& manifest);
absl::StatusOr<Manifest> ReadManifest(const std::string& directory);

}  // namespace storage::stgctl

#endif  // LIBSTORAGE_TOOLS_STGCTL_MANIFEST_H_
