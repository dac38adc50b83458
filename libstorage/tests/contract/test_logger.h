// A log that a test can read.
#ifndef LIBSTORAGE_TESTS_CONTRACT_TEST_LOGGER_H_
#define LIBSTORAGE_TESTS_CONTRACT_TEST_LOGGER_H_

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "src/base/log.h"

namespace storage::contract {

class TestLogger : public Logger {
 public:
  void Log(LogLevel level, std::string message) override {
    std::lock_guard<std::mutex> lock(mutex_);
    messages_.push_back(std::move(message));
  }
  std::vector<std::string> messages() {
    std::lock_guard<std::mutex> lock(mutex_);
    return messages_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> messages_;
};

}  // namespace storage::contract

#endif  // LIBSTORAGE_TESTS_CONTRACT_TEST_LOGGER_H_
