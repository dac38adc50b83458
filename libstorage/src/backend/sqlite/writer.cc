#include "src/backend/sqlite/writer.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/sqlite/log_vfs.h"

namespace storage::sqlite {
namespace {

constexpr int64_t kGrowStep = 1 << 20;
// Readers that never let go of the log keep it from starting over; past this
// many caps the writer waits for them, shortly, at each checkpoint.
constexpr int64_t kWaitCaps = 4;
constexpr int kWaitMs = 20;
// What the copier leaves to the lane: a millisecond of work. Under a load that
// writes faster than it copies, the lane goes on after some rounds.
constexpr int64_t kTailFrames = 128;
constexpr int kRounds = 4;

constexpr char kSecureDelete[] = "secure_delete";  // in the table meta
constexpr char kRelaxed[] = "relaxed";             // in the table meta

}  // namespace

void UnknownTokens::Add(int64_t token, int64_t head) {
  MutexLock lock(&mutex_);
  heads_[token] = head;
}

int64_t UnknownTokens::HeadBefore(int64_t token) {
  MutexLock lock(&mutex_);
  const auto it = heads_.find(token);
  return it == heads_.end() ? 0 : it->second;
}

#define OWNER " WHERE id = 1 AND ver = ?1 AND m_id = ?2 AND epoch = ?3 AND gen = ?4"

WriterStatements::WriterStatements(Connection* c)
    : begin(c, "BEGIN IMMEDIATE"),
      commit(c, "COMMIT"),
      rollback(c, "ROLLBACK"),
      lane(c, kSelectLane),
      guard(c, "UPDATE lane SET head = ?6, ver = ver + 1, seq = ?7, seq_bytes = ?8" OWNER
               " AND head < ?5"),
      void_lane(c, "UPDATE lane SET head = max(head, ?5), ver = ver + 1" OWNER),
      adopt(c,
            "UPDATE lane SET m_id = ?2, epoch = ?3, gen = ?4, head = ?5, floor = ?6, "
            "ver = ver + 1 WHERE id = 1 AND ver = ?1"),
      raise_floor(c, "UPDATE lane SET floor = max(floor, min(?5, head)), ver = ver + 1" OWNER),
      read(c, "SELECT create_rev, mod_rev, expire_ms, value FROM objects WHERE key = ?1"),
      find(c, "SELECT create_rev, length(value) FROM objects WHERE key = ?1"),
      create_event(c,
                   "INSERT INTO events(rev, kind, token, seq, seq_bytes, key) "
                   "VALUES(?1, ?2, ?3, ?4, ?5, ?6)"),
      change_event(c,
                   "INSERT INTO events SELECT ?1, ?2, ?3, ?4, ?5, mod_rev, create_rev, "
                   "expire_ms, key, attrs, value FROM objects WHERE create_rev = ?6"),
      create(c, "INSERT INTO objects VALUES(?1, ?1, ?2, ?3, ?4, ?5)"),
      update(c,
             "UPDATE objects SET mod_rev = ?2, expire_ms = ?3, attrs = ?4, value = ?5 "
             "WHERE create_rev = ?1"),
      remove(c, "DELETE FROM objects WHERE create_rev = ?1"),
      kind(c,
           "INSERT INTO kinds VALUES(?1, ?2, ?3) ON CONFLICT(collection) DO UPDATE SET "
           "objects = objects + excluded.objects, bytes = bytes + excluded.bytes"),
      import(c, "INSERT INTO objects VALUES(?1, ?2, ?3, ?4, ?5, ?6)"),
      of_create_rev(c, "SELECT key FROM objects WHERE create_rev = ?1"),
      discard(c, "DELETE FROM objects WHERE create_rev = ?1 AND key = ?2"),
      free_pages(c, "PRAGMA freelist_count"),
      last_debt(c,
                "SELECT rev FROM events WHERE rev <= (SELECT floor FROM lane WHERE id = 1) "
                "ORDER BY rev LIMIT 1 OFFSET ?1"),
      delete_events(c,
                    "DELETE FROM events WHERE rev <= min(?1, "
                    "(SELECT floor FROM lane WHERE id = 1))") {}

#undef OWNER

Writer::Writer(std::unique_ptr<Connection> connection, const Settings& settings,
               const FileIdentity& file)
    : connection_(std::move(connection)),
      settings_(settings),
      file_(file),
      ballast_(Ballast::For(connection_->site())),
      statements_(connection_.get()),
      copier_(&connection_->site(), settings, file) {
  sqlite3_wal_hook(connection_->db(), &Writer::OnCommit, this);
  GatherLogWrites(connection_->db(), settings_.synchronous >= Synchronous::kFull);
}

absl::StatusOr<std::unique_ptr<Writer>> Writer::Open(const Site* site, const Settings& settings) {
  absl::Status created = CreateFile(*site);
  if (!created.ok()) return created;
  auto connection = Connection::Open(site, Connection::Mode::kCreate, settings.busy_ms);
  if (!connection.ok()) return connection.status();
  absl::Status prepared = PrepareFile(connection->get(), FileKind::kObjects, settings);
  if (!prepared.ok()) return prepared;
  const auto file = IdentifyFile(*site);
  if (!file.ok()) return file.status();
  std::unique_ptr<Writer> writer(new Writer(*std::move(connection), settings, *file));
  absl::Status remembered = writer->RememberSecureDelete();
  if (remembered.ok()) remembered = writer->RememberRelaxed();
  if (!remembered.ok()) return remembered;
  return writer;
}

absl::Status Writer::RememberSecureDelete() {
  const auto remembered = ReadMeta(connection_.get(), kSecureDelete);
  if (!remembered.ok()) return remembered.status();
  secure = !remembered->empty();
  return secure ? connection_->Exec("PRAGMA secure_delete=ON") : absl::OkStatus();
}

absl::Status Writer::SecureDelete() {
  const absl::Status set = connection_->Exec("PRAGMA secure_delete=ON");
  return set.ok() ? WriteMeta(connection_.get(), kSecureDelete, "on") : set;
}

absl::Status Writer::RememberRelaxed() {
  const auto remembered = ReadMeta(connection_.get(), kRelaxed);
  if (!remembered.ok()) return remembered.status();
  was_relaxed = !remembered->empty();
  if (was_relaxed || settings_.synchronous >= Synchronous::kFull) return absl::OkStatus();
  // On disk before anything that may be lost.
  was_relaxed = true;
  absl::Status status = connection_->Exec("PRAGMA synchronous=FULL");
  if (status.ok()) status = WriteMeta(connection_.get(), kRelaxed, "on");
  if (!status.ok()) return status;
  return connection_->Exec(
      absl::StrCat("PRAGMA synchronous=", static_cast<int>(settings_.synchronous)));
}

absl::Status Writer::EndRelaxed() {
  if (!was_relaxed || settings_.synchronous < Synchronous::kFull) return absl::OkStatus();
  return WriteMeta(connection_.get(), kRelaxed, "");
}

int Writer::OnCommit(void* self, sqlite3* db, const char* name, int frames) {
  auto* const writer = static_cast<Writer*>(self);
  if (frames < writer->frames_) writer->copied_ = writer->retry_at_ = 0;  // the log started over
  writer->frames_ = frames;
  return SQLITE_OK;
}

absl::Status Writer::Failed(absl::Status status) {
  if (status.ok()) return status;
  // Some calls report a full disk only in errno (the index of the log, quotas).
  const int error = sqlite3_system_errno(connection_->db());
  const bool full =
      CodeOf(status) == Code::kNoSpace || CauseOf(status) == Code::kNoSpace ||
      ((DriverCodeOf(status) & 0xff) == SQLITE_IOERR && (error == ENOSPC || error == EDQUOT));
  if (full) ballast_->Spend(site());
  if (DriverCodeOf(status) == SQLITE_IOERR_FSYNC) sync_failed_ = true;
  return status;
}

// After a failed sync the kernel may have dropped what it could not write, and
// says nothing of it at the next one: frames of housekeeping, which no commit has
// synced yet, can be missing in the middle of the log, and recovery stops there.
// They are still in memory: all is copied into the database and synced there, and
// the log starts over.
absl::Status Writer::AfterFailedSync() {
  const int rc = CopyLog(SQLITE_CHECKPOINT_RESTART);
  if ((rc & 0xff) == SQLITE_BUSY) {
    return MakeStatus(Code::kUnavailable,
                      absl::StrCat("a sync of ", site().path,
                                   "-wal failed, and readers keep the "
                                   "log from starting over: nothing is written until it has"),
                      site().name, rc);
  }
  absl::Status copied = Failed(connection_->Error(rc, "copying the log after a failed sync"));
  if (copied.ok()) sync_failed_ = false;
  return copied;
}

bool Writer::Changing(bool on) {
  const bool before = changing_;
  changing_ = on;
  if (readers_ == nullptr || on == before) return before;
  if (on) {
    readers_->BeginChange();
  } else {
    readers_->EndChange();
  }
  return before;
}

absl::Status Writer::Begin() {
  if (connection_->in_transaction()) Rollback();
  absl::Status same = CheckSameFile(site(), file_);
  if (!same.ok()) return same;
  if (sync_failed_) {
    absl::Status mended = AfterFailedSync();
    if (!mended.ok()) return mended;
  }
  if (strict_due_) {
    absl::Status strict = SetRelaxed(false);
    if (!strict.ok()) return strict;
  }
  Changing(true);
  absl::Status begun = Failed(Query(&statements_.begin).Run("beginning a transaction"));
  if (!begun.ok()) Changing(false);
  return begun;
}

void Writer::Rollback() {
  // Some errors have rolled back already. When this one fails, Begin tries again.
  if (connection_->in_transaction()) {
    Query(&statements_.rollback).Run("rolling back").IgnoreError();
  }
  Changing(false);
}

absl::Status Writer::Commit() {
  int rc = SQLITE_OK;
  absl::Status status;
  {
    Query query(&statements_.commit);
    query.Step();
    rc = query.rc();
    if (rc != SQLITE_DONE) status = FromCommit(rc, connection_->message(), site());
  }
  if (!status.ok()) {
    status = Failed(std::move(status));
    Rollback();
    return status;
  }
  Changing(false);
  ++commits_;
  if (WantsCheckpoint((copier_.running() ? kWaitCaps : 2) * kCapFrames)) {
    const absl::Status copied = Checkpoint();
    if (!copied.ok()) Log(site(), LogLevel::kError, std::string(copied.message()));
  }
  return absl::OkStatus();
}

absl::Status Writer::SetRelaxed(bool relaxed) {
  if (settings_.synchronous <= Synchronous::kNormal) return absl::OkStatus();
  const auto level = relaxed ? Synchronous::kNormal : settings_.synchronous;
  if (relaxed) GatherLogWrites(connection_->db(), false);
  absl::Status set =
      connection_->Exec(absl::StrCat("PRAGMA synchronous=", static_cast<int>(level)));
  if (set.ok() && !relaxed) GatherLogWrites(connection_->db(), true);
  strict_due_ = !relaxed && !set.ok();
  return set;
}

absl::Status Writer::CopyStep() {
  LogCopier::Round round;
  if (copier_.Take(&round)) {
    if (!round.status.ok()) {
      rounds_ = 0;
      retry_at_ = frames_ + kCapFrames / 4;
      return Failed(round.status);
    }
    // More than there is: the log has started over since.
    if (round.frames <= frames_) copied_ = std::max(copied_, round.frames);
    if (frames_to_copy() <= kTailFrames || ++rounds_ >= kRounds) {
      rounds_ = 0;
      return Checkpoint();
    }
    copier_.Start();
  } else if (WantsCheckpoint(kCapFrames)) {
    copier_.Start();
  }
  return absl::OkStatus();
}

absl::Status Writer::Checkpoint() {
  const bool wait = frames_ > kWaitCaps * kCapFrames;
  const int rc = CopyLog(wait ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE);
  // What snapshots hold back is not tried again with every commit.
  retry_at_ = frames_ + kCapFrames / 4;
  if ((rc & 0xff) == SQLITE_BUSY) return absl::OkStatus();
  return Failed(connection_->Error(rc, "checkpointing"));
}

// Never beside the copier: SQLite before 3.51.3 can corrupt the file when one
// checkpoint begins right after another has copied the whole log, and a commit
// starts the log over meanwhile (sqlite.org/wal.html#walresetbug). The copier is
// asked only while much is left to copy, and nobody else may end the log then.
int Writer::CopyLog(int mode) {
  copier_.Wait();
  const bool before = Changing(true);
  const bool wait = mode != SQLITE_CHECKPOINT_PASSIVE;
  if (wait) sqlite3_busy_timeout(connection_->db(), kWaitMs);
  int frames = 0;
  int copied = 0;
  const int rc = sqlite3_wal_checkpoint_v2(connection_->db(), "main", mode, &frames, &copied);
  if (wait) sqlite3_busy_timeout(connection_->db(), static_cast<int>(settings_.busy_ms));
  Changing(before);
  if (frames >= 0 && copied >= 0) {
    frames_ = frames;
    copied_ = copied;
  }
  return rc;
}

absl::Status Writer::Vacuum(int64_t pages) {
  Changing(true);
  absl::Status status =
      Failed(connection_->Exec(absl::StrCat("PRAGMA incremental_vacuum(", pages, ")")));
  Changing(false);
  return status;
}

// Zeros are no valid frames, so a reader or a recovery stops before them. The
// write lock keeps a foreign program from appending meanwhile. The log has no
// POSIX locks, so it may be opened and closed here.
absl::StatusOr<bool> Writer::GrowLog() {
  if (grown_) return false;
  struct stat info {};
  const std::string path = site().path + "-wal";
  if (stat(path.c_str(), &info) != 0) return false;
  grown_ = info.st_size >= kCapFrames * kPageBytes;
  if (grown_) return false;
  absl::Status begun = Begin();
  if (!begun.ok()) return begun;
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  bool done = fd >= 0 && fstat(fd, &info) == 0;
  if (done) {
    const std::string zeros(kGrowStep, '\0');
    const ssize_t written = pwrite(fd, zeros.data(), zeros.size(), info.st_size);
    done = written == static_cast<ssize_t>(zeros.size()) && fdatasync(fd) == 0;
  }
  if (fd >= 0) close(fd);
  Rollback();
  // No room, or a file system that does not like it: the log grows by itself.
  grown_ = !done;
  return done;
}

bool Writer::TimeToLookForFreePages() {
  if (commits_ < kLookEvery) return false;
  commits_ = 0;
  return true;
}

}  // namespace storage::sqlite
