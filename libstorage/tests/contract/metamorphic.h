// Random histories on memory and another backend: the same answers. STG_META_RUNS
// sets the number of histories (default: as many as fit into the time given),
// STG_META_SEED the first seed. A difference is printed with its seed, shrunk.
#ifndef LIBSTORAGE_TESTS_CONTRACT_METAMORPHIC_H_
#define LIBSTORAGE_TESTS_CONTRACT_METAMORPHIC_H_

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "src/backend/memory/memory.h"
#include "tests/contract/histories.h"

namespace storage::contract {

class Metamorphic {
 public:
  using Open = std::function<absl::StatusOr<std::unique_ptr<Backend>>()>;

  // fresh gives a way to open, and to open again, a database that is empty now.
  explicit Metamorphic(std::function<Open()> fresh) : fresh_(std::move(fresh)) {}

  void Run(std::chrono::seconds time_limit) const {
    const char* const runs_text = std::getenv("STG_META_RUNS");
    const char* const seed_text = std::getenv("STG_META_SEED");
    const int64_t runs = runs_text == nullptr ? INT64_MAX : std::atoll(runs_text);
    const uint64_t first = seed_text == nullptr ? static_cast<uint64_t>(time(nullptr)) * 100000
                                                : std::strtoull(seed_text, nullptr, 10);
    const auto end = std::chrono::steady_clock::now() + time_limit;
    int64_t done = 0;
    for (; done < runs; ++done) {
      if (runs == INT64_MAX && done > 0 && std::chrono::steady_clock::now() > end) break;
      const uint64_t seed = first + static_cast<uint64_t>(done);
      if (RunOn(Commands(seed)).difference.empty()) continue;
      return Report(seed);
    }
    EXPECT_GT(done, 0);
    std::cout << done << " histories from seed " << first << "\n";
  }

 private:
  struct Outcome {
    std::string difference;
    Lines trace;
  };

  static std::vector<uint64_t> Commands(uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<uint64_t> commands(120);
    for (uint64_t& command : commands) command = random();
    return commands;
  }

  Outcome RunOn(const std::vector<uint64_t>& commands) const {
    const auto memory = []() -> absl::StatusOr<std::unique_ptr<Backend>> {
      return NewMemoryBackend("memory");
    };
    const Open open = fresh_();
    HistoryRunner runner(memory, open, open);
    Outcome outcome;
    outcome.difference = runner.Run(commands);
    outcome.trace = runner.trace();
    return outcome;
  }

  // Leaves out ever smaller parts as long as the rest still differs.
  std::vector<uint64_t> Shrink(std::vector<uint64_t> commands) const {
    for (size_t part = commands.size() / 2; part > 0; part /= 2) {
      for (size_t begin = 0; begin + part <= commands.size();) {
        std::vector<uint64_t> fewer = commands;
        const auto from = fewer.begin() + static_cast<int64_t>(begin);
        fewer.erase(from, from + static_cast<int64_t>(part));
        if (RunOn(fewer).difference.empty()) {
          begin += part;
        } else {
          commands = fewer;
        }
      }
    }
    return commands;
  }

  void Report(uint64_t seed) const {
    const std::vector<uint64_t> small = Shrink(Commands(seed));
    const Outcome outcome = RunOn(small);
    std::string trace;
    for (const std::string& line : outcome.trace) trace += line + "\n";
    FAIL() << "STG_META_SEED=" << seed << " STG_META_RUNS=1: " << small.size()
           << " commands are enough:\n"
           << trace << "differ in " << outcome.difference;
  }

  const std::function<Open()> fresh_;
};

}  // namespace storage::contract

#endif  // LIBSTORAGE_TESTS_CONTRACT_METAMORPHIC_H_
