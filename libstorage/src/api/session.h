// Session: what a stg_engine is. It owns the engine and everything through
// which its answers leave: slabs, completion queue, read pool, watches.
//
// Threads: any. After Shutdown began every call is refused with CANCELLED;
// slabs and undrained completions stay until the session is destroyed.
#ifndef LIBSTORAGE_SRC_API_SESSION_H_
#define LIBSTORAGE_SRC_API_SESSION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "libstorage.h"
#include "src/api/check_runner.h"
#include "src/api/completion_queue.h"
#include "src/api/log_ring.h"
#include "src/api/op_table.h"
#include "src/api/read_pool.h"
#include "src/api/slab.h"
#include "src/base/mutex.h"
#include "src/engine/engine.h"

struct stg_engine {
 public:
  static constexpr int64_t kDefaultBudget = int64_t{256} << 20;

  // budget_bytes: cap on slabs, 0 = default. poison: see SlabPool.
  stg_engine(int64_t budget_bytes, bool poison);
  stg_engine(const stg_engine&) = delete;
  stg_engine& operator=(const stg_engine&) = delete;
  ~stg_engine();

  // Gives the session its engine; once, before it is shown to anybody.
  absl::Status Start(std::unique_ptr<storage::Engine> engine);
  // See stg_engine_shutdown. Idempotent; the second caller waits for the first.
  absl::Status Shutdown() ABSL_LOCKS_EXCLUDED(shutdown_mu_);

  absl::StatusOr<storage::ResourceId> Register(const storage::Resource& resource);
  absl::Status Check(const std::string& name);
  // The JSON text of what.
  absl::StatusOr<std::string> Info(std::string_view what);

  // Arguments of an operation; views are copied before Submit returns.
  struct Request {
    stg_op op;
    std::string_view key;
    std::string_view value;
    std::string_view attrs;
  };
  // The id, or 0 and *done. Never blocks on a database.
  uint64_t Submit(const Request& request, stg_completion* done);
  void Cancel(uint64_t op);

  absl::StatusOr<stg_watch*> OpenWatch(storage::ResourceId resource, uint64_t user,
                                       const storage::Range& range, int64_t after);
  void CloseWatch(stg_watch* watch) ABSL_LOCKS_EXCLUDED(watches_mu_);

  storage::api::CompletionQueue& queue() { return queue_; }
  storage::api::SlabPool& slabs() { return slabs_; }
  storage::api::LogRing* log() { return &log_; }

 private:
  // A call into the engine, refused once Shutdown began.
  class Entry {
   public:
    explicit Entry(stg_engine* session);
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry() { session_->entered_.fetch_sub(1); }
    bool allowed() const { return allowed_; }

   private:
    stg_engine* const session_;
    bool allowed_;
  };

  absl::Status Validate(const Request& request) const;
  bool GetInline(const Request& request, stg_completion* done);
  uint64_t SubmitRead(const Request& request, stg_completion* done);
  uint64_t SubmitWrite(const Request& request, stg_completion* done);
  uint64_t BackendsOf(const Request& request) const;
  // The databases that gave no answer (ReadPool).
  uint64_t RunReads(const std::vector<uint64_t>& ops);
  uint64_t HandOver(const stg_completion& done);
  uint64_t SilentIn(const stg_completion& done) const;
  void RefuseRead(uint64_t op, uint64_t silent);
  void FinishWrite(uint64_t op, storage::WriteResult&& result);
  void FinishAll();

  storage::api::CompletionQueue queue_;
  storage::api::SlabPool slabs_;
  storage::api::LogRing log_;
  storage::api::OpTable ops_;
  storage::api::CheckRunner checks_;
  std::unique_ptr<storage::Engine> engine_;
  std::vector<std::string> backends_;  // by number
  std::unique_ptr<storage::api::ReadPool> reads_;

  // Point reads on callers' threads now; beyond the limit they go to the pool,
  // so that a slow disk, or a CPU shared with others, holds few of them.
  std::atomic<int> inline_reads_{0};
  const int max_inline_reads_;

  std::atomic<int32_t> resources_{0};  // ids below are registered
  std::atomic<int64_t> inline_total_{0};
  std::atomic<int64_t> queued_total_{0};
  std::atomic<int64_t> entered_{0};  // calls inside the engine
  std::atomic<bool> closing_{false};

  storage::Mutex shutdown_mu_;
  bool shut_down_ ABSL_GUARDED_BY(shutdown_mu_) = false;
  absl::Status shutdown_status_ ABSL_GUARDED_BY(shutdown_mu_);

  storage::Mutex watches_mu_;
  absl::flat_hash_set<stg_watch*> watches_ ABSL_GUARDED_BY(watches_mu_);
};

#endif  // LIBSTORAGE_SRC_API_SESSION_H_
