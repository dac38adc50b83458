#include "src/backend/sqlite/ballast.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <limits>
#include <map>

#include "absl/strings/str_cat.h"

namespace storage::sqlite {
namespace {

constexpr int64_t kMiB = 1 << 20;
// Room beyond the ballast before writes resume, so that the next write does
// not spend it again at once.
constexpr int64_t kMargin = 16 * kMiB;

std::atomic<int64_t> ballast_bytes{64 * kMiB};
std::atomic<int64_t> recheck_ms{1000};

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// A directory that cannot be asked is no full disk: who writes there finds out.
int64_t AvailableBytes(const std::string& directory) {
  struct statvfs fs {};
  if (statvfs(directory.c_str(), &fs) != 0) return std::numeric_limits<int64_t>::max();
  return static_cast<int64_t>(fs.f_bavail) * static_cast<int64_t>(fs.f_frsize);
}

bool IsDirectory(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

struct Registry {
  Mutex mutex;
  std::map<dev_t, std::weak_ptr<Ballast>> ballasts ABSL_GUARDED_BY(mutex);
};

Registry& TheRegistry() {
  static Registry* const registry = new Registry;  // used by databases closed at exit
  return *registry;
}

}  // namespace

void Ballast::SetBytesForTest(int64_t bytes, int64_t recheck) {
  ballast_bytes = bytes;
  recheck_ms = recheck;
}

std::shared_ptr<Ballast> Ballast::For(const Site& site) {
  const std::string directory = DirectoryOf(site.path);
  struct stat info {};
  // A directory that cannot be read is reported by whoever opens the database.
  if (stat(directory.c_str(), &info) != 0) return std::make_shared<Ballast>("");
  Registry& registry = TheRegistry();
  MutexLock lock(&registry.mutex);
  std::weak_ptr<Ballast>& slot = registry.ballasts[info.st_dev];
  std::shared_ptr<Ballast> ballast = slot.lock();
  if (ballast == nullptr || !IsDirectory(ballast->directory_)) {
    ballast = std::make_shared<Ballast>(directory);
    slot = ballast;
    ballast->spent_ = true;
    if (!ballast->Restore(site)) {
      Log(site, LogLevel::kWarning,
          absl::StrCat("the file system of ", directory,
                       " is nearly full: creates and updates are "
                       "refused until ",
                       (ballast_bytes + kMargin) / kMiB, " MiB are free"));
    }
  }
  return ballast;
}

// EOPNOTSUPP and the like mean that there is no ballast, and no error.
bool Ballast::Allocate(const Site& site) {
  if (!IsDirectory(directory_)) {  // removed with what was in it
    none_ = true;
    return true;
  }
  const int fd = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    none_ = true;
    Log(site, LogLevel::kWarning, absl::StrCat("cannot create ", path_, ": no ballast"));
    return true;
  }
  const bool done = fallocate(fd, 0, 0, ballast_bytes) == 0;
  const int error = errno;
  close(fd);
  if (done) return true;
  unlink(path_.c_str());
  if (error == ENOSPC || error == EDQUOT) return false;
  none_ = true;
  Log(site, LogLevel::kWarning,
      absl::StrCat("the file system of ", path_, " cannot reserve space: no ballast"));
  return true;
}

bool Ballast::Restore(const Site& site) {
  if (!spent()) return true;
  MutexLock lock(&mutex_);
  if (none_) spent_ = false;
  if (!spent()) return true;
  const int64_t now = NowMs();
  if (now < next_check_ms_) return false;
  next_check_ms_ = now + recheck_ms;
  struct stat info {};
  const bool there = stat(path_.c_str(), &info) == 0 && info.st_blocks * 512 >= ballast_bytes;
  if (!there) {
    if (AvailableBytes(directory_) < ballast_bytes + kMargin) return false;
    if (!Allocate(site)) return false;
  }
  spent_ = false;
  return true;
}

bool Ballast::Spend(const Site& site) {
  MutexLock lock(&mutex_);
  if (none_ || spent()) return false;
  spent_ = true;
  next_check_ms_ = NowMs() + recheck_ms;
  const bool freed = unlink(path_.c_str()) == 0;
  Log(site, LogLevel::kError,
      absl::StrCat("the file system of ", site.path, " is full: the reserve of ",
                   ballast_bytes / kMiB,
                   " MiB is given back for deletes and compaction; creates "
                   "and updates are refused until there is room"));
  return freed;
}

absl::Status Ballast::CheckGrowth(const Site& site) {
  if (!spent() && !none_ && AvailableBytes(directory_) < kMargin) Spend(site);
  if (Restore(site)) return absl::OkStatus();
  return MakeStatus(
      Code::kNoSpace,
      absl::StrCat("the file system of ", site.path,
                   " is full: creates and updates are refused "
                   "until ",
                   (ballast_bytes + kMargin) / kMiB, " MiB are free; delete objects or free space"),
      site.name);
}

}  // namespace storage::sqlite
