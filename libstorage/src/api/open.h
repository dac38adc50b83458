// From stg_options to a running session.
// Threads: any.
#ifndef LIBSTORAGE_SRC_API_OPEN_H_
#define LIBSTORAGE_SRC_API_OPEN_H_

#include <memory>

#include "libstorage.h"
#include "src/api/session.h"
#include "src/base/status.h"

namespace storage {
namespace api {

absl::StatusOr<std::unique_ptr<stg_engine>> OpenSession(const stg_options& given);

// A session over an engine that the test made; takes it over.
absl::StatusOr<std::unique_ptr<stg_engine>> OpenSessionForTest(std::unique_ptr<Engine> engine,
                                                               int64_t budget_bytes);

}  // namespace api
}  // namespace storage

#endif  // LIBSTORAGE_SRC_API_OPEN_H_
