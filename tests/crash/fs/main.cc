// dropfs --backing=DIR --control=SOCKET [--limit=BYTES] MOUNTPOINT
//
// Mounts the volume that is durable in DIR and serves it in the foreground until
// SIGTERM or an unmount; both make everything durable, like a clean shutdown. After
// a crash (see control.h) SIGTERM only ends the daemon. "ready" on stdout says
// that the mount is there.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>

#include "control.h"
#include "fuse_ops.h"

namespace {

struct Options {
  std::string backing, control, mountpoint;
  int64_t limit = 0;
};

bool TakeValue(const char* arg, const char* flag, std::string* out) {
  const size_t n = std::strlen(flag);
  if (std::strncmp(arg, flag, n) != 0) return false;
  *out = arg + n;
  return true;
}

bool Parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    std::string limit;
    if (TakeValue(argv[i], "--backing=", &options->backing)) continue;
    if (TakeValue(argv[i], "--control=", &options->control)) continue;
    if (TakeValue(argv[i], "--limit=", &limit)) {
      options->limit = std::strtoll(limit.c_str(), nullptr, 10);
      continue;
    }
    if (argv[i][0] == '-' || !options->mountpoint.empty()) return false;
    options->mountpoint = argv[i];
  }
  return !options->backing.empty() && !options->control.empty() && !options->mountpoint.empty();
}

// SIGTERM must reach the thread that waits for requests, to wake it.
void StartControlWithoutSignals(const std::string& path, dropfs::Server* server) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  dropfs::StartControl(path, server);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

int Run(const Options& options) {
  dropfs::Volume volume(options.backing);
  volume.SetLimit(options.limit);
  dropfs::Server server(&volume);

  const char* args[] = {"dropfs", "-o", "fsname=dropfs,default_permissions"};
  fuse_args fuse = FUSE_ARGS_INIT(3, const_cast<char**>(args));
  fuse_session* session =
      fuse_session_new(&fuse, &dropfs::Operations(), sizeof(fuse_lowlevel_ops), &server);
  fuse_opt_free_args(&fuse);
  if (session == nullptr || fuse_set_signal_handlers(session) != 0) return 1;
  if (fuse_session_mount(session, options.mountpoint.c_str()) != 0) return 1;
  StartControlWithoutSignals(options.control, &server);
  puts("ready");
  fflush(stdout);
  fuse_session_loop(session);
  {
    std::lock_guard lock(volume.mutex());
    if (!volume.frozen()) volume.SyncAll();
  }
  fuse_session_unmount(session);
  // The control threads still use server: end here, without destructors.
  unlink(options.control.c_str());
  _exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!Parse(argc, argv, &options)) {
    fprintf(stderr, "usage: dropfs --backing=DIR --control=SOCKET [--limit=BYTES] MOUNTPOINT\n");
    return 2;
  }
  try {
    return Run(options);
  } catch (const std::exception& e) {
    fprintf(stderr, "dropfs: %s\n", e.what());
    return 1;
  }
}
