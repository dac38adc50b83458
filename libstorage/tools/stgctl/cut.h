// One revision for several databases that are being written.
#ifndef LIBSTORAGE_TOOLS_STGCTL_CUT_H_
#define LIBSTORAGE_TOOLS_STGCTL_CUT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "src/base/status.h"

namespace storage::stgctl {

struct CutSource {
  std::string name;
  std::string path;
};

// Chooses R and returns when it can be had: every write with a revision up to R
// that will ever be committed is in its file then. R is at least every revision
// acknowledged before the call. A copy of each file made after this returns,
// taken back to R, shows exactly the revision R. stop: asked now and then; true
// ends with CANCELLED.
// waiting: called once for each source that keeps it waiting for longer than a
// person takes for an instant, with R chosen already.
absl::StatusOr<int64_t> ChooseCut(const std::vector<CutSource>& sources, absl::Duration wait,
                                  const std::function<bool()>& stop,
                                  const std::function<void(const CutSource&)>& waiting);

}  // namespace storage::stgctl

#endif  // LIBSTORAGE_TOOLS_STGCTL_CUT_H_
