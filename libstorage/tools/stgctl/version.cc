// stgctl version
#include "build_version.h"  // made by src/api/build_version.cmake
#include "tools/stgctl/commands.h"

namespace storage::stgctl {

int RunVersion(const Context& context) {
  if (context.json) {
    PrintJson(context, {{"version", STG_VERSION}, {"commit", STG_COMMIT}});
  } else {
    *context.out << "stgctl " << STG_VERSION << " (" << STG_COMMIT << ")" << std::endl;
  }
  return kExitOk;
}

}  // namespace storage::stgctl
