// Plain files, durably: what backup and restore do below SQLite.
#ifndef LIBSTORAGE_TOOLS_STGCTL_FILES_H_
#define LIBSTORAGE_TOOLS_STGCTL_FILES_H_

#include <cstdint>
#include <functional>
#include <string>

#include "src/base/status.h"

namespace storage::stgctl {

// done and total bytes; false stops with CANCELLED.
using FileProgress = std::function<bool(int64_t done, int64_t total)>;

struct FileSum {
  int64_t size = 0;
  std::string sha256;
};

absl::Status WriteSynced(const std::string& path, const std::string& text);
absl::StatusOr<FileSum> SumFile(const std::string& path, const FileProgress& progress);
// Writes a new file (mode 0600), synced; answers the sum of what was read.
absl::StatusOr<FileSum> CopyFile(const std::string& from, const std::string& to,
                                 const FileProgress& progress);
absl::Status RenameSynced(const std::string& from, const std::string& to);
// Fine when it is not there.
absl::Status RemoveFile(const std::string& path);
absl::Status MakeParents(const std::string& path);
std::string AbsolutePath(const std::string& path);

}  // namespace storage::stgctl

#endif  // LIBSTORAGE_TOOLS_STGCTL_FILES_H_
