#include "src/backend/mysql/metadata.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/holder.h"
#include "src/backend/mysql/backend_impl.h"
#include "src/backend/mysql/claim.h"
#include "src/backend/mysql/schema.h"

namespace storage {
namespace mysql {
namespace {

std::string MarksSql(const Marks& marks) {
  if (marks.empty()) return "";
  std::string rows;
  for (const auto& [name, mark] : marks) {
    absl::StrAppend(&rows, rows.empty() ? "(" : ",(", Bytes(name), ",", Bytes(mark.identity), ",",
                    mark.confirmed, ")");
  }
  // From left to right: confirmed still sees the identity of before.
  return absl::StrCat("INSERT INTO stg_m_backends(name, identity, confirmed) VALUES", rows,
                      " ON DUPLICATE KEY UPDATE confirmed = IF(identity = VALUES(identity), "
                      "GREATEST(confirmed, VALUES(confirmed)), VALUES(confirmed)), identity = "
                      "VALUES(identity);");
}

bool SpreadOverNodes(const Connection& connection) {
  return connection.Fact("wsrep_on") == "on" || connection.Fact("wsrep_on") == "1";
}

}  // namespace

MysqlMetadata::~MysqlMetadata() {
  MutexLock lock(&mutex_);
  if (connection_ == nullptr || connection_->broken()) return;
  // So that who opens next need not wait until the server has noticed.
  ReleaseAll(connection_.get());
}

absl::StatusOr<Connection*> MysqlMetadata::Session() {
  if (connection_ != nullptr && (connection_->broken() || !connection_->LooksAlive())) {
    connection_.reset();
  }
  if (connection_ != nullptr) return connection_.get();
  auto connection = connector_.Connect(Role::kMetadata);
  if (!connection.ok()) return connection.status();
  absl::Status locked = NotBusy(ClaimAgain(connection->get()));
  if (!locked.ok()) {
    ReleaseAll(connection->get());
    return locked;
  }
  connection_ = *std::move(connection);
  return connection_.get();
}

absl::Status MysqlMetadata::ClaimAgain(Connection* connection) {
  if (!several_) return Claim(connection);
  absl::Status may = MayClaimAgain(absl::StrCat("the connection to ", site().where), site().name);
  return may.ok() ? ReclaimShared(connection, token_) : may;
}

absl::Status MysqlMetadata::Prepare() {
  auto setup = connector_.Connect(Role::kSetup);
  if (!setup.ok()) return setup.status();
  absl::Status status = CheckServer(**setup, connector_.settings());
  if (!status.ok()) return status;
  const std::string relaxed = RelaxedBecause(**setup);
  if (!relaxed.empty()) {
    return MakeStatus(Code::kInvalid,
                      absl::StrCat("the metadata store must not lose what it acknowledged, but on ",
                                   site().where, " ", relaxed,
                                   "; correct it on the server, or keep the metadata store "
                                   "elsewhere"),
                      site().name);
  }
  // Each node has named locks of its own: servers at different nodes would all be the first.
  if (SpreadOverNodes(**setup)) several_ = false;
  return PrepareTables(setup->get(), Tables::kMetadata);
}

absl::Status MysqlMetadata::Open() {
  absl::Status prepared = Prepare();
  if (!prepared.ok()) return prepared;
  auto connection = connector_.Connect(Role::kMetadata);
  if (!connection.ok()) return connection.status();
  bool only = true;
  absl::Status status =
      several_ ? ClaimShared(connection->get(), token_, &only) : Claim(connection->get());
  if (!status.ok()) {
    ReleaseAll(connection->get());
    return status;
  }
  joined_ = !only;
  MutexLock lock(&mutex_);
  if (several_) stage_ = Stage::kStarting;
  status = LoadState(connection->get(), true);
  if (!status.ok()) return status;
  connection_ = *std::move(connection);
  if (several_) return status;
  return Write(0, absl::StrCat("holder = ", Bytes(DescribeHolder())), "").status();
}

absl::Status MysqlMetadata::Peek() {
  auto connection = connector_.Connect(Role::kMetadata);
  if (!connection.ok()) return connection.status();
  const auto there = HasTables(connection->get(), Tables::kMetadata);
  if (!there.ok()) return there.status();
  MutexLock lock(&mutex_);
  return *there ? LoadState(connection->get(), false) : absl::OkStatus();
}

absl::Status MysqlMetadata::LoadState(Connection* connection, bool locked) {
  auto outcome = connection->Run(
      "reading the metadata store",
      absl::StrCat("START TRANSACTION; SELECT m_id, epoch, reserved, clean, topo_version, topo "
                   "FROM stg_m_state WHERE id = 1",
                   locked ? " FOR UPDATE" : "",
                   "; SELECT name, identity, confirmed FROM stg_m_backends; COMMIT"));
  if (!outcome.ok()) return outcome.status();
  Result& state = outcome->results[0];
  if (!state.Next()) {
    return MakeStatus(Code::kCorrupt, site().where + " has no state row; restore a backup",
                      site().name);
  }
  found_.m_id = std::string(state.Bytes(0));
  found_.epoch = epoch_ = state.Int(1);
  found_.reserved = state.Int(2);
  found_.clean = state.Int(3) != 0;
  found_.topo_version = state.Int(4);
  found_.topo = std::string(state.Bytes(5));
  // One that was never started has handed out nothing and is as good as new.
  found_.existed = found_.epoch > 0;
  found_.backends.clear();
  Result& backends = outcome->results[1];
  while (backends.Next()) {
    found_.backends[std::string(backends.Bytes(0))] =
        BackendMark{std::string(backends.Bytes(1)), backends.Int(2)};
  }
  return absl::OkStatus();
}

// A COMMIT without a verdict is an error: whoever reserves hands nothing out then,
// and every value may be written again.
absl::StatusOr<Outcome> MysqlMetadata::Write(int64_t starts, const std::string& set,
                                             const std::string& more) {
  const auto connection = Session();
  if (!connection.ok()) return connection.status();
  Outcome outcome =
      (*connection)
          ->Try("writing the metadata store",
                absl::StrCat("START TRANSACTION; UPDATE stg_m_state SET epoch = IF(epoch = ",
                             epoch_, " AND m_id = ", Bytes(found_.m_id), ", epoch + ", starts,
                             ", 9223372036854775807 + epoch + 1)", set.empty() ? "" : ", ", set,
                             " WHERE id = 1; ", more, "COMMIT"));
  if (outcome.error == 0) return outcome;
  return Lost(*connection, outcome);
}

absl::Status MysqlMetadata::Lost(Connection* connection, const Outcome& outcome) {
  absl::Status status = connection->Error(outcome, "writing the metadata store");
  const bool ended = !connection->broken() && connection->Run("rolling back", "ROLLBACK").ok();
  if (outcome.error == kGuardError && ended) {
    auto rows = connection->Select("reading the epoch",
                                   "SELECT epoch, holder FROM stg_m_state WHERE id = 1");
    std::string by;
    if (rows.ok() && rows->Next()) {
      by = absl::StrCat(" (epoch ", rows->Int(0), ", ours is ", epoch_, ", by ",
                        std::string(rows->Bytes(1)), ")");
    }
    status = MakeStatus(Code::kUnavailable,
                        absl::StrCat("another process took the metadata store in ", site().where,
                                     " over", by, "; stop one of the two"),
                        site().name);
  }
  if (!ended) connection_.reset();
  return status;
}

// From the epoch that was found at open: another start since then is noticed.
absl::StatusOr<int64_t> MysqlMetadata::Start() {
  MutexLock lock(&mutex_);
  absl::Status status =
      Write(1, absl::StrCat("clean = 0, holder = ", Bytes(DescribeHolder())), "").status();
  if (!status.ok()) return status;
  return ++epoch_;
}

absl::Status MysqlMetadata::Reserve(int64_t upto, const Marks& marks) {
  MutexLock lock(&mutex_);
  return Write(0, absl::StrCat("reserved = GREATEST(reserved, ", upto, "), clean = 0"),
               MarksSql(marks))
      .status();
}

absl::Status MysqlMetadata::SetTopology(int64_t version, const std::string& topo) {
  MutexLock lock(&mutex_);
  return Write(0, absl::StrCat("topo_version = ", version, ", topo = ", Bytes(topo)), "").status();
}

absl::Status MysqlMetadata::MarkTime(int64_t unix_s, int64_t rev) {
  MutexLock lock(&mutex_);
  return Write(0, "", absl::StrCat("REPLACE INTO stg_m_clock VALUES(", unix_s, ", ", rev, ");"))
      .status();
}

absl::StatusOr<int64_t> MysqlMetadata::RevisionAt(int64_t unix_s) {
  MutexLock lock(&mutex_);
  const auto connection = Session();
  if (!connection.ok()) return connection.status();
  auto rows =
      (*connection)
          ->Select("reading the clock",
                   absl::StrCat("SELECT MAX(rev) FROM stg_m_clock WHERE unix_s <= ", unix_s));
  if (!rows.ok()) return rows.status();
  return rows->Next() ? rows->Int(0) : 0;
}

absl::Status MysqlMetadata::ForgetBefore(int64_t unix_s) {
  MutexLock lock(&mutex_);
  return Write(0, "", absl::StrCat("DELETE FROM stg_m_clock WHERE unix_s < ", unix_s, ";"))
      .status();
}

absl::Status MysqlMetadata::Finish(int64_t rev, const Marks& marks) {
  MutexLock lock(&mutex_);
  const std::string set = several_ ? absl::StrCat("clean = (reserved = ", rev, ")")
                                   : absl::StrCat("reserved = ", rev, ", clean = 1");
  return Write(0, set, MarksSql(marks)).status();
}

absl::Status MysqlMetadata::Ping() {
  MutexLock lock(&mutex_);
  const auto connection = Session();
  if (!connection.ok()) return connection.status();
  return (*connection)->Select("asking for the epoch", "SELECT epoch FROM stg_m_state").status();
}

}  // namespace mysql

absl::StatusOr<std::unique_ptr<MetadataStore>> OpenMysqlMetadata(const MysqlOptions& options,
                                                                 bool several) {
  const auto settings = mysql::ParseOptions(options);
  if (!settings.ok()) return settings.status();
  auto store = std::make_unique<mysql::MysqlMetadata>(options, *settings, several);
  absl::Status opened = store->Open();
  if (!opened.ok()) return opened;
  return store;
}

absl::StatusOr<MetaState> PeekMysqlMetadata(const MysqlOptions& options) {
  const auto settings = mysql::ParseOptions(options);
  if (!settings.ok()) return settings.status();
  mysql::MysqlMetadata store(options, *settings, false);
  if (absl::Status peeked = store.Peek(); !peeked.ok()) return peeked;
  return store.found();
}

}  // namespace storage
