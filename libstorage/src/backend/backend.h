// Backend: one database, seen by the engine as a lane row, a table of objects
// and an undo log of events (shared design, sections 3 and 4; docs/format.md).
// A backend knows nothing of the engine and of other backends.
//
// Threads: a Backend and its Snapshots may be used from any thread, a Snapshot
// by one thread at a time. LaneTxn, DeleteHistory and Maintain belong to the
// backend's lane thread. No call may run caller code except through the sinks
// passed to it, and holds no lock while it does.
//
// Errors: absl::Status made by base/status.h, with the backend's name and the
// driver's code. An outage is UNAVAILABLE, never CONFLICT. A full disk is
// NO_SPACE, a damaged page CORRUPT, a Commit whose outcome is not known
// OUTCOME_UNKNOWN.
#ifndef LIBSTORAGE_SRC_BACKEND_BACKEND_H_
#define LIBSTORAGE_SRC_BACKEND_BACKEND_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "src/base/blob.h"
#include "src/base/status.h"

namespace storage {

// The lane row (protocol: "Lane row"). Revisions are positive; 0 = none.
struct Lane {
  std::string m_id;   // identity of the metadata store this lane belongs to; "" = never adopted
  int64_t epoch = 0;  // start counter of that metadata store
  int64_t gen = 0;    // topology version in which this backend's key set last changed
  int64_t head = 0;   // highest revision committed here
  int64_t ver = 0;    // +1 with every lane transaction
  int64_t floor = 0;  // history at or below is gone; floor <= head in every committed state
};

// Who may write a lane: compared inside the database by every guard.
struct LaneOwner {
  std::string m_id;
  int64_t epoch = 0;
  int64_t gen = 0;
};

struct ObjectMeta {
  int64_t mod_rev = 0;  // 0 = the key does not exist
  int64_t create_rev = 0;
  int64_t expire_at_ms = 0;  // Unix milliseconds on the backend's clock; 0 = never
};

// A stored object. Views are valid during the sink call only.
struct Row {
  std::string_view key;
  std::string_view value;
  std::string_view attrs;  // selection attributes, row codec of docs/format.md; may be empty
  ObjectMeta meta;
};

enum class ChangeKind : uint8_t { kCreate = 1, kUpdate = 2, kDelete = 3, kExpire = 4 };

// One surviving write of a batch. Views must live until Apply returns.
struct Mutation {
  ChangeKind kind = ChangeKind::kCreate;
  std::string_view collection;  // key prefix of the resource, ends in '/': unit of Stats().kinds
  std::string_view key;
  std::string_view value;    // kCreate and kUpdate
  std::string_view attrs;    // kCreate and kUpdate
  int64_t rev = 0;           // becomes mod_rev and, for kCreate, create_rev
  int64_t expire_at_ms = 0;  // kCreate and kUpdate; 0 = never
  // What Read of the same transaction said of the object that is changed; 0 = not
  // known, it is looked up.
  int64_t old_create_rev = 0;
  int64_t old_bytes = 0;  // length of its value
};

// An object on its way to another database, with all that it has there.
struct MovedRow {
  std::string_view collection;  // as in Mutation
  Row row;
};

// One that has arrived there and goes here.
struct DiscardedRow {
  std::string_view collection;
  std::string_view key;
  int64_t create_rev = 0;
  int64_t bytes = 0;  // of its value
};

// A change as the undo log has it, with the value after it filled in.
struct EventRow {
  int64_t rev = 0;
  ChangeKind kind = ChangeKind::kCreate;
  std::string_view key;
  std::string_view value;       // after the change; empty for kDelete and kExpire
  std::string_view prev_value;  // before the change; empty for kCreate
  ObjectMeta prev;              // mod_rev 0 for kCreate
};

// Sinks return false to stop early; stopping is not an error.
using RowSink = std::function<bool(const Row&)>;
using EventSink = std::function<bool(const EventRow&)>;
using ManyRowsSink = std::function<void(size_t key, const Row&)>;

// Keys in [start, end); end empty = no upper bound.
struct Range {
  std::string start;
  std::string end;
};

// What a lane transaction reads of a key before it decides.
struct Current {
  ObjectMeta meta;
  Blob value;  // present when meta.mod_rev != 0
};

// Where a metadata store keeps its numbers, for a lane that may be in the same database.
struct NumbersPlace {
  std::string m_id;   // of the store
  std::string place;  // the database, as its kind names it
  std::string mark;   // of this opening of the store: only the very same database shows it
  std::string lane;   // what the store calls the lane
};

// One transaction that holds the lane row locked from begin to end. Destroyed
// without Commit it rolls back. Order of calls: Read* Apply? Take? then exactly one
// of Guard, Void, Adopt, RaiseFloor, then Commit. A migration's: Read* (Import |
// Discard) Void Commit.
class LaneTxn {
 public:
  virtual ~LaneTxn() = default;
  virtual const Lane& lane() const = 0;  // as read under the lock
  virtual int64_t NowMs() = 0;           // the backend's own clock, Unix milliseconds

