// Backend on one SQLite file: the writer, the readers, the lock.
// Threads: as Backend; what touches the writer belongs to the lane thread.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_SQLITE_BACKEND_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_SQLITE_BACKEND_H_

#include <memory>
#include <string>
#include <vector>

#include "src/backend/backend.h"
#include "src/backend/sqlite/lock.h"
#include "src/backend/sqlite/reader_pool.h"
#include "src/backend/sqlite/sqlite.h"
#include "src/backend/sqlite/writer.h"

namespace storage::sqlite {

// When Maintain does what. Tests make it happen with little data.
struct Upkeep {
  // Frames after which an idle lane checkpoints: earlier than a busy one, so
  // that a busy one seldom has to.
  int64_t idle_frames = Writer::kCapFrames / 4;
  // Pages moved in one step; each may dirty two.
  int64_t vacuum_pages = 64;
  // Free pages kept for the next writes, at least: 8 MiB. Also a quarter of the file.
  int64_t keep_free_pages = 2048;
  bool grow_log = true;
};

class SqliteBackend : public Backend {
 public:
  static absl::StatusOr<std::unique_ptr<SqliteBackend>> Open(const SqliteOptions& options);
  ~SqliteBackend() override;

  const std::string& name() const override { return site_.name; }
  const std::string& identity() const override { return identity_; }
  bool fast_reads() const override { return true; }
  bool durable() const override { return writer_ == nullptr || !writer_->was_relaxed; }

  absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLane() override;
  absl::StatusOr<std::unique_ptr<Snapshot>> OpenSnapshot() override;
  absl::Status Get(std::string_view key, const RowSink& sink) override;
  absl::StatusOr<int64_t> DeleteHistory(int64_t max_rows) override;
  absl::StatusOr<bool> Maintain(bool idle) override;
  absl::StatusOr<BackendStats> Stats() override;
  absl::Status Ping() override;

  static void SetUpkeepForTest(const Upkeep& upkeep);
  // "query_only=.. wal_autocheckpoint=.." of the writer and of one reader.
  absl::StatusOr<std::vector<std::string>> PragmasForTest();
  int KeptForTest() const { return readers_->KeptForTest(); }

 private:
  SqliteBackend(const SqliteOptions& options, const Settings& settings);
  absl::Status OpenFile(bool read_only);
  absl::Status CheckLog() const;
  absl::Status NotWritable() const;
  absl::Status LaneOpen() const;
  absl::StatusOr<int64_t> DeleteRows(int64_t max_rows);
  absl::StatusOr<bool> GiveBack();
  absl::StatusOr<bool> MaintainLog();

  Site site_;
  const Settings settings_;
  std::string identity_;
  FileIdentity file_;
  std::string log_path_;  // "" = not looked at
  FileIdentity log_;
  bool shortened_ = false;  // pages were given back since the last checkpoint; lane thread
  // Destroyed from the last: the writer closes after all readers, so that it
  // checkpoints and removes the log, and under the lock.
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<Writer> writer_;  // null when read-only
  std::unique_ptr<ReaderPool> readers_;
};

}  // namespace storage::sqlite

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_SQLITE_BACKEND_H_
