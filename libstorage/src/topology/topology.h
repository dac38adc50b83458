// The routing table of topology.yaml: parsed, validated, explained. Shared
// mission, section "topology.yaml". Pure functions of their inputs; thread-safe.
#ifndef LIBSTORAGE_SRC_TOPOLOGY_TOPOLOGY_H_
#define LIBSTORAGE_SRC_TOPOLOGY_TOPOLOGY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"

namespace storage {

// What the API server knows of a resource; nothing is guessed from key segments.
struct Resource {
  std::string group;       // "" = core
  std::string resource;    // plural, "pods"; raw storages: "masterleases", "ranges"
  std::string kind;        // "Shirt"; "" = unknown
  std::string root;        // storage root, "/registry/"; "/" when the prefix is empty
  std::string key_prefix;  // whole, ends in '/': "/registry/services/specs/"
  bool namespaced = false;
  bool custom = false;  // a custom resource (CRD)
};

enum class EndpointKind { kEtcd, kMysql, kPostgres, kSqlite, kMemory };

struct Endpoint {
  EndpointKind kind = EndpointKind::kSqlite;
  std::string text;      // as written: may hold a password, never logged
  std::string redacted;  // safe to print
  std::string path;      // sqlite: file as written; memory: name; else hosts and database
  std::map<std::string, std::string> options;  // sqlite/mysql: after '?', keys as written
  bool has_password = false;
  bool from_file = false;  // multi://file://; otherwise a password is visible where text came from
};

struct TlsSettings {
  std::string ca_file, cert_file, key_file;
  bool skip_verify = false;
};
struct PoolSettings {  // 0 = the default of the driver
  int64_t max_idle = 0, max_open = 0, max_life_time_ms = 0, max_idle_life_time_ms = 0;
};
struct CompactSettings {  // unset = the default of the engine
  std::optional<int64_t> interval_ms, timeout_ms, min_retain, batch_size;
  std::optional<double> interval_jitter;  // fraction of the interval, 0..1
};

enum class Policy { kPrefix, kRegexp, kNamespace, kCustomResource };

struct Rule {
  std::string name;
  Policy policy = Policy::kPrefix;
  Endpoint endpoint;
  int line = 0, column = 0;        // of the rule in the file, from 1
  std::string prefix;              // kPrefix, kRegexp (an expression there)
  std::string key;                 // kRegexp
  std::string ns;                  // kNamespace
  std::vector<std::string> kinds;  // kNamespace; empty = all
  std::string group, kind;         // kCustomResource
  TlsSettings tls;
  PoolSettings pool;
  CompactSettings compact;
};

// A problem or a warning with its place: "topology.yaml:4:5: ...; remedy".
struct Diagnostic {
  bool error = false;
  std::string file;
  int line = 0, column = 0;
  std::string message;  // with the remedy
  std::string ToString() const;
};

struct Topology {
  std::vector<Rule> rules;  // order of the file
  std::vector<Diagnostic> warnings;
};

// On error the status is INVALID and its message lists every diagnostic, one a line.
absl::StatusOr<Topology> ParseTopology(std::string_view yaml, const std::string& file);
// path may be plain or file://. all: every diagnostic, one by one, for tools.
absl::StatusOr<Topology> LoadTopology(const std::string& path,
                                      std::vector<Diagnostic>* all = nullptr);
// Any endpoint form of the topology, `multi://` accepted in front (also
// multi://file:///path, a file of mode 0600).
absl::StatusOr<Endpoint> ParseEndpoint(std::string_view text);

// Equal for two endpoints that are the same database, however each is written
// (options, credentials, "./a" and "a"). Holds no password.
std::string EndpointIdentity(const Endpoint& endpoint);

// The rules as far as one resource is concerned: what does not depend on the
// key is decided once. For the path of every request. Must not outlive its Router.
class ResourceRoute {
 public:
  virtual ~ResourceRoute() = default;
  virtual const std::vector<int>& reach() const = 0;
  // The same of the keys that begin with start, which ends in '/'.
  virtual std::vector<int> ReachBelow(std::string_view start) const = 0;
  virtual int Route(std::string_view key) const = 0;
};

// First match wins. Backends are numbered by rule; rules.size() is the default.
class Router {
 public:
  static absl::StatusOr<std::unique_ptr<Router>> Create(Topology topology);
  virtual ~Router() = default;
  virtual const Topology& topology() const = 0;
  // The backends that keys of this resource can live in, ascending, never
  // empty; a superset when a rule's reach can't be decided for all keys.
  virtual std::vector<int> Reach(const Resource& resource) const = 0;
  virtual int Route(const Resource& resource, std::string_view key) const = 0;
  // The same answers as Reach and Route for this resource.
  virtual std::unique_ptr<const ResourceRoute> Bind(const Resource& resource) const = 0;
  // One sentence a rule up to the match: why it did not or did match.
  virtual std::vector<std::string> Explain(const Resource& resource,
                                           std::string_view key) const = 0;
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_TOPOLOGY_TOPOLOGY_H_
