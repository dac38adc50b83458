// What a stg_watch is: one engine watch, its READY completions and its pages.
// Threads: Ready from the engine; Read and the destructor from one thread at a
// time, RequestProgress from any.
#ifndef LIBSTORAGE_SRC_API_WATCH_H_
#define LIBSTORAGE_SRC_API_WATCH_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "libstorage.h"
#include "src/api/session.h"

struct stg_watch {
 public:
  stg_watch(stg_engine* session, uint64_t user) : session_(session), user_(user) {}
  stg_watch(const stg_watch&) = delete;
  stg_watch& operator=(const stg_watch&) = delete;

  stg_engine* session() const { return session_; }
  void set_watch(std::unique_ptr<storage::Watch> watch) { watch_ = std::move(watch); }
  // The engine's callback: one completion, and no other before the next Read.
  void Ready();
  void Read(int64_t max_events, int64_t max_bytes, stg_watch_batch* out);
  void RequestProgress() { watch_->RequestProgress(); }

 private:
  void FillEnd(stg_watch_batch* out);

  stg_engine* const session_;
  const uint64_t user_;
  std::atomic<bool> announced_{false};
  absl::Status end_;  // not OK: over, every further Read says so
  std::unique_ptr<storage::Watch> watch_;
};

#endif  // LIBSTORAGE_SRC_API_WATCH_H_
