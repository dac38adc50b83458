// LogCopier: copies the log into the database on a thread and a connection of
// its own, so that commits do not wait for the bulk of it. Only what came in
// the meantime is left to the lane, whose checkpoint lets the log start over.
// Threads: one caller (the lane's); the thread starts with the first round.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_LOG_COPIER_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_LOG_COPIER_H_

#include <cstdint>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "src/backend/sqlite/connection.h"
#include "src/backend/sqlite/file.h"
#include "src/backend/sqlite/options.h"
#include "src/base/mutex.h"

namespace storage::sqlite {

class LogCopier {
 public:
  struct Round {
    absl::Status status;
    int64_t frames = 0;  // in the database then, since the log began
  };

  LogCopier(const Site* site, const Settings& settings, const FileIdentity& file)
      : site_(site), settings_(settings), file_(file) {}
  LogCopier(const LogCopier&) = delete;
  LogCopier& operator=(const LogCopier&) = delete;
  ~LogCopier();  // waits for a round that runs

  // Begins a round unless one runs or waits to be taken.
  void Start();
  bool running() const;
  // Until no round runs.
  void Wait();
  // The round that ended, once; false when there is none.
  bool Take(Round* round);

 private:
  enum class State : uint8_t { kIdle, kAsked, kDone, kStop };

  void Run();
  Round Copy();  // the thread's
  absl::Status Open();
  absl::Status Sync();

  const Site* const site_;
  const Settings settings_;
  const FileIdentity file_;                 // the writer's: no other file must get the log
  std::unique_ptr<Connection> connection_;  // the thread's
  mutable Mutex mu_;
  CondVar asked_;
  CondVar done_;
  State state_ ABSL_GUARDED_BY(mu_) = State::kIdle;
  Round round_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace storage::sqlite

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_LOG_COPIER_H_
