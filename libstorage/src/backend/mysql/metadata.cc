// MetadataStore in tables of a MySQL database.
//
// One session does everything and holds a named lock of the server as long as it
// lives: another process is refused, and what this one had in flight is over
// before another can have the lock. Beside that every write names the epoch that
// it belongs to, in the statement itself.
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "src/backend/mysql/backend_impl.h"
#include "src/backend/mysql/connector.h"
#include "src/backend/mysql/mysql_backend.h"
#include "src/backend/mysql/schema.h"
#include "src/base/mutex.h"

namespace storage {
namespace mysql {
namespace {

using Marks = std::map<std::string, BackendMark>;

constexpr char kLock[] = "CONCAT('stg.meta.', SHA1(DATABASE()))";

std::string Us() {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat("process ", getpid(), " on ", host);
}

class MysqlMetadata : public MetadataStore {
 public:
  MysqlMetadata(const MysqlOptions& options, const Settings& settings)
      : connector_(options, settings) {}
  ~MysqlMetadata() override;

  absl::Status Open();

  const MetaState& found() const override { return found_; }
  absl::StatusOr<int64_t> Start() override;
  absl::Status Reserve(int64_t upto, const Marks& marks) override;
  absl::Status SetTopology(int64_t version, const std::string& topo) override;
  absl::Status MarkTime(int64_t unix_s, int64_t rev) override;
  absl::StatusOr<int64_t> RevisionAt(int64_t unix_s) override;
  absl::Status ForgetBefore(int64_t unix_s) override;
  absl::Status Finish(int64_t rev, const Marks& marks) override;
  absl::Status Ping() override;

