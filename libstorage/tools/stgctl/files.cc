#include "tools/stgctl/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tools/stgctl/sha256.h"

namespace storage::stgctl {
namespace {

constexpr size_t kChunk = 1 << 20;

absl::Status Error(const std::string& what, const std::string& path) {
  const int error = errno;
  const Code code = error == ENOSPC || error == EDQUOT ? Code::kNoSpace : Code::kUnavailable;
  return MakeStatus(code, absl::StrCat(what, " ", path, ": ", std::strerror(error)));
}

class File {
 public:
  File(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

bool WriteAll(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(fd, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    data += written;
    size -= static_cast<size_t>(written);
  }
  return true;
}

absl::Status SyncDirectoryOf(const std::string& path) {
  std::string directory = std::filesystem::path(path).parent_path().string();
  if (directory.empty()) directory = ".";
  File file(directory, O_RDONLY | O_DIRECTORY);
  if (file.fd() < 0 || ::fsync(file.fd()) != 0) return Error("cannot sync", directory);
  return absl::OkStatus();
}

// Reads all of from; out_fd < 0: only sums.
absl::StatusOr<FileSum> Pump(const std::string& from, const std::string& to, int out_fd,
                             const FileProgress& progress) {
  File in(from, O_RDONLY);
  struct stat info {};
  if (in.fd() < 0 || ::fstat(in.fd(), &info) != 0) return Error("cannot read", from);
  std::vector<char> buffer(kChunk);
  Sha256 sum;
  FileSum out;
  while (true) {
    const ssize_t got = ::read(in.fd(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error("cannot read", from);
    if (got == 0) break;
    sum.Add(buffer.data(), static_cast<size_t>(got));
    if (out_fd >= 0 && !WriteAll(out_fd, buffer.data(), static_cast<size_t>(got))) {
      return Error("cannot write", to);
    }
    out.size += got;
    if (progress && !progress(out.size, info.st_size)) {
      return MakeStatus(Code::kCancelled, "stopped");
    }
  }
  out.sha256 = sum.Finish();
  return out;
}

}  // namespace

absl::Status WriteSynced(const std::string& path, const std::string& text) {
  File file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (file.fd() < 0 || !WriteAll(file.fd(), text.data(), text.size()) || ::fsync(file.fd()) != 0) {
    return Error("cannot write", path);
  }
  return SyncDirectoryOf(path);
}

absl::StatusOr<FileSum> SumFile(const std::string& path, const FileProgress& progress) {
  return Pump(path, "", -1, progress);
}

absl::StatusOr<FileSum> CopyFile(const std::string& from, const std::string& to,
                                 const FileProgress& progress) {
  File out(to, O_WRONLY | O_CREAT | O_TRUNC);
  if (out.fd() < 0) return Error("cannot write", to);
  absl::StatusOr<FileSum> sum = Pump(from, to, out.fd(), progress);
  if (sum.ok() && ::fsync(out.fd()) != 0) return Error("cannot write", to);
  return sum;
}

absl::Status RenameSynced(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return Error("cannot create", to);
  return SyncDirectoryOf(to);
}

absl::Status RemoveFile(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return Error("cannot remove", path);
}

absl::Status MakeParents(const std::string& path) {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (parent.empty()) return absl::OkStatus();
  std::filesystem::create_directories(parent, error);
  if (!error) return absl::OkStatus();
  errno = error.value();
  return Error("cannot create the directory", parent.string());
}

std::string AbsolutePath(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

}  // namespace storage::stgctl
