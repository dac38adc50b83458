// Image: the bytes of one file, in two layers. The base is a file of the backing
// directory and holds exactly what is durable. The overlay, in memory, holds every
// 512-byte sector written since the last sync. A sync moves the overlay into the
// base; a crash moves a random part of it.
// Threads: not thread-safe; Volume serialises.
#ifndef TESTS_CRASH_FS_IMAGE_H_
#define TESTS_CRASH_FS_IMAGE_H_

#include <array>
#include <cstdint>
#include <map>
#include <span>

#include "fd.h"
#include "random.h"

namespace dropfs {

inline constexpr int64_t kSector = 512;  // what a disk writes as one

struct CrashStats {
  int64_t sectors_kept = 0;
  int64_t sectors_lost = 0;
  int64_t files_torn = 0;  // some sectors kept and some lost
  int64_t sizes_lost = 0;  // a growth or truncation undone, whole or in part
  int64_t entries_kept = 0;
  int64_t entries_lost = 0;
};

class Image {
 public:
  explicit Image(Fd base);  // its present content is durable

  int64_t size() const { return size_; }
  int64_t durable_size() const { return durable_size_; }
  size_t dirty_sectors() const { return overlay_.size(); }
  bool dirty() const;

  // Returns the bytes read: fewer than asked for at the end of the file. Throws
  // std::system_error when the base fails, as do all that touch it.
  size_t Read(int64_t offset, std::span<char> out) const;
  void Write(int64_t offset, std::span<const char> data);
  void Truncate(int64_t size);

  void Sync();
  // What a power cut leaves, in the base: each dirty sector with keep_percent.
  // A truncation survives or not; a growth survives whole, in part or not.
  void Crash(Random& random, int keep_percent, CrashStats* stats);

 private:
  using Sector = std::array<char, kSector>;

  Sector& Dirty(int64_t index);  // loads it from the base when it is not there yet
  void ReadBase(int64_t offset, std::span<char> out) const;
  int64_t SurvivingSize(Random& random, int keep_percent, bool* truncated) const;

  Fd base_;
  int64_t size_;
  int64_t durable_size_;
  int64_t base_limit_;                 // base bytes from here on were cut off by a truncation
  std::map<int64_t, Sector> overlay_;  // by sector index; nothing beyond size_
};

}  // namespace dropfs

#endif  // TESTS_CRASH_FS_IMAGE_H_
