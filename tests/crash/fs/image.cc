#include "image.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace dropfs {
namespace {

[[noreturn]] void Fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

void WriteAll(int fd, int64_t offset, std::span<const char> data) {
  while (!data.empty()) {
    const ssize_t n = pwrite(fd, data.data(), data.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) Fail("pwrite");
    data = data.subspan(static_cast<size_t>(n));
    offset += n;
  }
}

void SetSize(int fd, int64_t size) {
  if (ftruncate(fd, size) != 0) Fail("ftruncate");
}

}  // namespace

Image::Image(Fd base) : base_(std::move(base)) {
  struct stat st {};
  if (fstat(base_.get(), &st) != 0) Fail("fstat");
  size_ = durable_size_ = base_limit_ = st.st_size;
}

bool Image::dirty() const {
  return !overlay_.empty() || size_ != durable_size_ || base_limit_ != durable_size_;
}

void Image::ReadBase(int64_t offset, std::span<char> out) const {
  size_t done = 0;
  const int64_t wanted =
      std::clamp<int64_t>(base_limit_ - offset, 0, static_cast<int64_t>(out.size()));
  while (done < static_cast<size_t>(wanted)) {
    const ssize_t n = pread(base_.get(), out.data() + done, static_cast<size_t>(wanted) - done,
                            offset + static_cast<int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) Fail("pread");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  std::memset(out.data() + done, 0, out.size() - done);
}

size_t Image::Read(int64_t offset, std::span<char> out) const {
  if (offset >= size_) return 0;
  out = out.first(std::min(out.size(), static_cast<size_t>(size_ - offset)));
  ReadBase(offset, out);
  const int64_t end = offset + static_cast<int64_t>(out.size());
  for (auto it = overlay_.lower_bound(offset / kSector);
       it != overlay_.end() && it->first * kSector < end; ++it) {
    const int64_t sector_start = it->first * kSector;
    const int64_t from = std::max(offset, sector_start);
    const int64_t to = std::min(end, sector_start + kSector);
    std::memcpy(out.data() + (from - offset), it->second.data() + (from - sector_start),
                static_cast<size_t>(to - from));
  }
  return out.size();
}

Image::Sector& Image::Dirty(int64_t index) {
  auto [it, added] = overlay_.try_emplace(index);
  if (added) ReadBase(index * kSector, it->second);
  return it->second;
}

void Image::Write(int64_t offset, std::span<const char> data) {
  while (!data.empty()) {
    const int64_t index = offset / kSector;
    const int64_t within = offset - index * kSector;
    const size_t n = std::min(data.size(), static_cast<size_t>(kSector - within));
    std::memcpy(Dirty(index).data() + within, data.data(), n);
    data = data.subspan(n);
    offset += static_cast<int64_t>(n);
    size_ = std::max(size_, offset);
  }
}

void Image::Truncate(int64_t size) {
  if (size < size_) {
    overlay_.erase(overlay_.lower_bound((size + kSector - 1) / kSector), overlay_.end());
    if (auto it = overlay_.find(size / kSector); it != overlay_.end()) {
      const int64_t keep = size % kSector;
      std::memset(it->second.data() + keep, 0, static_cast<size_t>(kSector - keep));
    }
    base_limit_ = std::min(base_limit_, size);
  }
  size_ = size;
}

void Image::Sync() {
  if (base_limit_ < durable_size_) SetSize(base_.get(), base_limit_);
  if (size_ != base_limit_) SetSize(base_.get(), size_);
  for (const auto& [index, sector] : overlay_) {
    const int64_t start = index * kSector;
    WriteAll(base_.get(), start,
             std::span(sector).first(static_cast<size_t>(std::min(kSector, size_ - start))));
  }
  overlay_.clear();
  durable_size_ = base_limit_ = size_;
}

int64_t Image::SurvivingSize(Random& random, int keep_percent, bool* truncated) const {
  *truncated = base_limit_ < durable_size_ && random.Percent(keep_percent);
  if (base_limit_ < durable_size_) return *truncated ? size_ : durable_size_;
  if (size_ == durable_size_ || random.Percent(keep_percent)) return size_;
  if (random.Percent(50)) return durable_size_;
  const int64_t grown = size_ - durable_size_;
  const int64_t part = static_cast<int64_t>(random.Below(static_cast<uint64_t>(grown)));
  return durable_size_ + part / kSector * kSector;
}

void Image::Crash(Random& random, int keep_percent, CrashStats* stats) {
  bool truncated = false;
  const int64_t size = SurvivingSize(random, keep_percent, &truncated);
  if (size != size_) ++stats->sizes_lost;
  if (truncated) SetSize(base_.get(), base_limit_);
  if (size != durable_size_ || truncated) SetSize(base_.get(), size);
  int64_t kept = 0;
  for (const auto& [index, sector] : overlay_) {
    const int64_t start = index * kSector;
    if (!random.Percent(keep_percent) || start >= size) continue;
    ++kept;
    WriteAll(base_.get(), start,
             std::span(sector).first(static_cast<size_t>(std::min(kSector, size - start))));
  }
  const int64_t lost = static_cast<int64_t>(overlay_.size()) - kept;
  stats->sectors_kept += kept;
  stats->sectors_lost += lost;
  if (kept > 0 && lost > 0) ++stats->files_torn;
  overlay_.clear();
  size_ = durable_size_ = base_limit_ = size;
}

}  // namespace dropfs
