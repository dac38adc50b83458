// Routes are remembered (shared design, section 7; Law: no rule change hides
// data): the metadata store keeps what was routed where and which resources
// exist, so that a changed topology is compared with what is stored before
// anything starts.
#ifndef LIBSTORAGE_SRC_ENGINE_ROUTES_H_
#define LIBSTORAGE_SRC_ENGINE_ROUTES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/base/status.h"
#include "src/topology/topology.h"

namespace storage {

struct RememberedPlace {
  std::string name;  // of the rule, or "default"
  std::string kind;  // of the endpoint: "sqlite"
  std::string path;
  std::string match;  // what the rule matches, one line
  bool operator==(const RememberedPlace&) const = default;
};

struct Routes {
  std::vector<RememberedPlace> places;  // in order: the first match wins
  std::vector<Resource> resources;      // ever registered, by key prefix
  // Objects in each place when the server ended in order, by its name; empty while
  // one runs. What cannot be looked into without a password is judged by it.
  std::map<std::string, int64_t> objects;
  bool known = false;  // something was remembered

  std::string ToJson() const;
  // CORRUPT when the text is not ours.
  static absl::StatusOr<Routes> FromJson(const std::string& text);
};

std::vector<RememberedPlace> PlacesOf(const Router& router, const Endpoint& default_database);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_ROUTES_H_
