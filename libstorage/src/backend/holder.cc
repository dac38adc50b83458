#include "src/backend/holder.h"

#include <unistd.h>

#include <ctime>

#include "absl/strings/str_cat.h"

namespace storage {

std::string HostName() {
  char host[256] = "?";
  gethostname(host, sizeof(host) - 1);
  return host;
}

std::string DescribeHolder() {
  const time_t now = time(nullptr);
  struct tm utc {};
  gmtime_r(&now, &utc);
  char since[32];
  strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return absl::StrCat("pid ", getpid(), " on host ", HostName(), " since ", since);
}

}  // namespace storage
