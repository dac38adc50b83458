// Any bytes as topology.yaml: an error with a place, or rules that route. The
// input up to a NUL is the file, what follows is a key.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>

#include "src/topology/topology.h"
#include "tests/topology_testing.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckErrors(const absl::Status& status) {
  Require(storage::CodeOf(status) == storage::Code::kInvalid);
  std::string text(status.message());
  Require(!text.empty());
  // One diagnostic a line, each with the file's name: nothing of the input
  // breaks lines or gets in unescaped.
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    Require(text.compare(at, 6, "t.yaml") == 0 && end > at + 8);
    at = end + 1;
  }
}

void CheckRoutes(storage::Topology topology, const std::string& rest) {
  std::set<std::string> names, endpoints;
  for (const storage::Rule& rule : topology.rules) {
    Require(names.insert(rule.name).second && !rule.name.empty());
    Require(endpoints.insert(storage::EndpointIdentity(rule.endpoint)).second);
    Require(rule.line > 0 && rule.column > 0 && !rule.endpoint.redacted.empty());
  }
  auto router = storage::Router::Create(std::move(topology));
  Require(router.ok());
  for (const storage::Resource& resource :
       {storage::Namespaced("pods"), storage::Services(), storage::Shirts(),
        storage::Cluster("minions", "nodes", "Node")}) {
    std::string key = resource.key_prefix + rest;
    int backend = (*router)->Route(resource, key);
    bool reached = false;
    for (int b : (*router)->Reach(resource)) reached = reached || b == backend;
    Require(reached);
    Require((*router)->Bind(resource)->Route(key) == backend);
    Require((*router)->Explain(resource, key).size() == static_cast<size_t>(backend) + 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string input(reinterpret_cast<const char*>(data), size);
  size_t nul = input.find('\0');
  std::string rest = nul == std::string::npos ? "kube-system/a" : input.substr(nul + 1);
  absl::StatusOr<storage::Topology> topology =
      storage::ParseTopology(input.substr(0, nul), "t.yaml");
  if (!topology.ok()) {
    CheckErrors(topology.status());
  } else {
    CheckRoutes(*std::move(topology), rest);
  }
  return 0;
}
