// The one table that turns what etcd and gRPC say into our codes.
// docs/format-etcd.md shows it. Pure functions: thread-safe.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_ERRORS_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_ERRORS_H_

#include <string>

#include "src/base/status.h"

namespace storage::etcd {

// What became of a call that failed.
enum class Fate {
  kRefused,    // not executed; every member would say the same
  kElsewhere,  // not executed; another member may do it
  kUnsure,     // it may have been executed, or still will be
  kStaleToken  // not executed: authenticate again
};

struct Failure {
  absl::Status status;
  Fate fate = Fate::kUnsure;
};

// code: of gRPC. member: host and port.
Failure Explain(int code, const std::string& message, const std::string& member,
                const std::string& backend);

// OUTCOME_UNKNOWN for a write that may have been executed.
absl::Status Unknown(const absl::Status& cause);

// A value that cannot be decoded.
absl::Status Damaged(const std::string& what, const std::string& backend);

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_ERRORS_H_
