// Backend on one MySQL database: the lane's session and the readers.
// Threads: as Backend; what touches the session belongs to the lane thread.
#ifndef LIBSTORAGE_SRC_BACKEND_MYSQL_BACKEND_IMPL_H_
#define LIBSTORAGE_SRC_BACKEND_MYSQL_BACKEND_IMPL_H_

#include <memory>
#include <string>

#include "src/backend/backend.h"
#include "src/backend/mysql/connector.h"
#include "src/backend/mysql/lane_session.h"
#include "src/backend/mysql/mysql_backend.h"

namespace storage::mysql {

class MysqlBackend : public Backend {
 public:
  static absl::StatusOr<std::unique_ptr<MysqlBackend>> Open(const MysqlOptions& options);

  const std::string& name() const override { return connector_.site().name; }
  const std::string& identity() const override { return identity_; }
  bool fast_reads() const override { return false; }
  bool durable() const override { return session_.durable(); }

  absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLane() override;
  absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLaneAndRead(absl::Span<const std::string_view> keys,
                                                            absl::Span<Current> out,
                                                            bool may_assume) override;
  absl::StatusOr<std::unique_ptr<Snapshot>> OpenSnapshot() override;
  absl::Status Get(std::string_view key, const RowSink& sink) override;
  absl::StatusOr<int64_t> DeleteHistory(int64_t max_rows) override;
  absl::StatusOr<bool> Maintain(bool idle) override;
  absl::StatusOr<BackendStats> Stats() override;
  absl::Status Ping() override;
  absl::StatusOr<bool> ShareNumbers(const NumbersPlace& place) override {
    return session_.ShareNumbers(place);
  }
  std::unique_ptr<HeadWatch> WatchHead() override;

  int read_connections_for_test() { return readers_.open_for_test(); }

 private:
  absl::StatusOr<int64_t> ReadHead();
  MysqlBackend(const MysqlOptions& options, const Settings& settings)
      : connector_(options, settings), session_(&connector_), readers_(&connector_) {}
  absl::Status Prepare();

  Connector connector_;
  std::string identity_;
  LaneSession session_;
  ReadPool readers_;
};

// Says what of the options has no effect; refuses what the server must not be.
absl::Status CheckServer(const Connection& connection, const Settings& settings);

}  // namespace storage::mysql

#endif  // LIBSTORAGE_SRC_BACKEND_MYSQL_BACKEND_IMPL_H_