  // out[i] = state of keys[i]. Sizes must agree.
  virtual absl::Status Read(absl::Span<const std::string_view> keys, absl::Span<Current> out) = 0;
  // Moves the old rows into the undo log and writes the new ones. At most one
  // mutation per key; revisions ascend. token names the batch: it is stored in
  // each event row (protocol: "Unknown outcome").
  virtual absl::Status Apply(absl::Span<const Mutation> mutations, int64_t token) = 0;

  // lane() and what was read are what this process remembers: good for a batch that then
  // commits, which it does only if all of it is true (else BUSY), and for no other answer.
  virtual bool assumed() const { return false; }
  // Highest number that the metadata store handed out to anybody, read behind the lock of
  // the lane. 0: its numbers are not in this database (Backend::ShareNumbers).
  virtual int64_t handed_out() const { return 0; }
  // Hands first..last out to this lane in this transaction, with first = handed_out() + 1.
  // When others were handed numbers meanwhile, or the store is in another epoch, Commit
  // is BUSY. Without a commit they were handed out to nobody.
  virtual absl::Status Take(const LaneOwner& owner, int64_t first, int64_t last) {
    return MakeStatus(Code::kInternal, "the numbers are not in this database");
  }

  // head = last, ver + 1, only if ver is unchanged, head < first and the owner
  // matches; otherwise BUSY ("lane guard") and the caller must roll back.
  virtual absl::Status Guard(const LaneOwner& owner, int64_t first, int64_t last) = 0;
  // head = max(head, to), ver + 1, under the same owner check.
  virtual absl::Status Void(const LaneOwner& owner, int64_t to) = 0;
  // Makes owner the owner. Without a jump head and floor stay; with jump_to > 0
  // head = floor = jump_to (new epoch: refuses jump_to <= head).
  virtual absl::Status Adopt(const LaneOwner& owner, int64_t jump_to) = 0;
  // floor = max(floor, min(target, head)), ver + 1, under the owner check.
  virtual absl::Status RaiseFloor(const LaneOwner& owner, int64_t target) = 0;

  virtual absl::Status Commit() = 0;

  // A move is no change: it makes no event and no revision, so nothing older may be
  // readable: the floor is at the head. Import: keys that are absent, with 0 <
  // create_rev <= mod_rev <= head; EXISTS where the database tells objects apart by
  // their create revision and has another one with it. Discard: keys that are there, with
  // their create revision and size.
  virtual absl::Status Import(absl::Span<const MovedRow> rows) = 0;
  virtual absl::Status Discard(absl::Span<const DiscardedRow> rows) = 0;
};

// One consistent view: lane row, objects and events of one moment. Reads at
// rev > 0 need floor <= rev <= head (else COMPACTED / INVALID); 0 = latest.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  virtual const Lane& lane() const = 0;
  // OK with no sink call when the key is absent at rev.
  virtual absl::Status Get(std::string_view key, int64_t rev, const RowSink& sink) = 0;
  // Key order, at most limit rows (0 = all).
  virtual absl::Status List(const Range& range, int64_t rev, int64_t limit,
                            const RowSink& sink) = 0;
  virtual absl::StatusOr<int64_t> Count(const Range& range, int64_t rev) = 0;
  // Events with after < rev <= upto in the range, ascending, at most limit (0 = all).
  // Needs after >= floor, else COMPACTED.
  virtual absl::Status Events(const Range& range, int64_t after, int64_t upto, int64_t limit,
                              const EventSink& sink) = 0;
  // Keys whose expire_at_ms is in (0, now_ms], oldest first: (key, meta); value empty.
  virtual absl::Status Expired(int64_t now_ms, int64_t limit, const RowSink& sink) = 0;
  virtual absl::StatusOr<int64_t> NextExpiryMs() = 0;  // 0 = nothing expires
  // True when an event row carries this token (protocol: "Unknown outcome").
  virtual absl::StatusOr<bool> HasToken(int64_t token) = 0;
};

