// Which databases a topology, a default endpoint and a metadata endpoint name.
#ifndef LIBSTORAGE_TOOLS_STGCTL_PLACES_H_
#define LIBSTORAGE_TOOLS_STGCTL_PLACES_H_

#include <memory>
#include <string>
#include <vector>

#include "src/base/status.h"
#include "src/topology/topology.h"

namespace storage::stgctl {

// As the API server gets them; empty = its defaults.
struct PlaceFlags {
  std::string topology;
  std::string default_endpoint;
  std::string metadata_endpoint;
};

struct Place {
  std::string name;   // of the rule; "default", "metadata"
  std::string match;  // what the rule matches, as the engine remembers it
  Endpoint endpoint;
};

struct Places {
  std::string topology;  // file; "" = none
  std::unique_ptr<Router> router;
  std::vector<Place> backends;  // by backend number, the default last
  Place metadata;
};

absl::StatusOr<Places> ResolvePlaces(const PlaceFlags& flags);

// Backup and restore copy files: INVALID, naming the rule, for anything else.
absl::Status CheckFilesOnly(const Places& places);

}  // namespace storage::stgctl

#endif  // LIBSTORAGE_TOOLS_STGCTL_PLACES_H_
