// Resources and texts that the topology tests share.
#ifndef LIBSTORAGE_TESTS_TOPOLOGY_TESTING_H_
#define LIBSTORAGE_TESTS_TOPOLOGY_TESTING_H_

#include <string>

#include "src/topology/topology.h"

namespace storage {

// shared/examples/topology.yaml, unchanged.
inline constexpr char kSampleTopology[] = R"(backends:
- endpoint: http://127.0.0.1:2579
  regexp:
    name: rbac
    prefix: (clusterrolebindings|clusterroles|rolebindings|roles|serviceaccounts)
    key: (clusterrolebindings|clusterroles|rolebindings|roles|serviceaccounts)
- endpoint: mysql://root:passwd@tcp(127.0.0.1:3306)/kube_system
  namespace:
    name: kube-system
    namespace: kube-system
- endpoint: postgres://postgres:passwd@127.0.0.1:5432/pods
  prefix:
    name: pods
    prefix: pods
- endpoint: sqlite://./db/shirts.db?_journal=WAL&cache=shared&_busy_timeout=30000&_txlock=immediate
  customresource:
    name: shirts
    group: stable.example.com
    kind: shirts
)";

// path: as in keys; resource: the plural, when it is another.
inline Resource BuiltIn(const std::string& path, bool namespaced, const std::string& resource,
                        const std::string& kind) {
  Resource out;
  out.resource = resource.empty() ? path : resource;
  out.kind = kind;
  out.root = "/registry/";
  out.key_prefix = out.root + path + "/";
  out.namespaced = namespaced;
  return out;
}

inline Resource Namespaced(const std::string& path, const std::string& resource = "",
                           const std::string& kind = "") {
  return BuiltIn(path, true, resource, kind);
}

inline Resource Cluster(const std::string& path, const std::string& resource = "",
                        const std::string& kind = "") {
  return BuiltIn(path, false, resource, kind);
}

inline Resource Custom(const std::string& group, const std::string& plural, const std::string& kind,
                       bool namespaced = true) {
  Resource out = BuiltIn(group + "/" + plural, namespaced, plural, kind);
  out.group = group;
  out.custom = true;
  return out;
}

inline Resource Services() { return Namespaced("services/specs", "services", "Service"); }
inline Resource Shirts() { return Custom("stable.example.com", "shirts", "Shirt"); }

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_TOPOLOGY_TESTING_H_
