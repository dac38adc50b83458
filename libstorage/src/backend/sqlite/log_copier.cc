#include "src/backend/sqlite/log_copier.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/thread.h"

namespace storage::sqlite {

LogCopier::~LogCopier() {
  {
    MutexLock lock(&mu_);
    state_ = State::kStop;
    asked_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

void LogCopier::Start() {
  MutexLock lock(&mu_);
  if (state_ != State::kIdle) return;
  state_ = State::kAsked;
  if (thread_.joinable()) {
    asked_.Signal();
  } else {
    thread_ = StartThread("stg-copy-" + site_->name, [this] { Run(); });
  }
}

bool LogCopier::running() const {
  MutexLock lock(&mu_);
  return state_ == State::kAsked;
}

void LogCopier::Wait() {
  MutexLock lock(&mu_);
  while (state_ == State::kAsked) done_.Wait(&mu_);
}

bool LogCopier::Take(Round* round) {
  MutexLock lock(&mu_);
  if (state_ != State::kDone) return false;
  state_ = State::kIdle;
  *round = std::move(round_);
  return true;
}

void LogCopier::Run() {
  for (;;) {
    {
      MutexLock lock(&mu_);
      while (state_ != State::kAsked && state_ != State::kStop) asked_.Wait(&mu_);
      if (state_ == State::kStop) return;
    }
    Round round = Copy();
    MutexLock lock(&mu_);
    if (state_ == State::kStop) return;
    round_ = std::move(round);
    state_ = State::kDone;
    done_.SignalAll();
  }
}

absl::Status LogCopier::Open() {
  auto opened = Connection::Open(site_, Connection::Mode::kReadWrite, settings_.busy_ms);
  if (!opened.ok()) return opened.status();
  absl::Status set =
      (*opened)->Exec(absl::StrCat("PRAGMA synchronous=", static_cast<int>(settings_.synchronous),
                                   ";PRAGMA wal_autocheckpoint=0"));
  if (set.ok()) connection_ = *std::move(opened);
  return set;
}

LogCopier::Round LogCopier::Copy() {
  Round round;
  if (connection_ == nullptr) round.status = Open();
  if (round.status.ok()) round.status = CheckSameFile(*site_, file_);
  if (!round.status.ok()) return round;
  int frames = 0;
  int copied = 0;
  const int rc = sqlite3_wal_checkpoint_v2(connection_->db(), "main", SQLITE_CHECKPOINT_PASSIVE,
                                           &frames, &copied);
  if ((rc & 0xff) == SQLITE_BUSY) return round;
  round.status = connection_->Error(rc, "copying the log");
  if (round.status.ok()) round.status = Sync();
  if (round.status.ok() && copied > 0) round.frames = copied;
  return round;
}

// A checkpoint syncs the database only when it copied the whole log. Done here,
// the lane's, which ends it, has little left to sync.
absl::Status LogCopier::Sync() {
  if (settings_.synchronous == Synchronous::kOff) return absl::OkStatus();
  sqlite3_file* file = nullptr;
  sqlite3_file_control(connection_->db(), "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (file == nullptr || file->pMethods == nullptr) return absl::OkStatus();
  return connection_->Error(file->pMethods->xSync(file, SQLITE_SYNC_NORMAL), "syncing");
}

}  // namespace storage::sqlite
