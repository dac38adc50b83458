// LogRing: the engine's messages on their way to stg_drain. Bounded: when the
// caller does not read them, later ones are dropped and their number told.
// Threads: any; never blocks.
#ifndef LIBSTORAGE_SRC_API_LOG_RING_H_
#define LIBSTORAGE_SRC_API_LOG_RING_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "src/api/completion_queue.h"
#include "src/api/slab.h"
#include "src/base/log.h"

namespace storage {
namespace api {

class LogRing : public Logger {
 public:
  static constexpr int64_t kCapacity = 256;  // messages not yet released

  LogRing(SlabPool* slabs, CompletionQueue* queue) : slabs_(slabs), queue_(queue) {}
  void Log(LogLevel level, std::string message) override;

 private:
  void Push(LogLevel level, const std::string& message);

  SlabPool* const slabs_;
  CompletionQueue* const queue_;
  std::atomic<int64_t> dropped_{0};
};

}  // namespace api
}  // namespace storage

#endif  // LIBSTORAGE_SRC_API_LOG_RING_H_
