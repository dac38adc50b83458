#include "volume.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>

namespace dropfs {
namespace {

constexpr int64_t kAllocation = 4096;

int64_t Allocated(int64_t size) { return (size + kAllocation - 1) / kAllocation * kAllocation; }

timespec Now() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

}  // namespace

Node* Volume::Get(NodeId id) {
  auto it = nodes_.find(id);
  return it == nodes_.end() ? nullptr : &it->second;
}

int Volume::CheckNewName(NodeId dir, const std::string& name) const {
  if (!tree_.IsDir(dir)) return ENOTDIR;
  if (name.size() > 255) return ENAMETOOLONG;
  if (name.find('\n') != std::string::npos) return EINVAL;  // `tree` has a line per name
  return 0;
}

int Volume::Create(NodeId dir, const std::string& name, mode_t mode, uid_t uid, gid_t gid,
                   NodeId* out) {
  if (int error = CheckNewName(dir, name)) return error;
  if (tree_.Find(dir, name) != 0) return EEXIST;
  const NodeId id = next_id_++;
  Node node{.mode = mode, .uid = uid, .gid = gid, .mtime = Now()};
  if (S_ISDIR(mode)) {
    tree_.AddDir(dir, name, id);
  } else {
    node.image = OpenImage(id, true);
    tree_.Add(dir, name, id);
  }
  nodes_[id] = std::move(node);
  *out = id;
  return 0;
}

int Volume::Unlink(NodeId dir, const std::string& name) {
  const NodeId id = tree_.Find(dir, name);
  if (id == 0) return ENOENT;
  if (tree_.IsDir(id)) return EISDIR;
  tree_.Remove(dir, name);
  Get(id)->linked = false;
  Collect(id);
  return 0;
}

int Volume::Rmdir(NodeId dir, const std::string& name) {
  const NodeId id = tree_.Find(dir, name);
  if (id == 0) return ENOENT;
  if (!tree_.IsDir(id)) return ENOTDIR;
  if (!tree_.List(id).empty()) return ENOTEMPTY;
  tree_.Remove(dir, name);
  Get(id)->linked = false;
  Collect(id);
  return 0;
}

int Volume::Rename(NodeId from_dir, const std::string& from, NodeId to_dir, const std::string& to,
                   bool no_replace) {
  if (int error = CheckNewName(to_dir, to)) return error;
  const NodeId id = tree_.Find(from_dir, from);
  if (id == 0) return ENOENT;
  const NodeId replaced = tree_.Find(to_dir, to);
  if (replaced == id) return 0;
  if (replaced != 0) {
    if (no_replace) return EEXIST;
    if (tree_.IsDir(replaced) != tree_.IsDir(id)) return tree_.IsDir(id) ? ENOTDIR : EISDIR;
    if (tree_.IsDir(replaced) && !tree_.List(replaced).empty()) return ENOTEMPTY;
  }
  tree_.Rename(from_dir, from, to_dir, to);
  if (replaced != 0) {
    Get(replaced)->linked = false;
    Collect(replaced);
  }
  return 0;
}

bool Volume::Charge(const Node& node, int64_t new_size) {
  if (!node.charged) return true;
  const int64_t more = Allocated(new_size) - Allocated(node.image->size());
  if (limit_ != 0 && more > 0 && used_ + more > limit_) return false;
  used_ += more;
  return true;
}

int Volume::Write(NodeId id, int64_t offset, std::span<const char> data) {
  Node* node = Get(id);
  if (node == nullptr || node->image == nullptr) return EBADF;
  const int64_t end = offset + static_cast<int64_t>(data.size());
  if (!Charge(*node, std::max(node->image->size(), end))) return ENOSPC;
  node->image->Write(offset, data);
  node->mtime = Now();
  return 0;
}

int Volume::Truncate(NodeId id, int64_t size) {
  Node* node = Get(id);
  if (node == nullptr || node->image == nullptr || size < 0) return EINVAL;
  if (!Charge(*node, size)) return ENOSPC;
  node->image->Truncate(size);
  node->mtime = Now();
  return 0;
}

int Volume::Sync(NodeId id) {
  Node* node = Get(id);
  if (node == nullptr || node->image == nullptr) return EBADF;
  node->image->Sync();
  ++syncs_;
  return 0;
}

int Volume::SyncDir(NodeId id) {
  if (!tree_.IsDir(id)) return ENOTDIR;
  ++syncs_;
  if (tree_.Sync(id)) {
    SaveTree();
    DropOrphans();
  }
  return 0;
}

void Volume::SyncAll() {
  for (auto& [id, node] : nodes_) {
    if (node.image != nullptr) node.image->Sync();
  }
  tree_.SyncAll();
  SaveTree();
  DropOrphans();
}

void Volume::Collect(NodeId id) {
  Node* node = Get(id);
  if (node == nullptr || id == kRoot || node->linked || node->opens > 0) return;
  if (node->image != nullptr && node->charged) {
    used_ -= Allocated(node->image->size());
    node->charged = false;  // also while a crash could still bring it back
  }
  if (node->lookups > 0 || tree_.Reachable().contains(id)) return;
  if (node->image != nullptr) unlink(DataPath(id).c_str());
  tree_.Drop(id);
  nodes_.erase(id);
}

void Volume::DropOrphans() {
  std::vector<NodeId> ids;
  for (const auto& [id, node] : nodes_) ids.push_back(id);
  for (NodeId id : ids) Collect(id);
}

std::unique_ptr<Image> Volume::OpenImage(NodeId id, bool create) const {
  const int flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_TRUNC : 0);
  Fd fd(open(DataPath(id).c_str(), flags, 0600));
  if (!fd.valid()) throw std::system_error(errno, std::generic_category(), DataPath(id));
  return std::make_unique<Image>(std::move(fd));
}

}  // namespace dropfs
