// PostgreSQL as a backend and as the metadata store. docs/format-postgres.md has
// the tables, the settings of a session and the table of errors.
//
// A backend has one connection that writes (the lane's) and a bounded pool of
// connections that read; the metadata store has one, which also holds its claim.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_POSTGRES_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_POSTGRES_H_

#include <cstdint>
#include <memory>
#include <string>

#include "src/backend/backend.h"
#include "src/backend/metadata.h"
#include "src/backend/tls.h"
#include "src/base/log.h"

namespace storage {

struct PostgresPool {                 // 0 = the default
  int64_t max_open = 0;               // connections in all, the writing one included: 9
  int64_t max_idle = 0;               // kept open without work: all
  int64_t max_life_time_ms = 0;       // for ever
  int64_t max_idle_life_time_ms = 0;  // for ever
};

struct PostgresOptions {
  std::string name;      // of the backend, for messages and metrics
  std::string conninfo;  // postgres://user:password@host:port/database?option=value
  BackendTls tls;
  PostgresPool pool;
  // NOTIFY libstorage with the new head in each lane transaction. Off: it takes a
  // lock of the whole instance at commit.
  bool notify = false;
  int64_t slow_sql_ms = 0;   // calls that take longer are logged; 0 = off
  Logger* logger = nullptr;  // may be null; outlives the backend
};

absl::StatusOr<std::unique_ptr<Backend>> OpenPostgresBackend(const PostgresOptions& options);
// several: for servers that share it (MetadataStore::shared); otherwise BUSY while another
// process has it.
absl::StatusOr<std::unique_ptr<MetadataStore>> OpenPostgresMetadata(const PostgresOptions& options,
                                                                    bool several = false);
// What it says now, beside the servers that use it: without a claim, and nothing is made or
// changed. Where there is none: nothing that existed.
absl::StatusOr<MetaState> PeekPostgresMetadata(const PostgresOptions& options);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_POSTGRES_H_
