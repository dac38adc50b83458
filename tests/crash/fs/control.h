// The control socket: one line in, one line of JSON out, per connection.
//   crash SEED [KEEP_PERCENT]     cut the power now; KEEP_PERCENT is drawn from the
//                                 seed when it is not given
//   arm N SEED [KEEP_PERCENT]     cut it before the N-th next change or sync
//   wait                          answers once the power is off
//   limit BYTES                   size of the volume, 0 = no limit
//   sync                          make everything durable
//   stats
// Threads: one thread of its own, and one per waiting client.
#ifndef TESTS_CRASH_FS_CONTROL_H_
#define TESTS_CRASH_FS_CONTROL_H_

#include <string>

#include "fuse_ops.h"

namespace dropfs {

// Serves until the process ends. Throws std::system_error when it cannot listen.
void StartControl(const std::string& path, Server* server);

}  // namespace dropfs

#endif  // TESTS_CRASH_FS_CONTROL_H_
