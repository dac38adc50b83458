// The tables, their creation and their check. docs/format-mysql.md explains them.
// Threads: pure functions of the connection.
#ifndef LIBSTORAGE_SRC_BACKEND_MYSQL_SCHEMA_H_
#define LIBSTORAGE_SRC_BACKEND_MYSQL_SCHEMA_H_

#include <cstdint>
#include <string>

#include "src/backend/backend.h"
#include "src/backend/mysql/connection.h"

namespace storage::mysql {

inline constexpr int64_t kObjectsVersion = 1;
inline constexpr int64_t kMetadataVersion = 2;  // since 2: alloc of a backend, servers
inline constexpr size_t kMaxKeyBytes = 1024;

enum class Tables : uint8_t { kObjects, kMetadata };

// Creates what is missing, under a named lock and so that it can be resumed after
// any statement, and upgrades an older version; then checks every table, column and
// index. INVALID for tables of somebody else, another engine or collation, and for a
// newer version.
absl::Status PrepareTables(Connection* connection, Tables tables);
// Makes, upgrades and checks nothing but the version. False: there are none.
absl::StatusOr<bool> HasTables(Connection* connection, Tables tables);

// Rows of stg_meta (kObjects); "" when there is none.
absl::StatusOr<std::string> ReadMeta(Connection* connection, const std::string& name);
std::string WriteMetaSql(const std::string& name, const std::string& value);

// The columns of the lane row in the order that ReadLane wants.
inline constexpr char kLaneColumns[] = "m_id, epoch, gen, head, ver, floor, seq, seq_bytes";

// With what Stats needs: how many events were ever appended, with how many bytes.
struct LaneRow : Lane {
  int64_t seq = 0;
  int64_t seq_bytes = 0;
};

// CORRUPT when there is no row.
absl::Status ReadLane(Result* rows, const Site& site, LaneRow* lane);

}  // namespace storage::mysql

#endif  // LIBSTORAGE_SRC_BACKEND_MYSQL_SCHEMA_H_
