// Mutex and CondVar: std's, with clang's lock annotations.
//
// Not absl::Mutex: Debian's abseil is built without ThreadSanitizer, which then
// cannot see that mutex and reports every access below it as a race.
#ifndef LIBSTORAGE_SRC_BASE_MUTEX_H_
#define LIBSTORAGE_SRC_BASE_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

namespace storage {

class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mu_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mu_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mu_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mu) ABSL_EXCLUSIVE_LOCK_FUNCTION(mu) : mu_(mu) { mu_->Lock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mu_->Unlock(); }

 private:
  Mutex* const mu_;
};

using SteadyTime = std::chrono::steady_clock::time_point;

// Waits may wake for no reason: callers loop over their condition.
class CondVar {
 public:
  void Wait(Mutex* mu) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    std::unique_lock<std::mutex> lock(mu->mu_, std::adopt_lock);
    cv_.wait(lock);
    lock.release();
  }
  // False when the time is up. SteadyTime::max() waits for ever.
  bool WaitUntil(Mutex* mu, SteadyTime deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (deadline == SteadyTime::max()) {
      Wait(mu);
      return true;
    }
    std::unique_lock<std::mutex> lock(mu->mu_, std::adopt_lock);
    const bool in_time = cv_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    lock.release();
    return in_time;
  }
  void Signal() { cv_.notify_one(); }
  void SignalAll() { cv_.notify_all(); }

 private:
  std::condition_variable cv_;
};

// The steady moment after a duration from now; infinite stays infinite.
inline SteadyTime SteadyAfter(absl::Duration wait) {
  if (wait == absl::InfiniteDuration()) return SteadyTime::max();
  return std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(wait);
}

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BASE_MUTEX_H_
