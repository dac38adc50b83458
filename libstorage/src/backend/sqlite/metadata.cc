// MetadataStore in a SQLite file of its own.
#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "src/backend/checks.h"
#include "src/backend/sqlite/ballast.h"
#include "src/backend/sqlite/connection.h"
#include "src/backend/sqlite/lock.h"
#include "src/backend/sqlite/schema.h"
#include "src/backend/sqlite/sqlite.h"
#include "src/backend/sqlite/writer.h"
#include "src/base/mutex.h"

namespace storage {
namespace sqlite {
namespace {

using Marks = std::map<std::string, BackendMark>;

class SqliteMetadata : public MetadataStore {
 public:
  explicit SqliteMetadata(const SqliteOptions& options)
      : site_{options.name, options.path, options.logger, options.slow_sql_ms * 1000000},
        read_only_(options.read_only) {}

  absl::Status Open(Settings settings);

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
  absl::Status OpenForWriting(const Settings& settings);
  absl::Status LoadState();
  absl::StatusOr<int64_t> MetaInt(const char* name);
  // Runs body in one synced transaction; a full disk gets a second try with
  // the ballast gone. mutex_ is held.
  template <typename Body>
  absl::Status Write(const Body& body);
  template <typename Body>
  absl::Status WriteOnce(const Body& body);
  absl::Status StillOurs();
  absl::Status PutMarks(const Marks& marks);
  absl::Status PutInt(const char* name, int64_t value);

