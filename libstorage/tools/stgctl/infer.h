// What a key alone tells of its resource. The API server knows group, resource
// and scope of every object; stgctl only has the key, and guesses by the names
// of built-in kinds. The guess is always shown, and flags replace it.
#ifndef LIBSTORAGE_TOOLS_STGCTL_INFER_H_
#define LIBSTORAGE_TOOLS_STGCTL_INFER_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/topology/topology.h"

namespace storage::stgctl {

struct KnownKind {
  const char* path;      // in keys, behind the root
  const char* resource;  // plural
  const char* kind;
  bool namespaced;
  const char* group;  // of the API; "" = core
};

// The kinds that kube-apiserver v1.32 stores.
const std::vector<KnownKind>& KnownKinds();
Resource ToResource(const KnownKind& known, const std::string& root);

struct ResourceFlags {
  std::string root = "/registry/";
  std::optional<bool> namespaced;
  std::optional<bool> custom;
  std::string group, resource, kind;
};

struct Inferred {
  std::string key;  // whole, with the root
  Resource resource;
  std::string how;  // "known name pods", "a group with a dot", ...
};

absl::StatusOr<Inferred> InferResource(std::string_view key, const ResourceFlags& flags);

}  // namespace storage::stgctl

#endif  // LIBSTORAGE_TOOLS_STGCTL_INFER_H_
