// Engine: one topology, one history. It routes keys to backends, runs one
// commit lane per backend, hands out revisions, answers reads at a revision
// and feeds watches. Shared design, sections 2 to 5; protocol.md.
//
// Threads: every method is thread-safe. Callbacks (WriteDone, WatchReady) run
// on engine threads, hold no lock, and must return quickly without blocking.
#ifndef LIBSTORAGE_SRC_ENGINE_ENGINE_H_
#define LIBSTORAGE_SRC_ENGINE_ENGINE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/backend/backend.h"
#include "src/backend/metadata.h"
#include "src/base/blob.h"
#include "src/base/log.h"
#include "src/base/status.h"
#include "src/topology/topology.h"
#include "src/watch/watch.h"

namespace storage {

struct EngineOptions {
  std::string topology_path;      // "" = no rules
  std::string topology_text;      // used instead of the path when not empty (tests)
  std::string default_endpoint;   // "" = sqlite://./libstorage.db; `multi://` accepted
  std::string metadata_endpoint;  // "" = SQLite file beside the default database ("<file>.meta")
  // Of the default database, and of a metadata store that is a part of it.
  TlsSettings default_tls;
  // Of the metadata store. skip_verify alone asks for no TLS: it counts where the
  // endpoint or the files do.
  TlsSettings metadata_tls;
  int64_t history_ms = 4 * 3600 * 1000;      // REVISION_MAPPER_HISTORY; 0 = never compact
  int64_t history_bytes = int64_t{2} << 30;  // cap per backend, overrides the age
  int64_t max_value_bytes = 1536 * 1024;
  int64_t max_key_bytes = 1024;
  int64_t ring_bytes = int64_t{6} << 20;  // recent events kept in memory, per backend
  int64_t slow_sql_ms = 0;
  bool restored = false;      // operator says: files come from a backup -> new epoch
  bool allow_memory = false;  // memory://name endpoints (tests)
  Logger* logger = nullptr;   // outlives the engine; may be null
  // Puts something in front of every backend: faults, in tests.
  std::function<std::unique_ptr<Backend>(std::unique_ptr<Backend>)> wrap_backend_for_test;
};

// --- writes ---
struct WriteResult {
  Code code = Code::kInternal;
  int64_t revision = 0;  // OK: of the write; CONFLICT/EXISTS/NOT_FOUND: a current revision
  // CONFLICT, EXISTS: the current object. OK of a delete: the removed object.
  ObjectMeta current;
  Blob current_value;
  absl::Status error;  // details when code is an outage or invalid input
};

// Cancelled while queued: CANCELLED. Once in a batch it runs to its end.
struct WriteOp {
  enum class Verb : uint8_t { kPut, kDelete };
  static constexpr int64_t kAnyRevision = -1;

  Verb verb = Verb::kPut;
  bool grows() const { return verb == Verb::kPut; }  // what is stored
  ResourceId resource = 0;
  std::string key;
  Blob value;            // put
  std::string attrs;     // put; row codec
  int64_t expected = 0;  // mod revision; 0 = must not exist (put); kAnyRevision = whatever is there
  int64_t expected_expiry_ms = -1;  // >= 0: must match too (reaper)
  int64_t ttl_ms = 0;               // put; 0 = never expires
  int64_t deadline_ms = 0;          // steady clock, 0 = none: not started by then -> DEADLINE
  std::atomic<bool> cancelled{false};
  std::chrono::steady_clock::time_point begin;  // set by Engine::Write
  std::function<void(WriteResult&&)> done;      // exactly once
};

// --- reads ---
struct ReadOptions {
  int64_t revision = 0;         // 0 = latest
  bool exact = false;           // at revision; otherwise revision is a minimum
  int64_t limit = 0;            // list; 0 = all
  bool want_remaining = false;  // list with a limit: count what follows
};
struct ReadHeader {
  int64_t revision = 0;  // resource version of the answer
  int64_t rows = 0;
  bool more = false;
  int64_t remaining = 0;  // -1 = not asked or not known
  int64_t floor = 0;      // with COMPACTED: oldest readable revision
};

// One of several point reads of the latest state.
struct PointGet {
  ResourceId resource = 0;
  std::string_view key;
  RowSink sink;
  ReadHeader header;
  absl::Status status;
};

class Engine {
 public:
  static absl::StatusOr<std::unique_ptr<Engine>> Open(const EngineOptions& options);
  virtual ~Engine() = default;  // Close() if not yet closed

  // Ends watches (CANCELLED), refuses new work, finishes queued writes, writes
  // the clean mark. Idempotent.
  virtual absl::Status Close() = 0;

  // The same description again gives the same id. Ids count from 0.
  virtual absl::StatusOr<ResourceId> Register(const Resource& resource) = 0;

  virtual void Write(std::shared_ptr<WriteOp> op) = 0;  // never blocks

  // True: Get of this key takes microseconds and may run on the caller's thread.
  virtual bool FastGet(ResourceId resource, std::string_view key) const = 0;
  // The databases that a read of this key, or of this range ({} = of all), asks and may
  // wait for: bit i = backend number i modulo 64. 0 for a resource that is not known.
  virtual uint64_t BackendsOf(ResourceId resource, std::string_view key) const = 0;
  virtual uint64_t BackendsOf(ResourceId resource, const Range& range) const = 0;
  // These block on databases. Sinks run without locks. OK without a row = absent.
  virtual absl::Status Get(ResourceId resource, std::string_view key, const ReadOptions& options,
                           const RowSink& sink, ReadHeader* header) = 0;
  // How many point reads that ask these databases (BackendsOf) GetMany reads in one request
  // of theirs; 1 = it is no cheaper than as many Gets. Does not block.
  virtual size_t GetsTogether(uint64_t backends) const = 0;
  // As Get of each, at revision 0.
  virtual void GetMany(absl::Span<PointGet> gets) = 0;
  virtual absl::Status List(ResourceId resource, const Range& range, const ReadOptions& options,
                            const RowSink& sink, ReadHeader* header) = 0;
  virtual absl::StatusOr<int64_t> Count(ResourceId resource, const Range& range,
                                        ReadHeader* header) = 0;
  // Linearizable: at least every revision acknowledged for the resource before the call.
  virtual absl::StatusOr<int64_t> CurrentRevision(ResourceId resource) = 0;

  // Events with revision > after in the range. ready() is called once whenever
  // an idle watch (last Next was empty) has something; it may be called during
  // this call. COMPACTED when after is below the floor.
  virtual absl::StatusOr<std::unique_ptr<Watch>> StartWatch(ResourceId resource, const Range& range,
                                                            int64_t after,
                                                            std::function<void()> ready) = 0;

  // Raises the floor of every backend to min(rev, head) and deletes below.
  // Returns once the floors are committed; rows go in the background.
  virtual absl::Status Compact(int64_t rev) = 0;

  virtual std::vector<std::string> BackendNames() const = 0;  // by backend number
  virtual absl::Status CheckBackend(const std::string& name) = 0;
  virtual absl::Status CheckMetadata() = 0;
  virtual absl::Status CheckEngine() = 0;  // the engine itself (livez)
  virtual std::string StatsJson() = 0;     // docs/stats.md
  virtual std::string LayoutJson() = 0;    // what is stored where, endpoints redacted
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_ENGINE_H_
