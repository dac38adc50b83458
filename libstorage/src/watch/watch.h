// Watch: the ordered stream of changes that one consumer follows.
#ifndef LIBSTORAGE_SRC_WATCH_WATCH_H_
#define LIBSTORAGE_SRC_WATCH_WATCH_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/backend/backend.h"
#include "src/base/blob.h"
#include "src/base/status.h"

namespace storage {

using ResourceId = int32_t;  // as registered with the engine, from 0

struct Event {
  int64_t rev = 0;
  ChangeKind kind = ChangeKind::kCreate;
  ResourceId resource = -1;
  std::string key;
  Blob value;  // absent for deletes and expiries
  Blob prev;   // absent for creates
};
using EventPtr = std::shared_ptr<const Event>;

struct WatchBatch {
  std::vector<EventPtr> events;  // ascending revisions
  int64_t progress = 0;          // > 0: everything up to here was delivered (after the events)
  bool more = false;             // call Next again without waiting
  absl::Status end;  // not OK: the watch ended (COMPACTED, SLOW_CONSUMER, UNAVAILABLE, CANCELLED)
};

class Watch {
 public:
  virtual ~Watch() = default;  // stops it; WatchReady is not called after the destructor returns
  // Never blocks on a database: catch-up reads run on the engine's threads.
  // An empty batch means: wait for the next ready callback.
  virtual WatchBatch Next(int64_t max_events, int64_t max_bytes) = 0;
  // Asks for a progress mark at least as high as any revision acknowledged or
  // listed before this call.
  virtual void RequestProgress() = 0;
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_WATCH_WATCH_H_
