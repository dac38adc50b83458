// The libfuse side: requests of the kernel become calls of Volume.
//
// After a crash no request is answered any more: a machine without power does
// not return EIO. The requests end when the daemon does, and the processes that
// wait for them should have been killed by then.
// Threads: one session loop; Volume's mutex is held during each request.
#ifndef TESTS_CRASH_FS_FUSE_OPS_H_
#define TESTS_CRASH_FS_FUSE_OPS_H_

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <optional>

#include "volume.h"

namespace dropfs {

// Everything a request handler needs. `mutex()` of the volume guards all of it.
struct Server {
  explicit Server(Volume* v) : volume(v) {}

  // Cuts the power before the countdown-th next changing request; 0 = not armed.
  int64_t countdown = 0;
  uint64_t armed_seed = 0;
  int armed_percent = 0;

  void Crash(uint64_t seed, int keep_percent);
  // False: the power is off, the request must stay unanswered.
  bool Powered(bool changes);

  Volume* volume;
  int64_t changes = 0;  // requests that changed something or synced
  std::optional<CrashStats> crashed;
  std::condition_variable crash_happened;
};

const fuse_lowlevel_ops& Operations();

// --- shared by the two files of handlers ---
Server& ServerOf(fuse_req_t request);
struct stat StatOf(NodeId id, const Node& node);
inline constexpr double kForever = 86400;  // nobody else changes the volume

// Runs a handler with the lock held and the power on. The handler replies itself,
// or returns an errno to reply; 0 = replied.
template <typename Handler>
void Serve(fuse_req_t request, bool changes, Handler&& handler) {
  Server& server = ServerOf(request);
  std::lock_guard lock(server.volume->mutex());
  if (!server.Powered(changes)) return;
  int error = EIO;
  try {
    error = handler(*server.volume);
  } catch (const std::exception& e) {
    fprintf(stderr, "dropfs: %s\n", e.what());
  }
  if (error != 0) fuse_reply_err(request, error);
}

// fuse_file_ops.cc
void Open(fuse_req_t request, fuse_ino_t id, fuse_file_info* file);
void Release(fuse_req_t request, fuse_ino_t id, fuse_file_info* file);
void Read(fuse_req_t request, fuse_ino_t id, size_t size, off_t offset, fuse_file_info* file);
void Write(fuse_req_t request, fuse_ino_t id, const char* data, size_t size, off_t offset,
           fuse_file_info* file);
void Flush(fuse_req_t request, fuse_ino_t id, fuse_file_info* file);
void Fsync(fuse_req_t request, fuse_ino_t id, int datasync, fuse_file_info* file);
void Fallocate(fuse_req_t request, fuse_ino_t id, int mode, off_t offset, off_t length,
               fuse_file_info* file);
void SetAttr(fuse_req_t request, fuse_ino_t id, struct stat* attr, int to_set,
             fuse_file_info* file);

}  // namespace dropfs

#endif  // TESTS_CRASH_FS_FUSE_OPS_H_
