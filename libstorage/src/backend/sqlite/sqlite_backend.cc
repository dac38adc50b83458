#include "src/backend/sqlite/sqlite_backend.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "src/backend/sqlite/lane_txn.h"
#include "src/backend/sqlite/schema.h"
#include "src/backend/sqlite/snapshot.h"

namespace storage {
namespace sqlite {

SqliteBackend::SqliteBackend(const SqliteOptions& options, const Settings& settings)
    : site_{options.name, options.path, options.logger, options.slow_sql_ms * 1000000},
      settings_(settings) {}

absl::StatusOr<std::unique_ptr<SqliteBackend>> SqliteBackend::Open(const SqliteOptions& options) {
  const auto settings = ParseOptions(options);
  if (!settings.ok()) return settings.status();
  std::unique_ptr<SqliteBackend> backend(new SqliteBackend(options, *settings));
  if (!settings->without_effect.empty()) {
    Log(backend->site_, LogLevel::kInfo,
        absl::StrCat("options without effect here: ",
                     absl::StrJoin(settings->without_effect, ", ")));
  }
  absl::Status opened = backend->OpenFile(options.read_only);
  if (!opened.ok()) return opened;
  return backend;
}

SqliteBackend::~SqliteBackend() {
  if (writer_ != nullptr) writer_->SetReaders(nullptr);
}

absl::Status SqliteBackend::OpenFile(bool read_only) {
  if (!read_only) {
    absl::Status created = CreateFile(site_);
    if (!created.ok()) return created;
    auto lock = FileLock::Acquire(site_);
    if (!lock.ok()) return lock.status();
    lock_ = *std::move(lock);
    auto writer = Writer::Open(&site_, settings_);
    if (!writer.ok()) return writer.status();
    writer_ = *std::move(writer);
  }
  readers_ = std::make_unique<ReaderPool>(&site_, settings_, read_only);
  if (writer_ != nullptr) writer_->SetReaders(readers_.get());
  const auto file = IdentifyFile(site_);
  if (!file.ok()) return file.status();
  file_ = *file;
  auto reader = readers_->Acquire();
  if (!reader.ok()) return reader.status();
  Connection* const connection = (*reader)->connection.get();
  absl::Status legal = CheckFile(connection, FileKind::kObjects);
  if (!legal.ok()) return legal;
  auto identity = ReadMeta(connection, "identity");
  if (!identity.ok()) return identity.status();
  identity_ = *std::move(identity);
  if (read_only) return absl::OkStatus();
  std::error_code error;  // SQLite keeps the log beside the file that a link points to
  log_path_ = std::filesystem::canonical(site_.path, error).string() + "-wal";
  const auto log = IdentifyFile(Site{site_.name, log_path_});
  if (!log.ok()) log_path_.clear();
  if (log.ok()) log_ = *log;
  return absl::OkStatus();
}

// SQLite does not look whether its log still has a name, and would acknowledge
// what no restart finds.
absl::Status SqliteBackend::CheckLog() const {
  if (log_path_.empty() || CheckSameFile(Site{site_.name, log_path_}, log_).ok()) {
    return absl::OkStatus();
  }
  return MakeStatus(Code::kUnavailable,
                    absl::StrCat(log_path_,
                                 " was removed or replaced while it was open: nothing is "
                                 "written any more, and a crash would lose the last writes; "
                                 "stop the server with SIGTERM, which saves them, and start "
                                 "it again"),
                    site_.name);
}

absl::Status SqliteBackend::NotWritable() const {
  return MakeStatus(Code::kReadOnly, site_.path + " was opened for reading only", site_.name);
}

absl::Status SqliteBackend::LaneOpen() const {
  return MakeStatus(Code::kBusy, "a lane transaction is open", site_.name);
}

absl::StatusOr<std::unique_ptr<LaneTxn>> SqliteBackend::BeginLane() {
  if (writer_ == nullptr) return NotWritable();
  if (absl::Status log = CheckLog(); !log.ok()) return log;
  return SqliteLaneTxn::Begin(writer_.get());
}

absl::StatusOr<std::unique_ptr<Snapshot>> SqliteBackend::OpenSnapshot() {
  return SqliteSnapshot::Open(readers_.get(), writer_ == nullptr ? nullptr : &writer_->unknown());
}

absl::Status SqliteBackend::Get(std::string_view key, const RowSink& sink) {
  auto reader = readers_->Acquire();
  if (!reader.ok()) return reader.status();
  return GetLatest(&**reader, key, sink);
}

absl::StatusOr<BackendStats> SqliteBackend::Stats() {
  BackendStats stats;
  auto snapshot = SqliteSnapshot::Open(readers_.get(), nullptr);
  if (!snapshot.ok()) return snapshot.status();
  absl::Status counted = (*snapshot)->Counters(&stats);
  if (!counted.ok()) return counted;
  stats.file_bytes = FileBytes(site_, "") + FileBytes(site_, "-wal");
  return stats;
}

absl::Status SqliteBackend::Ping() {
  absl::Status same = CheckSameFile(site_, file_);
  if (!same.ok()) return same;
  if (absl::Status log = CheckLog(); !log.ok()) return log;
  auto snapshot = SqliteSnapshot::Open(readers_.get(), nullptr);
  return snapshot.status();
}

absl::StatusOr<std::vector<std::string>> SqliteBackend::PragmasForTest() {
  auto reader = readers_->Acquire();
  if (!reader.ok()) return reader.status();
  std::vector<std::string> found;
  for (Connection* connection : {&writer_->connection(), (*reader)->connection.get()}) {
    std::string text;
    for (const char* pragma : {"query_only", "wal_autocheckpoint", "synchronous", "auto_vacuum",
                               "page_size", "secure_delete"}) {
      const auto value = connection->QueryInt(absl::StrCat("PRAGMA ", pragma));
      if (!value.ok()) return value.status();
      absl::StrAppend(&text, pragma, "=", *value, " ");
    }
    found.push_back(text);
  }
  return found;
}

}  // namespace sqlite

absl::StatusOr<std::unique_ptr<Backend>> OpenSqliteBackend(const SqliteOptions& options) {
  return sqlite::SqliteBackend::Open(options);
}

}  // namespace storage
