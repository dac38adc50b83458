// Ctrl-C during long work: the work ends in order and cleans up.
#ifndef LIBSTORAGE_TOOLS_STGCTL_STOP_H_
#define LIBSTORAGE_TOOLS_STGCTL_STOP_H_

namespace storage::stgctl {

void CatchSignals();  // SIGINT and SIGTERM, once
bool Stopped();

}  // namespace storage::stgctl

#endif  // LIBSTORAGE_TOOLS_STGCTL_STOP_H_
