#include "src/backend/sqlite/file.h"

#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace storage::sqlite {

int64_t FileBytes(const Site& site, const char* suffix) {
  struct stat info {};
  return stat((site.path + suffix).c_str(), &info) == 0 ? info.st_size : 0;
}

absl::StatusOr<FileIdentity> IdentifyFile(const Site& site) {
  struct stat info {};
  if (stat(site.path.c_str(), &info) != 0) return FromErrno(errno, "cannot find", site.path, site);
  return FileIdentity{info.st_dev, info.st_ino};
}

absl::Status CheckSameFile(const Site& site, const FileIdentity& opened) {
  struct stat info {};
  const bool found = stat(site.path.c_str(), &info) == 0;
  if (found && info.st_dev == opened.device && info.st_ino == opened.inode) {
    return absl::OkStatus();
  }
  return MakeStatus(Code::kUnavailable,
                    absl::StrCat(site.path, " was ", found ? "replaced" : "removed or hidden",
                                 " while it was open: nothing is written to it any more; put the "
                                 "file back or restart"),
                    site.name);
}

}  // namespace storage::sqlite