 private:
  // A session that holds the lock.
  absl::StatusOr<Connection*> Session() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TakeLock(Connection* connection);
  absl::Status Held(Connection* connection);
  absl::Status Prepare();
  absl::Status LoadState(Connection* connection);
  // One transaction: the state row, if it is still in our epoch, whose epoch grows by
  // starts; then more statements, each with its ';'.
  absl::Status Write(int64_t starts, const std::string& set, const std::string& more)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Lost(Connection* connection, const Outcome& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Site& site() const { return connector_.site(); }

  Connector connector_;
  Mutex mutex_;
  std::unique_ptr<Connection> connection_ ABSL_GUARDED_BY(mutex_);
  MetaState found_;
  int64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;  // that the store must be in
};

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

MysqlMetadata::~MysqlMetadata() {
  MutexLock lock(&mutex_);
  if (connection_ == nullptr || connection_->broken()) return;
  // So that who opens next need not wait until the server has noticed.
  connection_->Run("unlocking", absl::StrCat("SELECT RELEASE_LOCK(", kLock, ")"))
      .status()
      .IgnoreError();
}

absl::Status MysqlMetadata::Held(Connection* connection) {
  auto rows = connection->Select(
      "asking who holds the metadata store",
      absl::StrCat("SELECT holder, IS_USED_LOCK(", kLock, ") FROM stg_m_state WHERE id = 1"));
  std::string holder = "another process";
  int64_t session = 0;
  if (rows.ok() && rows->Next()) {
    if (!rows->Bytes(0).empty()) holder = std::string(rows->Bytes(0));
    session = rows->Int(1);
  }
  return MakeStatus(
      Code::kBusy,
      absl::StrCat("the metadata store in ", site().where, " is in use by ", holder, " (session ",
                   session, "); stop it, or, when its machine is gone for good, run KILL ", session,
                   " on the server"),
      site().name);
}

absl::Status MysqlMetadata::TakeLock(Connection* connection) {
  // A second, for the session of a predecessor that the server has not yet ended.
  auto locked = connection->Select("locking the metadata store",
                                   absl::StrCat("SELECT GET_LOCK(", kLock, ", 1)"));
  if (!locked.ok()) return locked.status();
  if (!locked->Next() || locked->Int(0) != 1) return Held(connection);
  return absl::OkStatus();
}

absl::StatusOr<Connection*> MysqlMetadata::Session() {
  if (connection_ != nullptr && (connection_->broken() || !connection_->LooksAlive())) {
    connection_.reset();
  }
  if (connection_ != nullptr) return connection_.get();
  auto connection = connector_.Connect(Role::kMetadata);
  if (!connection.ok()) return connection.status();
  absl::Status locked = TakeLock(connection->get());
  if (CodeOf(locked) == Code::kBusy) {
    locked = MakeStatus(Code::kUnavailable, std::string(locked.message()), site().name);
  }
  if (!locked.ok()) return locked;
  connection_ = *std::move(connection);
  return connection_.get();
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
  return PrepareTables(setup->get(), Tables::kMetadata);
}

absl::Status MysqlMetadata::Open() {
  absl::Status prepared = Prepare();
  if (!prepared.ok()) return prepared;
  auto connection = connector_.Connect(Role::kMetadata);
  if (!connection.ok()) return connection.status();
  absl::Status status = TakeLock(connection->get());
  if (status.ok()) status = LoadState(connection->get());
  if (!status.ok()) return status;
  MutexLock lock(&mutex_);
  connection_ = *std::move(connection);
  epoch_ = found_.epoch;
  return Write(0, absl::StrCat("holder = ", Bytes(Us())), "");
}

absl::Status MysqlMetadata::LoadState(Connection* connection) {
  auto outcome = connection->Run(
      "reading the metadata store",
      "START TRANSACTION; SELECT m_id, epoch, reserved, clean, topo_version, topo FROM stg_m_state "
      "WHERE id = 1 FOR UPDATE; SELECT name, identity, confirmed FROM stg_m_backends; COMMIT");
  if (!outcome.ok()) return outcome.status();
  Result& state = outcome->results[0];
  if (!state.Next()) {
    return MakeStatus(Code::kCorrupt, site().where + " has no state row; restore a backup",
                      site().name);
  }
  found_.m_id = std::string(state.Bytes(0));
  found_.epoch = state.Int(1);
  found_.reserved = state.Int(2);
  found_.clean = state.Int(3) != 0;
  found_.topo_version = state.Int(4);
  found_.topo = std::string(state.Bytes(5));
  // One that was never started has handed out nothing and is as good as new.
  found_.existed = found_.epoch > 0;
  Result& backends = outcome->results[1];
  while (backends.Next()) {
    found_.backends[std::string(backends.Bytes(0))] =
        BackendMark{std::string(backends.Bytes(1)), backends.Int(2)};
  }
  return absl::OkStatus();
}

// A COMMIT without a verdict is an error: whoever reserves hands nothing out then,
// and every value may be written again.
absl::Status MysqlMetadata::Write(int64_t starts, const std::string& set, const std::string& more) {
  const auto connection = Session();
  if (!connection.ok()) return connection.status();
  const Outcome outcome =
      (*connection)
          ->Try("writing the metadata store",
                absl::StrCat("START TRANSACTION; UPDATE stg_m_state SET epoch = "
                             "IF(epoch = ",
                             epoch_, ", epoch + ", starts, ", 9223372036854775807 + epoch + 1)",
                             set.empty() ? "" : ", ", set, " WHERE id = 1; ", more, "COMMIT"));
  if (outcome.error == 0) return absl::OkStatus();
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
  absl::Status status = Write(1, absl::StrCat("clean = 0, holder = ", Bytes(Us())), "");
  if (!status.ok()) return status;
  return ++epoch_;
}

absl::Status MysqlMetadata::Reserve(int64_t upto, const Marks& marks) {
  MutexLock lock(&mutex_);
  return Write(0, absl::StrCat("reserved = GREATEST(reserved, ", upto, "), clean = 0"),
               MarksSql(marks));
}

absl::Status MysqlMetadata::SetTopology(int64_t version, const std::string& topo) {
  MutexLock lock(&mutex_);
  return Write(0, absl::StrCat("topo_version = ", version, ", topo = ", Bytes(topo)), "");
}

absl::Status MysqlMetadata::MarkTime(int64_t unix_s, int64_t rev) {
  MutexLock lock(&mutex_);
  return Write(0, "", absl::StrCat("REPLACE INTO stg_m_clock VALUES(", unix_s, ", ", rev, ");"));
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
  return Write(0, "", absl::StrCat("DELETE FROM stg_m_clock WHERE unix_s < ", unix_s, ";"));
}

absl::Status MysqlMetadata::Finish(int64_t rev, const Marks& marks) {
  MutexLock lock(&mutex_);
  return Write(0, absl::StrCat("reserved = ", rev, ", clean = 1"), MarksSql(marks));
}

absl::Status MysqlMetadata::Ping() {
  MutexLock lock(&mutex_);
  const auto connection = Session();
  if (!connection.ok()) return connection.status();
  return (*connection)->Select("asking for the epoch", "SELECT epoch FROM stg_m_state").status();
}

}  // namespace
}  // namespace mysql

absl::StatusOr<std::unique_ptr<MetadataStore>> OpenMysqlMetadata(const MysqlOptions& options) {
  const auto settings = mysql::ParseOptions(options);
  if (!settings.ok()) return settings.status();
  auto store = std::make_unique<mysql::MysqlMetadata>(options, *settings);
  absl::Status opened = store->Open();
  if (!opened.ok()) return opened;
  return store;
}

}  // namespace storage
