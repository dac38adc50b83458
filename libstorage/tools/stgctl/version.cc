// stgctl version
#include "tools/stgctl/commands.h"

// Set by the build, as for the library.
#ifndef STG_VERSION
#define STG_VERSION "1.0.0"
#endif
#ifndef STG_COMMIT
#define STG_COMMIT "unknown"
#endif

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
