// Where the inside of the library turns into codes of libstorage.h: the only
// place that knows both, and the firewall that no exception passes.
// Threads: pure functions.
#ifndef LIBSTORAGE_SRC_API_CODES_H_
#define LIBSTORAGE_SRC_API_CODES_H_

#include <cstdint>
#include <string_view>

#include "libstorage.h"
#include "src/base/status.h"

namespace storage {
namespace api {

// The code of a status; OK for an OK one, INTERNAL for a foreign one.
stg_code AbiCode(const absl::Status& status);
inline stg_code AbiCode(Code code) { return static_cast<stg_code>(code); }

// Fills *error (may be null) from status, truncating at character boundaries,
// and returns its code. An OK status clears *error.
stg_code FillError(const absl::Status& status, stg_error* error);

// Must be called from inside a catch block: the exception in flight as a status.
absl::Status StatusOfCurrentException() noexcept;

// Runs body() -> absl::Status behind the firewall.
template <typename Body>
stg_code Guard(stg_error* error, Body&& body) noexcept {
  try {
    return FillError(body(), error);
  } catch (...) {
    return FillError(StatusOfCurrentException(), error);
  }
}

// Runs body() behind the firewall where there is nobody to tell.
template <typename Body>
void GuardVoid(Body&& body) noexcept {
  try {
    body();
  } catch (...) {
    // Functions without a code only release or cancel: nothing is left undone
    // that the caller could repair.
  }
}

}  // namespace api
}  // namespace storage

#endif  // LIBSTORAGE_SRC_API_CODES_H_
