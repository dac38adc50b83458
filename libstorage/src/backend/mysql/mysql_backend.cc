#include "src/backend/mysql/mysql_backend.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "src/backend/mysql/backend_impl.h"
#include "src/backend/mysql/lane_txn.h"
#include "src/backend/mysql/schema.h"
#include "src/backend/mysql/snapshot.h"
#include "src/backend/polled_head.h"

namespace storage {
namespace mysql {
namespace {

// A value of 1.5 MiB, the API server's limit, with every byte escaped, and its attributes.
constexpr int64_t kComfortablePacket = 4 << 20;

// Older ones lack what a session of ours sets: time-outs of idle transactions and of
// statements, CHECK constraints.
absl::Status CheckVersion(const std::string& version, const Site& site) {
  const bool maria = absl::StrContains(version, "mariadb");
  int major = 0, minor = 0;
  const bool known = std::sscanf(version.c_str(), "%d.%d", &major, &minor) == 2;
  const bool enough = maria ? major > 10 || (major == 10 && minor >= 3) : major >= 8;
  // TiDB gives a MySQL version that says nothing of it.
  if (!known || enough || absl::StrContains(version, "tidb")) return absl::OkStatus();
  return MakeStatus(Code::kInvalid,
                    absl::StrCat("the server of ", site.where, " has version ", version,
                                 ", which is too old: use MariaDB 10.3, MySQL 8.0, or newer"),
                    site.name);
}

}  // namespace

absl::Status CheckServer(const Connection& connection, const Settings& settings) {
  const Site& site = connection.site();
  if (absl::Status old = CheckVersion(connection.Fact("version"), site); !old.ok()) return old;
  if (!settings.without_effect.empty()) {
    Log(site, LogLevel::kInfo,
        absl::StrCat("options of the endpoint without effect here: ",
                     absl::StrJoin(settings.without_effect, ", ")));
  }
  if (connection.Fact("log_bin") == "on" && connection.Fact("binlog_format") == "statement") {
    return FromMysql(1665, "opening", "the binary log has binlog_format=STATEMENT", site);
  }
  if (connection.max_packet() < kComfortablePacket) {
    Log(site, LogLevel::kWarning,
        absl::StrCat("max_allowed_packet is ", connection.max_packet(),
                     " bytes: values of more than ", connection.max_packet() / 2,
                     " bytes may be refused as TOO_LARGE; set it to 16M or more"));
  }
  return absl::OkStatus();
}

absl::Status MysqlBackend::Prepare() {
  auto setup = connector_.Connect(Role::kSetup);
  if (!setup.ok()) return setup.status();
  absl::Status status = CheckServer(**setup, connector_.settings());
  if (status.ok()) status = PrepareTables(setup->get(), Tables::kObjects);
  if (!status.ok()) return status;
  auto identity = ReadMeta(setup->get(), "identity");
  if (!identity.ok()) return identity.status();
  identity_ = *std::move(identity);
  connector_.Expect(identity_);
  return session_.Get().status();  // and whether it is durable
}

absl::StatusOr<std::unique_ptr<MysqlBackend>> MysqlBackend::Open(const MysqlOptions& options) {
  const auto settings = ParseOptions(options);
  if (!settings.ok()) return settings.status();
  std::unique_ptr<MysqlBackend> backend(new MysqlBackend(options, *settings));
  absl::Status prepared = backend->Prepare();
  if (!prepared.ok()) return prepared;
  return backend;
}

absl::StatusOr<std::unique_ptr<LaneTxn>> MysqlBackend::BeginLane() {
  return MysqlLaneTxn::Begin(&session_, {}, {});
}

absl::StatusOr<std::unique_ptr<LaneTxn>> MysqlBackend::BeginLaneAndRead(
    absl::Span<const std::string_view> keys, absl::Span<Current> out, bool may_assume) {
  return MysqlLaneTxn::Begin(&session_, keys, out);
}

absl::StatusOr<std::unique_ptr<Snapshot>> MysqlBackend::OpenSnapshot() {
  return MysqlSnapshot::Open(&readers_, &session_.unknown());
}

absl::Status MysqlBackend::Get(std::string_view key, const RowSink& sink) {
  auto reader = readers_.Acquire();
  if (!reader.ok()) return reader.status();
  return GetLatest(&**reader, key, sink);
}

// The floor that was read can only have risen since.
absl::StatusOr<int64_t> MysqlBackend::DeleteHistory(int64_t max_rows) {
  if (session_.lane_open) return MakeStatus(Code::kBusy, "a lane transaction is open", name());
  if (max_rows <= 0) return 0;
  auto found =
      session_.Begin("reading the floor", "SELECT floor FROM stg_lane WHERE id = 1; ROLLBACK");
  if (!found.ok()) return found.status();
  const int64_t floor = found->results[0].Next() ? found->results[0].Int(0) : 0;
  auto deleted = session_.connection()->Run(
      "deleting old history", absl::StrCat("DELETE FROM stg_events WHERE rev <= ", floor,
                                           " ORDER BY rev LIMIT ", max_rows, "; COMMIT"));
  if (deleted.ok()) return deleted->affected[0];
  session_.Rollback();
  return deleted.status();
}

// InnoDB writes its pages and uses the space of deleted rows again by itself.
absl::StatusOr<bool> MysqlBackend::Maintain(bool idle) {
  if (session_.lane_open) return MakeStatus(Code::kBusy, "a lane transaction is open", name());
  if (idle) readers_.CloseIdle();
  return false;
}

absl::StatusOr<BackendStats> MysqlBackend::Stats() {
  auto snapshot = MysqlSnapshot::Open(&readers_, nullptr);
  if (!snapshot.ok()) return snapshot.status();
  BackendStats stats;
  absl::Status counted = (*snapshot)->Counters(&stats);
  if (!counted.ok()) return counted;
  return stats;
}

absl::StatusOr<int64_t> MysqlBackend::ReadHead() {
  auto reader = readers_.Acquire();
  if (!reader.ok()) return reader.status();
  auto rows = (*reader)->Select("asking for the lane", "SELECT head FROM stg_lane WHERE id = 1");
  if (!rows.ok()) return rows.status();
  if (rows->Next()) return rows->Int(0);
  return MakeStatus(Code::kCorrupt, "there is no lane row; restore a backup", name());
}

absl::Status MysqlBackend::Ping() { return ReadHead().status(); }

std::unique_ptr<HeadWatch> MysqlBackend::WatchHead() {
  return std::make_unique<PolledHead>([this] { return ReadHead(); });
}

}  // namespace mysql

absl::StatusOr<std::unique_ptr<Backend>> OpenMysqlBackend(const MysqlOptions& options) {
  return mysql::MysqlBackend::Open(options);
}

}  // namespace storage
