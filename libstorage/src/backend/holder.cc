#include "src/backend/holder.h"

#include <unistd.h>

#include <ctime>

#include "absl/strings/str_cat.h"

namespace storage {

std::string DescribeHolder() {
  char host[256] = "?";
  gethostname(host, sizeof(host) - 1);
  const time_t now = time(nullptr);
  struct tm utc {};
  gmtime_r(&now, &utc);
  char since[32];
  strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return absl::StrCat("pid ", getpid(), " on host ", host, " since ", since);
}

}  // namespace storage
