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

// What a migration that is not over has done (docs/adr/0007-migrate.md).
struct MigrationRecord {
  enum class Phase : uint8_t {
    kNone,     // nothing moves
    kCopy,     // objects are copied; the remembered places are those of before
    kDiscard,  // the remembered places are the new ones; the old copies go
  };
  // What a database must hold of a collection when all of it has arrived.
  struct Expected {
    std::string place;  // by its name in the new topology
    std::string collection;
    int64_t objects = 0;
    uint64_t sum = 0;  // engine/moves.h
  };
  Phase phase = Phase::kNone;
  std::vector<RememberedPlace> others;  // kCopy: the new places; kDiscard: those of before
  std::vector<Expected> expected;       // kCopy
  // kCopy: names of databases that hold nothing but copies, some of them made ahead.
  std::vector<std::string> ahead;
};

struct Routes {
  std::vector<RememberedPlace> places;  // in order: the first match wins
  std::vector<Resource> resources;      // ever registered, by key prefix
  // Objects in each place when the server ended in order, by its name; empty while
  // one runs. What cannot be looked into without a password is judged by it.
  std::map<std::string, int64_t> objects;
  // Of the epoch, when several servers may have the topology: the host of the server that
  // began it ("" = unknown), and whether others joined.
  std::string began_on;
  bool joined = false;
  bool known = false;  // something was remembered
  MigrationRecord migration;

  std::string ToJson() const;
  // CORRUPT when the text is not ours.
  static absl::StatusOr<Routes> FromJson(const std::string& text);
};

// A path may be written in another way than before.
bool SameDatabase(const RememberedPlace& a, const RememberedPlace& b);
// The same databases, matches and names in the same order.
bool SamePlaces(const std::vector<RememberedPlace>& a, const std::vector<RememberedPlace>& b);

std::vector<RememberedPlace> PlacesOf(const Router& router, const Endpoint& default_database);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_ROUTES_H_
