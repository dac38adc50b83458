// Who holds a metadata store or a file, for people: kept beside the claim.
// Threads: any.
#ifndef LIBSTORAGE_SRC_BACKEND_HOLDER_H_
#define LIBSTORAGE_SRC_BACKEND_HOLDER_H_

#include <string>

namespace storage {

std::string HostName();

// "pid 7 on host a since 2026-11-30T10:00:00Z": this process, from now on. No command
// line: everybody who may read the table of a server would see it.
std::string DescribeHolder();

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BACKEND_HOLDER_H_
