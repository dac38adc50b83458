// The one source of chance in dropfs: the same seed gives the same crash.
// Threads: not thread-safe; one instance per crash.
#ifndef TESTS_CRASH_FS_RANDOM_H_
#define TESTS_CRASH_FS_RANDOM_H_

#include <cstdint>

namespace dropfs {

// splitmix64: defined bit for bit, unlike the distributions of <random>.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // Uniform in [0, n); n > 0. The modulo bias does not matter here.
  uint64_t Below(uint64_t n) { return Next() % n; }
  bool Percent(int percent) { return Below(100) < static_cast<uint64_t>(percent); }

 private:
  uint64_t state_;
};

}  // namespace dropfs

#endif  // TESTS_CRASH_FS_RANDOM_H_
