// Volume: a tree of files over a backing directory, with power loss. The backing
// directory holds what is durable: `data/<id>` per file, and `tree` with names
// and modes, replaced whole when a directory is synced.
//
// Not lost by a crash, on purpose: modes and owners. Not modelled: hard links,
// symbolic links, extended attributes, times across a restart, older unsynced
// versions of a sector.
// Threads: not thread-safe; callers hold mutex().
#ifndef TESTS_CRASH_FS_VOLUME_H_
#define TESTS_CRASH_FS_VOLUME_H_

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "fd.h"
#include "image.h"
#include "tree.h"

namespace dropfs {

struct Node {
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  timespec mtime{};
  uint64_t lookups = 0;  // references of the kernel
  int opens = 0;
  bool linked = true;                      // a program can still open it by a name
  bool charged = true;                     // its size counts against the limit
  std::unique_ptr<Image> image = nullptr;  // none for directories
};

// Methods return 0 or an errno unless said otherwise.
class Volume {
 public:
  explicit Volume(const std::string& backing);  // throws std::system_error

  std::mutex& mutex() { return mutex_; }
  Node* Get(NodeId id);  // null when there is none
  const Tree& tree() const { return tree_; }

  int Create(NodeId dir, const std::string& name, mode_t mode, uid_t uid, gid_t gid, NodeId* out);
  int Unlink(NodeId dir, const std::string& name);
  int Rmdir(NodeId dir, const std::string& name);
  int Rename(NodeId from_dir, const std::string& from, NodeId to_dir, const std::string& to,
             bool no_replace);
  int Write(NodeId id, int64_t offset, std::span<const char> data);  // ENOSPC writes nothing
  int Truncate(NodeId id, int64_t size);
  int Sync(NodeId id);     // a file: its data and size
  int SyncDir(NodeId id);  // a directory: its names
  void SyncAll();

  // Cuts the power: decides what survives and writes it to the backing directory.
  // Afterwards nothing may be called but frozen(); open the directory again.
  CrashStats Crash(uint64_t seed, int keep_percent);
  bool frozen() const { return frozen_; }

  // Frees the space, and then the memory, of a node that nothing leads to: no name
  // in either layer, no open file, no reference of the kernel.
  void Collect(NodeId id);

  // The sizes of all files, rounded up to 4 KiB, may not grow above it. 0 = none.
  void SetLimit(int64_t bytes) { limit_ = bytes; }
  int64_t limit() const { return limit_; }
  int64_t used() const { return used_; }
  size_t nodes() const { return nodes_.size(); }
  int64_t syncs() const { return syncs_; }

 private:
  std::string DataPath(NodeId id) const { return backing_ + "/data/" + std::to_string(id); }
  std::unique_ptr<Image> OpenImage(NodeId id, bool create) const;
  int CheckNewName(NodeId dir, const std::string& name) const;
  // Accounts for a change of size; false when it does not fit.
  bool Charge(const Node& node, int64_t new_size);
  void LoadTree();
  void SaveTree() const;
  void DropOrphans();

  const std::string backing_;
  std::mutex mutex_;
  Fd lock_;  // one daemon per backing directory
  Tree tree_;
  std::map<NodeId, Node> nodes_;
  NodeId next_id_ = kRoot + 1;
  int64_t limit_ = 0;
  int64_t used_ = 0;
  int64_t syncs_ = 0;
  bool frozen_ = false;
};

}  // namespace dropfs

#endif  // TESTS_CRASH_FS_VOLUME_H_
