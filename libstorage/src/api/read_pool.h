// ReadPool: the few threads on which reads may block on a database. Each set of databases
// that some read asks has a share of them, so that one that does not answer holds up only
// who needs it: reads of {a, b} that wait for a take nothing from those of {b}. Of a share
// long reads (lists) never hold all, so that point reads do not wait behind lists.
// Threads: any; Stop once.
#ifndef LIBSTORAGE_SRC_API_READ_POOL_H_
#define LIBSTORAGE_SRC_API_READ_POOL_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "src/base/mutex.h"
#include "src/base/thread.h"

namespace storage {
namespace api {

class ReadPool {
 public:
  static constexpr size_t kMaxQueued = 65536;
  // A read that fails after this long waited for a database that is silent.
  static constexpr std::chrono::milliseconds kSilent{1000};

  struct Callbacks {
    // On a pool thread for each id pushed: the databases that gave no answer, as in
    // Push; 0 = all did. Does not throw.
    std::function<uint64_t(uint64_t id)> run;
    // In the place of run, for what waits for a database that was silent for another
    // read: it would only wait as long once more.
    std::function<void(uint64_t id, uint64_t silent)> refuse;
  };

  // share: reads of one set that run at a time, >= 2. databases: how many.
  ReadPool(int share, int databases, Callbacks callbacks);
  ReadPool(const ReadPool&) = delete;
  ReadPool& operator=(const ReadPool&) = delete;
  ~ReadPool() { Stop(); }

  // places: bit i = the read asks database i (modulo 64). False when too much waits, or
  // after Stop.
  bool Push(uint64_t id, uint64_t places, bool slow) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns when nothing runs any more. What was queued is never run.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Task {
    uint64_t id;
    uint64_t places;
    bool slow;
  };
  struct Set {  // reads of one set of databases
    std::deque<uint64_t> quick, slow;
    int running = 0, slow_running = 0;
  };
  // Sets of several databases have at most so many shares together. There are few, by
  // the rules; were there many, all could wait for one database.
  static constexpr int kSharesOfSeveral = 4;

  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  bool Next(Task* task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool MayRun(uint64_t places, const Set& set, bool slow) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Count(const Task& task, int by) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes what waits for one of them out of the queue.
  std::vector<uint64_t> TakeWaiting(uint64_t silent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StartOne() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const int share_;
  const size_t max_threads_;
  const Callbacks callbacks_;
  Mutex mu_;
  CondVar work_;
  std::map<uint64_t, Set> sets_ ABSL_GUARDED_BY(mu_);  // by places
  uint64_t last_ ABSL_GUARDED_BY(mu_) = 0;  // whose turn it was: the next set is asked first
  size_t queued_ ABSL_GUARDED_BY(mu_) = 0;
  int several_running_ ABSL_GUARDED_BY(mu_) = 0;  // of all sets of several databases
  size_t idle_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mu_);
};

}  // namespace api
}  // namespace storage

#endif  // LIBSTORAGE_SRC_API_READ_POOL_H_
