// What is on disk in the backing directory, and how a crash changes it.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "volume.h"

namespace dropfs {
namespace {

void MakeDir(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    throw std::system_error(errno, std::generic_category(), path);
  }
}

Fd Lock(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid() || flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    throw std::system_error(errno, std::generic_category(), "another dropfs uses " + path);
  }
  return fd;
}

}  // namespace

Volume::Volume(const std::string& backing) : backing_(backing) {
  MakeDir(backing_);
  MakeDir(backing_ + "/data");
  lock_ = Lock(backing_ + "/lock");
  nodes_[kRoot] = Node{.mode = S_IFDIR | 0755, .uid = getuid(), .gid = getgid()};
  LoadTree();
  DropOrphans();
}

// Lines: `D|F id parent mode uid gid name`, a directory before what is in it.
// Data files that no line names belonged to names that were lost.
void Volume::LoadTree() {
  std::ifstream in(backing_ + "/tree");
  std::string line;
  std::set<NodeId> known;
  while (std::getline(in, line)) {
    std::istringstream fields(line);
    char kind = 0;
    NodeId id = 0, parent = 0;
    Node node;
    std::string name;
    fields >> kind >> id >> parent >> node.mode >> node.uid >> node.gid;
    if (!fields || fields.get() != ' ' || !std::getline(fields, name)) {
      throw std::runtime_error("bad line in " + backing_ + "/tree: " + line);
    }
    if (kind == 'F') node.image = OpenImage(id, false);
    if (node.image != nullptr) used_ += (node.image->size() + 4095) / 4096 * 4096;
    tree_.Load(parent, name, id, kind == 'D');
    nodes_[id] = std::move(node);
    known.insert(id);
    next_id_ = std::max(next_id_, id + 1);
  }
  DIR* dir = opendir((backing_ + "/data").c_str());
  if (dir == nullptr) throw std::system_error(errno, std::generic_category(), backing_);
  while (const dirent* entry = readdir(dir)) {
    const NodeId id = strtoull(entry->d_name, nullptr, 10);
    if (id != 0 && !known.contains(id)) unlink(DataPath(id).c_str());
  }
  closedir(dir);
}

void Volume::SaveTree() const {
  const std::string path = backing_ + "/tree";
  {
    std::ofstream out(path + ".new", std::ios::trunc);
    std::vector<NodeId> todo{kRoot};
    while (!todo.empty()) {
      const NodeId dir = todo.back();
      todo.pop_back();
      for (const auto& [name, id] : tree_.Durable(dir)) {
        const Node& node = nodes_.at(id);
        const bool is_dir = tree_.IsDir(id);
        out << (is_dir ? 'D' : 'F') << ' ' << id << ' ' << dir << ' ' << node.mode << ' '
            << node.uid << ' ' << node.gid << ' ' << name << '\n';
        if (is_dir) todo.push_back(id);
      }
    }
    out.flush();
    if (!out) throw std::runtime_error("cannot write " + path + ".new");
  }
  if (rename((path + ".new").c_str(), path.c_str()) != 0) {
    throw std::system_error(errno, std::generic_category(), path);
  }
}

CrashStats Volume::Crash(uint64_t seed, int keep_percent) {
  Random random(seed);
  CrashStats stats;
  tree_.Crash(random, keep_percent, &stats);
  for (auto& [id, node] : nodes_) {
    if (node.image != nullptr) node.image->Crash(random, keep_percent, &stats);
  }
  SaveTree();
  frozen_ = true;
  return stats;
}

}  // namespace dropfs