struct KindStats {
  std::string collection;
  int64_t objects = 0;
  int64_t bytes = 0;  // of values
};

struct BackendStats {
  std::vector<KindStats> kinds;  // exact: kept in the writing transaction
  int64_t history_rows = 0;
  int64_t history_bytes = 0;  // of previous values
  int64_t debt_rows = 0;      // events at or below the floor, not yet deleted
  int64_t file_bytes = 0;     // on disk: database and log
  int64_t free_bytes = 0;     // inside the file, given back by Maintain
};

// What one batch may hold at most. A single operation is passed on whatever its
// size: the database says itself that it is too large.
struct BatchLimits {
  int64_t operations = 512;
  int64_t expiring_put = 1;  // counts as so many operations
  int64_t removal = 1;       // the same
  int64_t bytes = 8 << 20;   // of keys, values and attributes
};

// Follows the head of a lane that other servers write too. One thread calls Read and
// Wait, any thread Interrupt.
class HeadWatch {
 public:
  virtual ~HeadWatch() = default;
  // The committed head, read after the call began.
  virtual absl::StatusOr<int64_t> Read() = 0;
  // Waits until there may be a new head, at most max_wait. A head that was announced
  // (committed: it can be read), or 0: time-out, interrupted or nothing known; then Read.
  virtual int64_t Wait(absl::Duration max_wait) = 0;
  virtual void Interrupt() = 0;  // the running Wait, or the next one
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const std::string& name() const = 0;
  // Survives restarts, differs between databases (protocol: "incarnation").
  virtual const std::string& identity() const = 0;
  // True: point reads take microseconds and run on the caller's thread.
  virtual bool fast_reads() const = 0;
  // False (a relaxed synchronous setting, now or of the server before): every
  // unclean start is a new epoch.
  virtual bool durable() const = 0;
  virtual BatchLimits limits() const { return {}; }

  virtual absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLane() = 0;
  // BeginLane and Read, in one round trip where the database can: the keys are read behind
  // the lock all the same. may_assume: a database without a lock may answer from memory
  // (LaneTxn::assumed).
  virtual absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLaneAndRead(
      absl::Span<const std::string_view> keys, absl::Span<Current> out, bool may_assume) {
    absl::StatusOr<std::unique_ptr<LaneTxn>> txn = BeginLane();
    if (!txn.ok()) return txn;
    absl::Status status = (*txn)->Read(keys, out);
    return status.ok() ? std::move(txn) : status;
  }
  virtual absl::StatusOr<std::unique_ptr<Snapshot>> OpenSnapshot() = 0;
  // Latest state of one key, cheaper than a Snapshot. OK without a sink call: absent.
  virtual absl::Status Get(std::string_view key, const RowSink& sink) = 0;
  // How many keys GetMany takes; 1 = it is no cheaper than as many Gets.
  virtual size_t gets_together() const { return 1; }
  // Get of each of the keys in one request: sink(i, row) for keys[i], and outcomes[i] as
  // Get would return it. Sizes must agree.
  virtual void GetMany(absl::Span<const std::string_view> keys, const ManyRowsSink& sink,
                       absl::Span<absl::Status> outcomes) {
    for (size_t i = 0; i < keys.size(); ++i) {
      outcomes[i] = Get(keys[i], [&](const Row& row) { return sink(i, row), false; });
    }
  }

  // Deletes at most max_rows events with rev <= lane floor in a transaction of
  // its own; returns how many went. Lane thread.
  virtual absl::StatusOr<int64_t> DeleteHistory(int64_t max_rows) = 0;
  // One short step (a few milliseconds) of checkpointing and giving space
  // back; true = more to do. idle: nothing waits in the lane. Lane thread.
  virtual absl::StatusOr<bool> Maintain(bool idle) = 0;

  virtual absl::StatusOr<BackendStats> Stats() = 0;
  virtual absl::Status Ping() = 0;  // can it be read now
  // True: the metadata store is in this very database, and lane transactions can take its
  // numbers themselves from now on. Before the first of them, and before the store
  // lets other servers in.
  virtual absl::StatusOr<bool> ShareNumbers(const NumbersPlace& place) { return false; }
  // Null when only one server at a time may write this kind of database.
  virtual std::unique_ptr<HeadWatch> WatchHead() { return nullptr; }
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BACKEND_BACKEND_H_
