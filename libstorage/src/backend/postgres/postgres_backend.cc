#include "src/backend/postgres/postgres_backend.h"

#include <utility>

#include "src/backend/postgres/head_watch.h"
#include "src/backend/postgres/lane_txn.h"
#include "src/backend/postgres/snapshot.h"

namespace storage {
namespace postgres {

PostgresBackend::PostgresBackend(const PostgresOptions& options, ConnInfo info)
    : site_{options.name, info.where, options.logger, options.slow_sql_ms * 1000000},
      info_(std::move(info)),
      session_(&site_, &info_, options.notify),
      readers_(&site_, &info_, options.pool) {}

absl::StatusOr<std::unique_ptr<PostgresBackend>> PostgresBackend::Open(
    const PostgresOptions& options) {
  auto info = ParseConnInfo(options);
  if (!info.ok()) return info.status();
  std::unique_ptr<PostgresBackend> backend(new PostgresBackend(options, *std::move(info)));
  absl::Status opened = backend->session_.Open();
  if (!opened.ok()) return opened;
  backend->readers_.Expect(backend->session_.identity());
  return backend;
}

absl::StatusOr<std::unique_ptr<LaneTxn>> PostgresBackend::BeginLane() {
  return PostgresLaneTxn::Begin(&session_, {}, {});
}

absl::StatusOr<std::unique_ptr<LaneTxn>> PostgresBackend::BeginLaneAndRead(
    absl::Span<const std::string_view> keys, absl::Span<Current> out, bool may_assume) {
  return PostgresLaneTxn::Begin(&session_, keys, out);
}

absl::StatusOr<std::unique_ptr<Snapshot>> PostgresBackend::OpenSnapshot() {
  return PostgresSnapshot::Open(&readers_, &session_);
}

absl::Status PostgresBackend::Get(std::string_view key, const RowSink& sink) {
  {
    auto lease = readers_.Acquire();
    if (!lease.ok()) return lease.status();
    absl::Status status = GetLatest(lease->get(), key, sink);
    if (status.ok() || !lease->WorthAnotherTry()) return status;
  }
  auto lease = readers_.Acquire(true);
  if (!lease.ok()) return lease.status();
  return GetLatest(lease->get(), key, sink);
}

absl::StatusOr<int64_t> PostgresBackend::DeleteHistory(int64_t max_rows) {
  if (session_.lane_open) {
    return MakeStatus(Code::kBusy, "a lane transaction is open", site_.name);
  }
  if (max_rows <= 0) return 0;
  return session_.DeleteHistory(max_rows);
}

absl::StatusOr<bool> PostgresBackend::Maintain(bool idle) {
  readers_.Prune();
  return false;
}

absl::StatusOr<BackendStats> PostgresBackend::Stats() {
  BackendStats stats;
  auto snapshot = PostgresSnapshot::Open(&readers_, &session_);
  if (!snapshot.ok()) return snapshot.status();
  absl::Status counted = (*snapshot)->Counters(&stats);
  if (!counted.ok()) return counted;
  return stats;
}

absl::Status PostgresBackend::Ping() {
  readers_.Prune();
  return PostgresSnapshot::Open(&readers_, &session_).status();
}

std::unique_ptr<HeadWatch> PostgresBackend::WatchHead() {
  return std::make_unique<PostgresHeadWatch>(&site_, &info_, identity());
}

}  // namespace postgres

absl::StatusOr<std::unique_ptr<Backend>> OpenPostgresBackend(const PostgresOptions& options) {
  return postgres::PostgresBackend::Open(options);
}

}  // namespace storage
