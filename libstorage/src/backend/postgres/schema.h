// What is in a database of ours: schemas, tables, versions (docs/format-postgres.md).
// Threads: functions on one connection each.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_SCHEMA_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_SCHEMA_H_

#include <string>

#include "src/backend/backend.h"
#include "src/backend/postgres/connection.h"

namespace storage::postgres {

enum class SchemaKind { kObjects, kMetadata };

// Creates the schema when it is not there, whoever else does so at this moment.
// Upgrades an older version. Refuses a newer one and tables of another program under
// its name.
absl::Status PrepareSchema(Connection* connection, SchemaKind kind);
// Makes and upgrades nothing; refuses the same. False: there is none.
absl::StatusOr<bool> HasSchema(Connection* connection, SchemaKind kind);

// "<uuid of ours>/<system identifier>/<oid>" of the objects' schema.
absl::StatusOr<std::string> ReadIdentity(Connection* connection);

// The lane row with the counters of the undo log.
struct LaneRow : Lane {
  int64_t seq = 0;        // events ever appended
  int64_t seq_bytes = 0;  // bytes of previous values ever appended
};

#define STG_LANE_COLUMNS "m_id, epoch, gen, head, ver, floor, seq, seq_bytes"
LaneRow ReadLane(const Result& result);
absl::Status NoLaneRow(const Site& site);

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_SCHEMA_H_