  const Site site_;
  const bool read_only_;
  Mutex mutex_;
  std::unique_ptr<FileLock> lock_;
  std::shared_ptr<Ballast> ballast_;
  std::unique_ptr<Connection> connection_;  // guarded by mutex_
  FileIdentity file_;
  MetaState found_;
  int64_t epoch_ = 0;  // of Start(), 0 before; guarded by mutex_
};

absl::Status SqliteMetadata::OpenForWriting(const Settings& settings) {
  absl::Status created = CreateFile(site_);
  if (!created.ok()) return created;
  auto lock = FileLock::Acquire(site_);
  if (!lock.ok()) return lock.status();
  lock_ = *std::move(lock);
  ballast_ = Ballast::For(site_);
  auto connection = Connection::Open(&site_, Connection::Mode::kCreate, settings.busy_ms);
  if (!connection.ok()) return connection.status();
  connection_ = *std::move(connection);
  absl::Status prepared = PrepareFile(connection_.get(), FileKind::kMetadata, settings);
  if (!prepared.ok()) return prepared;
  // Small and written seldom: its log need not be held back.
  return connection_->Exec("PRAGMA wal_autocheckpoint=256");
}

absl::Status SqliteMetadata::Open(Settings settings) {
  // What was handed out must survive, whatever the data may lose.
  settings.synchronous = std::max(settings.synchronous, Synchronous::kFull);
  if (!read_only_) {
    absl::Status opened = OpenForWriting(settings);
    if (!opened.ok()) return opened;
  } else {
    auto connection = Connection::Open(&site_, Connection::Mode::kReadOnly, settings.busy_ms);
    if (!connection.ok()) return connection.status();
    connection_ = *std::move(connection);
    absl::Status set = SetReaderPragmas(connection_.get(), settings);
    if (!set.ok()) return set;
  }
  absl::Status legal = CheckFile(connection_.get(), FileKind::kMetadata);
  if (!legal.ok()) return legal;
  const auto file = IdentifyFile(site_);
  if (!file.ok()) return file.status();
  file_ = *file;
  if (!read_only_) return LoadState();
  // A server may write it meanwhile: all of it as of one moment.
  absl::Status status = connection_->Exec("BEGIN");
  if (status.ok()) status = LoadState();
  if (connection_->in_transaction()) connection_->Exec("ROLLBACK").IgnoreError();
  return status;
}

absl::StatusOr<int64_t> SqliteMetadata::MetaInt(const char* name) {
  const auto text = ReadMeta(connection_.get(), name);
  if (!text.ok()) return text.status();
  int64_t value = 0;
  if (text->empty() || absl::SimpleAtoi(*text, &value)) return value;
  return MakeStatus(Code::kCorrupt,
                    site_.path + " has no number for '" + name +
                        "' in its table meta; restore a "
                        "backup, or remove the file to start a new history",
                    site_.name);
}

absl::Status SqliteMetadata::LoadState() {
  struct Number {
    const char* name;
    int64_t* value;
  };
  int64_t clean = 0;
  const Number numbers[] = {{"epoch", &found_.epoch},
                            {"reserved", &found_.reserved},
                            {"clean", &clean},
                            {"topo_version", &found_.topo_version}};
  for (const Number& number : numbers) {
    const auto value = MetaInt(number.name);
    if (!value.ok()) return value.status();
    *number.value = *value;
  }
  found_.clean = clean != 0;
  auto m_id = ReadMeta(connection_.get(), "identity");
  if (!m_id.ok()) return m_id.status();
  found_.m_id = *std::move(m_id);
  auto topo = ReadMeta(connection_.get(), "topo");
  if (!topo.ok()) return topo.status();
  found_.topo = *std::move(topo);
  // Made and started are two transactions; a store that was never started has
  // handed out nothing and is as good as new.
  found_.existed = found_.epoch > 0;
  Statement statement(connection_.get(), "SELECT name, identity, confirmed FROM backends");
  Query query(&statement);
  while (query.Step()) {
    found_.backends[std::string(query.Blob(0))] =
        BackendMark{std::string(query.Blob(1)), query.Int(2)};
  }
  return query.status("reading the backends");
}

template <typename Body>
absl::Status SqliteMetadata::WriteOnce(const Body& body) {
  absl::Status status = CheckSameFile(site_, file_);
  if (!status.ok()) return status;
  status = connection_->Exec("BEGIN IMMEDIATE");
  if (status.ok()) status = StillOurs();
  if (status.ok()) status = body();
  if (status.ok()) status = connection_->Exec("COMMIT");
  if (connection_->in_transaction()) connection_->Exec("ROLLBACK").IgnoreError();
  return status;
}

// A server that was replaced while it was stopped, or whose lock file was removed,
// must not lower what its successor reserved, nor call that one's end a clean one.
absl::Status SqliteMetadata::StillOurs() {
  if (epoch_ == 0) return absl::OkStatus();
  const auto epoch = MetaInt("epoch");
  if (!epoch.ok() || *epoch == epoch_) return epoch.status();
  return MakeStatus(Code::kUnavailable,
                    absl::StrCat("another process took ", site_.path, " over (epoch ", *epoch,
                                 ", ours is ", epoch_, "); stop one of the two"),
                    site_.name);
}

// A COMMIT without a verdict is an error here: whoever reserves hands nothing
// out then, and every value may be written again.
template <typename Body>
absl::Status SqliteMetadata::Write(const Body& body) {
  if (read_only_) {
    return MakeStatus(Code::kReadOnly, site_.path + " was opened for reading only", site_.name);
  }
  absl::Status status = WriteOnce(body);
  if (CodeOf(status) != Code::kNoSpace) return status;
  ballast_->Spend(site_);
  return WriteOnce(body);
}

absl::Status SqliteMetadata::PutInt(const char* name, int64_t value) {
  return WriteMeta(connection_.get(), name, std::to_string(value));
}

absl::Status SqliteMetadata::PutMarks(const Marks& marks) {
  Statement statement(connection_.get(),
                      "INSERT INTO backends VALUES(?1, ?2, ?3) ON CONFLICT(name) DO UPDATE SET "
                      "confirmed = CASE WHEN identity = excluded.identity "
                      "THEN max(confirmed, excluded.confirmed) ELSE excluded.confirmed END, "
                      "identity = excluded.identity");
  for (const auto& [name, mark] : marks) {
    Query query(&statement);
    query.BindText(1, name).BindText(2, mark.identity).Bind(3, mark.confirmed);
    absl::Status status = query.Run("writing the backends");
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> SqliteMetadata::Start() {
  MutexLock lock(&mutex_);
  int64_t epoch = 0;
  absl::Status status = Write([&]() -> absl::Status {
    const auto before = MetaInt("epoch");
    if (!before.ok()) return before.status();
    epoch = *before + 1;
    absl::Status put = PutInt("epoch", epoch);
    if (put.ok()) put = PutInt("clean", 0);
    return put;
  });
  if (!status.ok()) return status;
  epoch_ = epoch;
  return epoch;
}

absl::Status SqliteMetadata::Reserve(int64_t upto, const Marks& marks) {
  MutexLock lock(&mutex_);
  return Write([&]() -> absl::Status {
    const auto before = MetaInt("reserved");
    if (!before.ok()) return before.status();
    absl::Status put = PutInt("reserved", std::max(*before, upto));
    if (put.ok()) put = PutInt("clean", 0);
    if (put.ok()) put = PutMarks(marks);
    return put;
  });
}

absl::Status SqliteMetadata::SetTopology(int64_t version, const std::string& topo) {
  MutexLock lock(&mutex_);
  return Write([&]() -> absl::Status {
    const absl::Status put = PutInt("topo_version", version);
    return put.ok() ? WriteMeta(connection_.get(), "topo", topo) : put;
  });
}

absl::Status SqliteMetadata::MarkTime(int64_t unix_s, int64_t rev) {
  MutexLock lock(&mutex_);
  return Write([&]() -> absl::Status {
    Statement statement(connection_.get(), "REPLACE INTO clock VALUES(?1, ?2)");
    Query query(&statement);
    return query.Bind(1, unix_s).Bind(2, rev).Run("marking the time");
  });
}

absl::StatusOr<int64_t> SqliteMetadata::RevisionAt(int64_t unix_s) {
  MutexLock lock(&mutex_);
  Statement statement(connection_.get(), "SELECT max(rev) FROM clock WHERE unix_s <= ?1");
  Query query(&statement);
  query.Bind(1, unix_s);
  const int64_t rev = query.Step() ? query.Int(0) : 0;
  absl::Status status = query.status("reading the clock");
  if (!status.ok()) return status;
  return rev;
}

absl::Status SqliteMetadata::ForgetBefore(int64_t unix_s) {
  MutexLock lock(&mutex_);
  return Write([&]() -> absl::Status {
    Statement statement(connection_.get(), "DELETE FROM clock WHERE unix_s < ?1");
    Query query(&statement);
    return query.Bind(1, unix_s).Run("shortening the clock");
  });
}

absl::Status SqliteMetadata::Finish(int64_t rev, const Marks& marks) {
  MutexLock lock(&mutex_);
  return Write([&]() -> absl::Status {
    absl::Status put = PutInt("reserved", rev);
    if (put.ok()) put = PutInt("clean", 1);
    if (put.ok()) put = PutMarks(marks);
    return put;
  });
}

absl::Status SqliteMetadata::Ping() {
  MutexLock lock(&mutex_);
  absl::Status same = CheckSameFile(site_, file_);
  if (!same.ok()) return same;
  return ReadMeta(connection_.get(), "epoch").status();
}

}  // namespace
}  // namespace sqlite

absl::StatusOr<std::unique_ptr<MetadataStore>> OpenSqliteMetadata(const SqliteOptions& options) {
  const auto settings = sqlite::ParseOptions(options);
  if (!settings.ok()) return settings.status();
  auto store = std::make_unique<sqlite::SqliteMetadata>(options);
  absl::Status opened = store->Open(*settings);
  if (!opened.ok()) return opened;
  return store;
}

absl::StatusOr<MetaState> PeekSqliteMetadata(SqliteOptions options) {
  options.read_only = true;
  const auto store = OpenSqliteMetadata(options);
  if (!store.ok()) return store.status();
  return (*store)->found();
}

}  // namespace storage
