// Which version of the library this is. Compiled into what ships alone, not into the tests,
// which would be linked anew after every commit.
#include "build_version.h"  // made by build_version.cmake
#include "libstorage.h"

extern "C" const char* stg_version(void) { return STG_VERSION " (" STG_COMMIT ")"; }
