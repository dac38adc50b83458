// ReadPool: the few threads on which reads may block on a database. Each set of databases
// that some read asks has a share of them, so that one that does not answer holds up only
// who needs it: reads of {a, b} that wait for a take nothing from those of {b}. Of a share
// long reads (lists) never hold all, so that point reads do not wait behind lists.
//
// A database may read several objects in one request (Backend::GetMany). Of its gets only
// a few groups are under way at a time, and each takes what had to wait: one get alone
// never waits, and the more wait, the fewer requests and threads each of them costs.
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

  enum class Kind : uint8_t { kGet, kQuick, kSlow };  // kGet: may run together with others

  struct Callbacks {
    // On a pool thread, with each id pushed: the databases that gave no answer, as in
    // Push; 0 = all did. Several ids: gets of one set. Does not throw.
    std::function<uint64_t(const std::vector<uint64_t>& ids)> run;
    // In the place of run, for what waits for a database that was silent for another
    // read: it would only wait as long once more.
    std::function<void(uint64_t id, uint64_t silent)> refuse;
    // How many gets of this set run together at most; 1 = each by itself.
    std::function<size_t(uint64_t places)> together;
  };

  // share: reads of one set that run at a time, >= 2; groups: of gets that run together.
  // databases: how many.
  ReadPool(int share, int groups, int databases, Callbacks callbacks);
  ReadPool(const ReadPool&) = delete;
  ReadPool& operator=(const ReadPool&) = delete;
  ~ReadPool() { Stop(); }

  // places: bit i = the read asks database i (modulo 64). False when too much waits, or
  // after Stop.
  bool Push(uint64_t id, uint64_t places, Kind kind) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns when nothing runs any more. What was queued is never run.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Task {
    std::vector<uint64_t> ids;
    uint64_t places = 0;
    Kind kind = Kind::kQuick;
  };
  struct Set {                               // reads of one set of databases
    std::deque<uint64_t> gets, quick, slow;  // gets: those that run together
    int running = 0, groups_running = 0, slow_running = 0;
    size_t together = 0;  // 0 = not asked yet

    std::deque<uint64_t>& Queue(Kind kind) {
      return kind == Kind::kGet ? gets : kind == Kind::kSlow ? slow : quick;
    }
  };
  // Sets of several databases have at most so many shares together. There are few, by
  // the rules; were there many, all could wait for one database.
  static constexpr int kSharesOfSeveral = 4;

  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  bool Next(Task* task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool MayRun(uint64_t places, const Set& set, Kind kind) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Count(const Task& task, int by) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes what waits for one of them out of the queue.
  std::vector<uint64_t> TakeWaiting(uint64_t silent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StartOne() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const int share_;
  const int groups_;
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
