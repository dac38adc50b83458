// MetadataStore: M of the revision protocol. It remembers who we are (m_id,
// epoch), which revisions were handed out, what each backend confirmed, the
// topology and when revisions happened. Every writing method is one durable
// transaction, fully synced whatever the durability of the data; UNAVAILABLE once
// somebody else has called Start() on the same store.
//
// Threads: safe from any thread; calls are serialised inside.
#ifndef LIBSTORAGE_SRC_BACKEND_METADATA_H_
#define LIBSTORAGE_SRC_BACKEND_METADATA_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "src/base/status.h"

namespace storage {

struct NumbersPlace;  // backend.h

struct BackendMark {
  std::string identity;   // of the backend when it was first opened under this name
  int64_t confirmed = 0;  // highest head known committed there
};

struct MetaState {
  bool existed = false;  // false: the store was created by this open
  std::string m_id;      // random, made with the store
  int64_t epoch = 0;     // number of starts; Start() adds one
  int64_t reserved = 0;  // no revision above was ever handed out
  bool clean = false;    // closed in order: reserved is exact
  int64_t topo_version = 0;
  std::string topo;  // remembered routes, JSON of src/topology; "" = none
  std::map<std::string, BackendMark> backends;  // by backend name
  // Its last server held no claim, so that it may still run: etcd, before it had claims.
  bool unclaimed = false;
};

// One lane's part of a take.
struct TakeWish {
  std::string name;       // of the backend
  int64_t n = 0;          // numbers, > 0
  int64_t confirmed = 0;  // highest head known committed there
};

// The sequencer as one read sees it (protocol: "Resolve").
struct Numbers {
  struct Lane {
    int64_t alloc = 0;      // highest number ever handed out for the lane
    int64_t confirmed = 0;  // highest head known committed
    int64_t head = -1;      // committed, of the same moment; -1 = not read (ReadHeadOf)
  };
  int64_t epoch = 0;
  int64_t rev = 0;  // highest number handed out to anybody
  std::map<std::string, Lane> lanes;
};

// What a metadata store that several servers use at once (PostgreSQL, MySQL, etcd) can do besides.
// Every server holds a claim that is shared; who comes first, when no other one runs, starts
// (MetadataStore::Start) while the others wait; the rest join what is running.
//
// Threads and errors: as MetadataStore. Take and SwapTopology are durable transactions.
class SharedMetadata {
 public:
  virtual ~SharedMetadata() = default;
  // At open others held the claim: this server joins, and must not call Start().
  virtual bool joined() const = 0;
  // Tries for wait_ms to be the only one. True: joined() is false from here on (before
  // Admit), or nobody else is left (after it). Others cannot come in until Admit, or
  // the end of this store.
  virtual absl::StatusOr<bool> BecomeOnly(int64_t wait_ms) = 0;
  // Before Start, when nobody else was there (joined() is false): servers that lost their
  // session have so long to come back, and who wants to start waits as ever. True: one
  // did, and joined() is true from here on. found() is as of the end of the call.
  virtual absl::StatusOr<bool> AwaitOthers(int64_t wait_ms) = 0;
  // The start, or the joining, is done: others may come in. Once.
  virtual absl::Status Admit() = 0;
  // Gives the claim back. UNAVAILABLE from everything afterwards.
  virtual void Resign() = 0;

  // Where the numbers are; lane is left empty. Between opening and Admit.
  virtual absl::StatusOr<NumbersPlace> NumbersAt() = 0;
  // The lane is in the same database (Backend::ShareNumbers): ReadNumbers answers its head
  // as well. Before several threads use this.
  virtual void ReadHeadOf(const std::string& lane) = 0;
  // Hands out consecutive numbers to the wishes in their order and returns the first.
  // After an error they may have been handed out all the same: they are void then.
  virtual absl::StatusOr<int64_t> Take(absl::Span<const TakeWish> wishes) = 0;
  // One atomic read on the primary, begun after the call.
  virtual absl::StatusOr<Numbers> ReadNumbers() = 0;
  virtual absl::StatusOr<std::string> ReadTopology() = 0;
  // Replaces the remembered topology if it still is `before`; false = it is not.
  virtual absl::StatusOr<bool> SwapTopology(const std::string& before,
                                            const std::string& after) = 0;
};

class MetadataStore {
 public:
  virtual ~MetadataStore() = default;
  // State as found at open (before Start).
  virtual const MetaState& found() const = 0;
  // epoch + 1, clean = false. Call once, after the files are locked.
  virtual absl::StatusOr<int64_t> Start() = 0;
  // No number above upto was handed out before this returns OK. Also stores
  // confirmed heads. upto never goes down.
  virtual absl::Status Reserve(int64_t upto, const std::map<std::string, BackendMark>& marks) = 0;
  virtual absl::Status SetTopology(int64_t version, const std::string& topo) = 0;
  // Remembers that rev was current at unix_s; ForgetBefore drops older marks.
  virtual absl::Status MarkTime(int64_t unix_s, int64_t rev) = 0;
  // Highest remembered rev at or before unix_s; 0 = none.
  virtual absl::StatusOr<int64_t> RevisionAt(int64_t unix_s) = 0;
  virtual absl::Status ForgetBefore(int64_t unix_s) = 0;
  // Orderly end: reserved = rev exactly, clean = true. With other servers a batch of one
  // that lost its claim may have taken numbers since rev was read: then neither.
  virtual absl::Status Finish(int64_t rev, const std::map<std::string, BackendMark>& marks) = 0;
  virtual absl::Status Ping() = 0;
  // Not null: the store was opened for several servers, and can serve them.
  virtual SharedMetadata* shared() { return nullptr; }
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BACKEND_METADATA_H_
