// The one connection that writes a file of objects and checkpoints it, with
// its statements and what it knows of the write-ahead log.
// Threads: the lane thread only.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_WRITER_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_WRITER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "src/backend/sqlite/ballast.h"
#include "src/backend/sqlite/connection.h"
#include "src/backend/sqlite/file.h"
#include "src/backend/sqlite/log_copier.h"
#include "src/backend/sqlite/options.h"
#include "src/backend/sqlite/reader_pool.h"
#include "src/backend/sqlite/schema.h"
#include "src/base/mutex.h"

namespace storage::sqlite {

// Batches whose COMMIT failed without a verdict, and the head before each: the
// rows of such a batch can only lie above it. Threads: any.
class UnknownTokens {
 public:
  void Add(int64_t token, int64_t head);
  int64_t HeadBefore(int64_t token);  // 0 when the token is not known here

 private:
  Mutex mutex_;
  std::map<int64_t, int64_t> heads_ ABSL_GUARDED_BY(mutex_);
};

struct WriterStatements {
  explicit WriterStatements(Connection* connection);
  Statement begin, commit, rollback;
  Statement lane, guard, void_lane, adopt, raise_floor;
  Statement read, find, create_event, change_event, create, update, remove, kind;
  Statement import, of_create_rev, discard;
  Statement free_pages, last_debt, delete_events;
};

class Writer {
 public:
  static absl::StatusOr<std::unique_ptr<Writer>> Open(const Site* site, const Settings& settings);
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // BEGIN IMMEDIATE, after ending what a failed transaction left behind.
  absl::Status Begin();
  // COMMIT; an error leaves no transaction open. Checkpoints when the log is
  // far too long; an error of that is not one of the commit.
  absl::Status Commit();
  void Rollback();
  // Passes an error on; a full disk spends the ballast on the way.
  absl::Status Failed(absl::Status status);

  // Commits of housekeeping need no sync of their own: the next synced commit
  // covers them, and losing them costs nothing.
  absl::Status SetRelaxed(bool relaxed);

  // Copies the log into the database; frames of open snapshots stay behind.
  absl::Status Checkpoint();
  int64_t frames_to_copy() const { return frames_ - copied_; }
  // Enough frames wait, and more came since some were held back.
  bool WantsCheckpoint(int64_t frames) const {
    return frames_to_copy() > frames && frames_ >= retry_at_;
  }
  // One step of copying a long log under load. The bulk of it happens on another
  // thread; the lane ends it, so that the log starts over.
  absl::Status CopyStep();
  // True now and then, after writes that may have freed pages.
  bool TimeToLookForFreePages();
  void LookForFreePages() { commits_ = kLookEvery; }

  // The log is longer than it should be: it starts over once all is copied.
  bool too_long() const { return frames_ > kCapFrames; }

  // Gives at most so many free pages back to the file system.
  absl::Status Vacuum(int64_t pages);

  // Grows the log by one step of zeros while it is shorter than the cap;
  // true = more to do. Overwriting blocks syncs faster than appending.
  absl::StatusOr<bool> GrowLog();

  // Who is told of changes; null = nobody (any more).
  void SetReaders(ReaderPool* readers) { readers_ = readers; }

  Connection& connection() { return *connection_; }
  WriterStatements& statements() { return statements_; }
  Ballast& ballast() { return *ballast_; }
  UnknownTokens& unknown() { return unknown_; }
  const Site& site() const { return connection_->site(); }
  const FileIdentity& file() const { return file_; }

  // Overwrites what is deleted from now on, and remembers it in the file with
  // the open transaction: the file holds encrypted kinds, whose plaintext from
  // before the encryption must not stay in free pages.
  absl::Status SecureDelete();

  // Forgets, with the open transaction, that commits of an earlier server may be
  // lost; the start that takes the lane has dealt with it.
  absl::Status EndRelaxed();

  bool lane_open = false;
  bool was_relaxed = false;  // not every commit so far was synced
  bool secure = false;       // SecureDelete was committed

  static constexpr int64_t kPageBytes = 4096;
  // Frames after which Maintain checkpoints: 16 MiB (docs/adr/0002).
  static constexpr int64_t kCapFrames = 4096;

 private:
  Writer(std::unique_ptr<Connection> connection, const Settings& settings,
         const FileIdentity& file);
  // Tells the readers that a change of the file begins, or that it is over.
  // Returns what was the case before.
  bool Changing(bool on);
  absl::Status RememberSecureDelete();
  absl::Status RememberRelaxed();
  absl::Status AfterFailedSync();
  // Result code of SQLite; counts what the log holds and what is copied.
  int CopyLog(int mode);
  static int OnCommit(void* self, struct sqlite3* db, const char* name, int frames);

  const std::unique_ptr<Connection> connection_;
  const Settings settings_;
  const FileIdentity file_;
  const std::shared_ptr<Ballast> ballast_;
  WriterStatements statements_;
  ReaderPool* readers_ = nullptr;
  bool changing_ = false;
  UnknownTokens unknown_;
  int64_t frames_ = 0;    // in the log since its last restart
  int64_t copied_ = 0;    // of them, already in the database
  int64_t retry_at_ = 0;  // frames at which a checkpoint is tried again
  static constexpr int64_t kLookEvery = 64;
  int64_t commits_ = kLookEvery;  // since free pages were looked for
  bool grown_ = false;            // the log is as long as it should be, or cannot be
  bool sync_failed_ = false;      // and what it left unsynced was not copied since
  bool strict_due_ = false;       // commits are relaxed still, which they must not be
  int rounds_ = 0;                // of the copier since the last checkpoint of the lane
  LogCopier copier_;              // last: it ends before the connection closes
};

}  // namespace storage::sqlite

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_WRITER_H_
