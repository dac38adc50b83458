// Backend on one PostgreSQL database: the lane's session and the readers.
// Threads: as Backend; what touches the session belongs to the lane thread.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_POSTGRES_BACKEND_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_POSTGRES_BACKEND_H_

#include <memory>
#include <string>

#include "src/backend/backend.h"
#include "src/backend/postgres/lane_session.h"
#include "src/backend/postgres/postgres.h"
#include "src/backend/postgres/reader_pool.h"

namespace storage::postgres {

class PostgresBackend : public Backend {
 public:
  static absl::StatusOr<std::unique_ptr<PostgresBackend>> Open(const PostgresOptions& options);

  const std::string& name() const override { return site_.name; }
  const std::string& identity() const override { return session_.identity(); }
  bool fast_reads() const override { return false; }
  bool durable() const override { return !session_.was_relaxed(); }

  absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLane() override;
  absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLaneAndRead(absl::Span<const std::string_view> keys,
                                                            absl::Span<Current> out,
                                                            bool may_assume) override;
  absl::StatusOr<std::unique_ptr<Snapshot>> OpenSnapshot() override;
  absl::Status Get(std::string_view key, const RowSink& sink) override;
  absl::StatusOr<int64_t> DeleteHistory(int64_t max_rows) override;
  // Space is the server's business: autovacuum makes the room of deleted rows free
  // for new ones. Only connections that were idle for too long are closed here.
  absl::StatusOr<bool> Maintain(bool idle) override;
  absl::StatusOr<BackendStats> Stats() override;
  absl::Status Ping() override;
  absl::StatusOr<bool> ShareNumbers(const NumbersPlace& place) override {
    return session_.ShareNumbers(place);
  }
  std::unique_ptr<HeadWatch> WatchHead() override;

  int64_t OpenReadersForTest() { return readers_.open(); }

 private:
  PostgresBackend(const PostgresOptions& options, ConnInfo info);

  const Site site_;
  const ConnInfo info_;
  LaneSession session_;
  ReaderPool readers_;
};

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_POSTGRES_BACKEND_H_
