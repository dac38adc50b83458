// stgctl route FILE KEY
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tools/stgctl/commands.h"

namespace storage::stgctl {
namespace {

std::string NameOf(const Router& router, int backend) {
  const std::vector<Rule>& rules = router.topology().rules;
  return static_cast<size_t>(backend) < rules.size() ? rules[static_cast<size_t>(backend)].name
                                                     : "default";
}

std::string EndpointOf(const Router& router, int backend) {
  const std::vector<Rule>& rules = router.topology().rules;
  return static_cast<size_t>(backend) < rules.size()
             ? rules[static_cast<size_t>(backend)].endpoint.redacted
             : "the default database (--etcd-servers)";
}

std::string Describe(const Resource& resource) {
  std::string out =
      absl::StrCat(resource.custom ? "custom resource " : "built-in resource ", resource.resource);
  if (!resource.group.empty()) absl::StrAppend(&out, ".", resource.group);
  if (!resource.kind.empty()) absl::StrAppend(&out, " (", resource.kind, ")");
  absl::StrAppend(&out, resource.namespaced ? ", namespaced" : ", cluster-scoped");
  return out;
}

std::vector<std::string> ReachNames(const Router& router, const Resource& resource) {
  std::vector<std::string> names;
  for (int backend : router.Reach(resource)) names.push_back(NameOf(router, backend));
  return names;
}

nlohmann::json ToJson(const Router& router, const Inferred& inferred, int backend) {
  const Resource& resource = inferred.resource;
  nlohmann::json rule = nullptr;
  if (static_cast<size_t>(backend) < router.topology().rules.size()) {
    rule = {{"name", NameOf(router, backend)},
            {"line", router.topology().rules[static_cast<size_t>(backend)].line}};
  }
  return {{"key", inferred.key},
          {"database", NameOf(router, backend)},
          {"endpoint", EndpointOf(router, backend)},
          {"rule", rule},
          {"why", router.Explain(resource, inferred.key)},
          {"reach", ReachNames(router, resource)},
          {"resource",
           {{"group", resource.group},
            {"resource", resource.resource},
            {"kind", resource.kind},
            {"root", resource.root},
            {"keyPrefix", resource.key_prefix},
            {"namespaced", resource.namespaced},
            {"custom", resource.custom},
            {"inferredFrom", inferred.how}}}};
}

}  // namespace

int RunRoute(const Context& context, const RouteFlags& flags) {
  absl::StatusOr<Topology> topology = LoadTopology(flags.file);
  if (!topology.ok()) return Fail(context, topology.status());
  absl::StatusOr<std::unique_ptr<Router>> router = Router::Create(*std::move(topology));
  if (!router.ok()) return Fail(context, router.status());
  absl::StatusOr<Inferred> inferred = InferResource(flags.key, flags.resource);
  if (!inferred.ok()) return Fail(context, inferred.status());
  const Resource& resource = inferred->resource;
  const int backend = (*router)->Route(resource, inferred->key);
  if (context.json) {
    PrintJson(context, ToJson(**router, *inferred, backend));
    return kExitOk;
  }
  *context.out << "key:        " << inferred->key << "\n"
               << "database:   " << NameOf(**router, backend) << "\n"
               << "endpoint:   " << EndpointOf(**router, backend) << "\n"
               << "taken for:  " << Describe(resource) << "\n"
               << "            (" << inferred->how
               << "; --resource, --group, --kind, --namespaced and --custom say otherwise)\n"
               << "why:\n";
  for (const std::string& line : (*router)->Explain(resource, inferred->key)) {
    *context.out << "  " << line << "\n";
  }
  *context.out << "all keys of this resource live in: "
               << absl::StrJoin(ReachNames(**router, resource), ", ") << std::endl;
  return kExitOk;
}

}  // namespace storage::stgctl
