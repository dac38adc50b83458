// SQLite as a backend and as the metadata store. docs/format.md has the schema.
//
// One connection per file writes and checkpoints; every other one is opened
// query_only with wal_autocheckpoint=0 (SQLite 3.7.0 to 3.51.2 can corrupt a WAL
// that several connections reset). A file is locked for one writing process by
// "<file>.lock" (open file description lock; its text names the holder).
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_SQLITE_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_SQLITE_H_

#include <map>
#include <memory>
#include <string>

#include "src/backend/backend.h"
#include "src/backend/metadata.h"
#include "src/base/log.h"

namespace storage {

struct SqliteOptions {
  std::string name;  // of the backend, for messages and metrics
  std::string path;  // directories are created
  std::map<std::string, std::string>
      options;             // of the DSN: honoured, accepted and logged, or refused by name
  bool read_only = false;  // no lock, no schema upgrade, no lane
  bool secure_delete = false;
  int64_t slow_sql_ms = 0;   // statements that take longer are logged; 0 = off
  Logger* logger = nullptr;  // may be null; outlives the backend
};

absl::StatusOr<std::unique_ptr<Backend>> OpenSqliteBackend(const SqliteOptions& options);
absl::StatusOr<std::unique_ptr<MetadataStore>> OpenSqliteMetadata(const SqliteOptions& options);
// What it says now, beside the server that has it: without a lock, and nothing is changed.
absl::StatusOr<MetaState> PeekSqliteMetadata(SqliteOptions options);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_SQLITE_H_
