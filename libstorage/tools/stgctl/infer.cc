#include "tools/stgctl/infer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace storage::stgctl {
namespace {

size_t Segments(std::string_view text) {
  if (text.empty()) return 0;
  return static_cast<size_t>(std::count(text.begin(), text.end(), '/')) + 1;
}

// Ends in '/': of "/registry" and "registry/" the same.
std::string NormalRoot(const std::string& root) {
  std::string out = root;
  if (out.empty() || out[0] != '/') out.insert(0, "/");
  if (out.back() != '/') out += '/';
  return out;
}

const KnownKind* FindKnown(std::string_view bare) {
  for (const KnownKind& known : KnownKinds()) {
    std::string_view path = known.path;
    if (bare.substr(0, path.size()) == path && bare.size() > path.size() &&
        bare[path.size()] == '/') {
      return &known;
    }
  }
  return nullptr;
}

Resource Guess(std::string_view bare, const std::string& root, std::string* how) {
  Resource out;
  out.root = root;
  size_t slash = bare.find('/');
  std::string first(bare.substr(0, slash));
  std::string path = first;
  if (first.find('.') != std::string::npos && slash != std::string_view::npos) {
    size_t second = bare.find('/', slash + 1);
    path = std::string(bare.substr(0, second));
    out.group = first;
    out.resource = path.substr(slash + 1);
    out.custom = true;
    *how = "a custom resource, because its key begins with an API group";
  } else {
    out.resource = first;
    *how = "a built-in kind of a name that stgctl does not know";
  }
  out.key_prefix = absl::StrCat(root, path, "/");
  size_t behind = bare.size() > path.size() ? Segments(bare.substr(path.size() + 1)) : 0;
  out.namespaced = behind > 1;
  absl::StrAppend(how, out.namespaced ? ", namespaced, because" : ", cluster-scoped, because",
                  behind > 1 ? " more than one segment follows" : " one segment follows");
  return out;
}

}  // namespace

Resource ToResource(const KnownKind& known, const std::string& root) {
  Resource out;
  out.group = known.group;
  out.resource = known.resource;
  out.kind = known.kind;
  out.root = root;
  out.key_prefix = absl::StrCat(root, known.path, "/");
  out.namespaced = known.namespaced;
  return out;
}

absl::StatusOr<Inferred> InferResource(std::string_view key, const ResourceFlags& flags) {
  Inferred out;
  const std::string root = NormalRoot(flags.root);
  if (key.substr(0, root.size()) == root) key.remove_prefix(root.size());
  if (key.empty() || key[0] == '/') {
    return MakeStatus(
        Code::kInvalid,
        absl::StrCat("the key is not below the storage root ", root, "; write it like ", root,
                     "pods/default/web, or name its root with --root"));
  }
  out.key = absl::StrCat(root, std::string(key));
  if (const KnownKind* known = FindKnown(key); known != nullptr && !flags.custom.value_or(false)) {
    out.resource = ToResource(*known, root);
    out.how = absl::StrCat("the built-in kind of that name, ",
                           known->namespaced ? "namespaced" : "cluster-scoped");
  } else {
    out.resource = Guess(key, root, &out.how);
  }
  if (flags.namespaced.has_value()) out.resource.namespaced = *flags.namespaced;
  if (flags.custom.has_value()) out.resource.custom = *flags.custom;
  if (!flags.group.empty()) out.resource.group = flags.group;
  if (!flags.resource.empty()) out.resource.resource = flags.resource;
  if (!flags.kind.empty()) out.resource.kind = flags.kind;
  return out;
}

}  // namespace storage::stgctl
