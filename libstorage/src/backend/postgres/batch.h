// The statements of one batch: as many for one row as for thousands.
// Threads: the lane thread only.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_BATCH_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_BATCH_H_

#include <cstdint>

#include "src/backend/backend.h"
#include "src/backend/postgres/connection.h"
#include "src/backend/postgres/schema.h"

namespace storage::postgres {

// Queues what moves the old rows into the undo log, writes the new ones and counts
// them. Returns the number of statements. Nothing is kept of the mutations.
size_t QueueBatch(Connection* connection, const LaneRow& lane, absl::Span<const Mutation> mutations,
                  int64_t token);

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_BATCH_H_
