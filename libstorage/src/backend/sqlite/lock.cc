#include "src/backend/sqlite/lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "src/backend/holder.h"

namespace storage::sqlite {
namespace {

constexpr size_t kMaxText = 1024;
constexpr size_t kMaxCommand = 400;

// "scheme://user:secret@host" keeps the user and the host.
std::string Redact(std::string_view text) {
  std::string out;
  while (true) {
    const size_t scheme = text.find("://");
    if (scheme == std::string_view::npos) break;
    out.append(text.substr(0, scheme + 3));
    text.remove_prefix(scheme + 3);
    // Up to the next argument: a password may hold any other character.
    const std::string_view authority = text.substr(0, text.find(' '));
    const size_t at = authority.rfind('@');
    if (authority.find("://") < authority.find('@')) continue;  // multi://postgres://...
    const size_t colon = authority.find(':');
    if (at == std::string_view::npos || colon > at) continue;
    out.append(authority.substr(0, colon)).append(":***");
    text.remove_prefix(at);
  }
  out.append(text);
  return out;
}

std::string CommandLine() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  while (!text.empty() && text.back() == '\0') text.pop_back();
  for (char& c : text) {
    if (c == '\0' || c == '\n') c = ' ';
  }
  return Redact(text).substr(0, kMaxCommand);
}

std::string Describe() { return absl::StrCat(DescribeHolder(), ": ", CommandLine(), "\n"); }

std::string ReadText(int fd) {
  char buffer[kMaxText];
  const ssize_t size = pread(fd, buffer, sizeof(buffer), 0);
  std::string text(buffer, size > 0 ? static_cast<size_t>(size) : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.empty() ? "unknown (the lock file is empty)" : text;
}

// The lock is on a name, so a file must have one: a symbolic link is followed, as
// SQLite does it, and a second hard link is refused.
absl::StatusOr<std::string> OneName(const Site& site) {
  char* const found = realpath(site.path.c_str(), nullptr);
  // What is not there yet (a restore makes it) has no other name either.
  if (found == nullptr && errno == ENOENT) return site.path;
  if (found == nullptr) return FromErrno(errno, "cannot find", site.path, site);
  const std::string real(found);
  free(found);
  struct stat info {};
  if (stat(real.c_str(), &info) == 0 && info.st_nlink > 1) {
    return MakeStatus(Code::kInvalid,
                      absl::StrCat(site.path, " has ", info.st_nlink,
                                   " names (hard links), and another server could open it by the "
                                   "other one; keep one name, or copy the file"),
                      site.name);
  }
  return real;
}

}  // namespace

std::string RedactForTest(std::string_view command_line) { return Redact(command_line); }

absl::StatusOr<std::unique_ptr<FileLock>> FileLock::Acquire(const Site& site) {
  const absl::StatusOr<std::string> real = OneName(site);
  if (!real.ok()) return real.status();
  const std::string path = *real + ".lock";
  // 0600: the command line is the owner's business.
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return FromErrno(errno, "cannot open the lock file", path, site);
  std::unique_ptr<FileLock> lock(new FileLock(fd));
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  if (fcntl(fd, F_OFD_SETLK, &range) != 0) {
    if (errno != EAGAIN && errno != EACCES) {
      return FromErrno(errno, "cannot lock", path, site);
    }
    return MakeStatus(Code::kBusy,
                      absl::StrCat(site.path, " is written by another process: ", ReadText(fd),
                                   "; stop it, or give this one a file of its own"),
                      site.name);
  }
  lock->held_ = true;
  // The text helps people; the lock alone counts, so a full disk does not matter.
  const std::string text = Describe();
  if (ftruncate(fd, 0) == 0 && pwrite(fd, text.data(), text.size(), 0) < 0) {
    Log(site, LogLevel::kWarning, absl::StrCat("cannot write ", path));
  }
  return lock;
}

// The file stays: removing it would let two processes lock two files of one name.
FileLock::~FileLock() {
  if (held_ && ftruncate(fd_, 0) != 0) {
    // The next holder writes its own text.
  }
  close(fd_);
}

}  // namespace storage::sqlite
