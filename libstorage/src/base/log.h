// Where the library's messages go: it writes nothing to stdout or stderr by
// itself. Implementations must be thread-safe and must not block.
#ifndef LIBSTORAGE_SRC_BASE_LOG_H_
#define LIBSTORAGE_SRC_BASE_LOG_H_

#include <cstdint>
#include <string>

namespace storage {

enum class LogLevel : int32_t { kInfo = 0, kWarning = 1, kError = 2 };

class Logger {
 public:
  virtual ~Logger() = default;
  // message: one sentence, no secrets, names the backend when there is one.
  virtual void Log(LogLevel level, std::string message) = 0;
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BASE_LOG_H_
