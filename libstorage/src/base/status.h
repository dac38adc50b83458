// Error codes of the library and how they travel inside it (as absl::Status).
// Threads: values only; everything here is thread-safe.
#ifndef LIBSTORAGE_SRC_BASE_STATUS_H_
#define LIBSTORAGE_SRC_BASE_STATUS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace storage {

// The same numbers as STG_CODE_* in libstorage.h (asserted in src/api).
enum class Code : int32_t {
  kOk = 0,
  kNotFound = 1,
  kExists = 2,
  kConflict = 3,
  kCompacted = 4,
  kFutureRevision = 5,
  kInvalid = 6,
  kTooLarge = 7,
  kBusy = 8,
  kUnavailable = 9,
  kReadOnly = 10,
  kNoSpace = 11,
  kOutcomeUnknown = 12,
  kDeadline = 13,
  kCancelled = 14,
  kSlowConsumer = 15,
  kCorrupt = 16,
  kUnimplemented = 17,
  kInternal = 18,
};

// What a caller may do after an error; see stg_code_class().
enum class CodeClass : int32_t { kFinal = 0, kRetry = 1, kMaybeCommitted = 2 };

CodeClass ClassOf(Code code);
const char* CodeName(Code code);  // "NOT_FOUND"; static storage

// An error with our code, a message for people (what, where, remedy), the
// name of the backend ("" = none) and the driver's own code (0 = none).
absl::Status MakeStatus(Code code, const std::string& message, const std::string& backend = "",
                        int32_t driver_code = 0);

Code CodeOf(const absl::Status& status);  // kInternal for a foreign status
std::string BackendOf(const absl::Status& status);
int32_t DriverCodeOf(const absl::Status& status);

// What an OUTCOME_UNKNOWN comes down to once it is known that nothing was
// committed: the cause that was set, else kUnavailable.
void SetCause(absl::Status* status, Code cause);
Code CauseOf(const absl::Status& status);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BASE_STATUS_H_
