// OpTable: the operations that have been submitted and not yet completed, by
// id (slot and generation). Whoever takes an id out of the table owes its one
// completion; everybody else finds it gone. That is all there is to "exactly
// one completion" between lane, reader, cancel and close.
//
// Threads: any. The request of a slot is written before its id is published,
// then belongs to the reader that Start gave it to.
#ifndef LIBSTORAGE_SRC_API_OP_TABLE_H_
#define LIBSTORAGE_SRC_API_OP_TABLE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/base/mutex.h"
#include "src/engine/engine.h"

namespace storage {
namespace api {

// A read, or what else runs on the read pool.
struct ReadRequest {
  int32_t verb = 0;  // STG_VERB_*
  ResourceId resource = 0;
  std::string key;  // LIST, COUNT: start
  std::string end;
  ReadOptions options;
  int64_t deadline_ms = 0;             // steady clock, 0 = none
  std::atomic<bool> cancelled{false};  // sinks look at it
};

class OpTable {
 public:
  static constexpr uint32_t kMaxOps = 1u << 20;  // in flight; beyond: BUSY

  struct Slot {
    uint64_t user = 0;
    std::string key;  // of a write: a conflict tells it
    ReadRequest read;

   private:
    friend class OpTable;
    enum class State : uint8_t { kFree, kFilling, kQueued, kRunning };
    State state = State::kFree;
    uint32_t index = 0;
    uint32_t generation = 0;
    std::shared_ptr<WriteOp> write;
  };

  // What Take gives: what the completion needs of the slot.
  struct Taken {
    uint64_t user = 0;
    bool was_write = false;
    std::string key;
  };

  enum class Cancelled : uint8_t { kNothing, kAsked, kTaken };

  OpTable() = default;
  OpTable(const OpTable&) = delete;
  OpTable& operator=(const OpTable&) = delete;

  // A slot to fill; nobody else knows its id yet. nullptr: too many in flight.
  Slot* New(uint64_t* id) ABSL_LOCKS_EXCLUDED(mu_);
  // From here on the id can be cancelled, started and taken. write: null for reads.
  void Publish(Slot* slot, std::shared_ptr<WriteOp> write) ABSL_LOCKS_EXCLUDED(mu_);
  // queued -> running; nullptr: gone (cancelled). The slot stays until Take.
  Slot* Start(uint64_t id) ABSL_LOCKS_EXCLUDED(mu_);
  // Takes the operation out; nothing when somebody else did.
  std::optional<Taken> Take(uint64_t id) ABSL_LOCKS_EXCLUDED(mu_);
  // A queued read is taken out (kTaken: the caller completes it); a write or a
  // running read is asked to end (kAsked).
  Cancelled Cancel(uint64_t id, Taken* taken) ABSL_LOCKS_EXCLUDED(mu_);

  // Asks all running reads to end and returns the ids of all operations.
  std::vector<uint64_t> CancelReads() ABSL_LOCKS_EXCLUDED(mu_);
  int64_t in_flight() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  static constexpr uint32_t kSlotsPerPage = 256;
  static uint64_t IdOf(const Slot& slot) {
    return (static_cast<uint64_t>(slot.generation) << 32) | (slot.index + 1);
  }
  Slot* Find(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Taken Free(Slot* slot, std::shared_ptr<WriteOp>* write) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable Mutex mu_;
  std::vector<std::unique_ptr<Slot[]>> pages_ ABSL_GUARDED_BY(mu_);
  std::vector<uint32_t> free_ ABSL_GUARDED_BY(mu_);
  int64_t in_flight_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace api
}  // namespace storage

#endif  // LIBSTORAGE_SRC_API_OP_TABLE_H_
