#include "tree.h"

namespace dropfs {
namespace {

// Copies one name from a layer to the other, its absence too.
void CopyName(const Tree::Entries& from, Tree::Entries& to, const std::string& name) {
  if (auto it = from.find(name); it != from.end()) {
    to[name] = it->second;
  } else {
    to.erase(name);
  }
}

}  // namespace

NodeId Tree::Find(NodeId dir, const std::string& name) const {
  const auto d = dirs_.find(dir);
  if (d == dirs_.end()) return 0;
  const auto it = d->second.visible.find(name);
  return it == d->second.visible.end() ? 0 : it->second;
}

uint64_t Tree::Touch(const Name& name) {
  auto [it, added] = pending_.try_emplace(name, next_group_);
  if (added) ++next_group_;
  return it->second;
}

void Tree::Join(uint64_t a, uint64_t b) {
  if (a == b) return;
  for (auto& [name, group] : pending_) {
    if (group == b) group = a;
  }
}

void Tree::JoinSelf(uint64_t group, NodeId dir) {
  for (Name self = dirs_.at(dir).self; self.first != 0; self = dirs_.at(self.first).self) {
    if (auto it = pending_.find(self); it != pending_.end()) Join(group, it->second);
  }
}

void Tree::Add(NodeId dir, const std::string& name, NodeId child) {
  dirs_.at(dir).visible[name] = child;
  Touch({dir, name});
}

void Tree::AddDir(NodeId dir, const std::string& name, NodeId child) {
  Add(dir, name, child);
  dirs_[child].self = {dir, name};
}

void Tree::Remove(NodeId dir, const std::string& name) {
  Dir& parent = dirs_.at(dir);
  const NodeId child = parent.visible.at(name);
  parent.visible.erase(name);
  const uint64_t group = Touch({dir, name});
  if (!IsDir(child)) return;
  // A directory goes only together with what left it before: a file that was
  // moved out must not be lost with it.
  std::vector<uint64_t> inside;
  for (const auto& [changed, other] : pending_) {
    if (changed.first == child) inside.push_back(other);
  }
  for (uint64_t other : inside) Join(group, other);
}

void Tree::Rename(NodeId from_dir, const std::string& from, NodeId to_dir, const std::string& to) {
  const NodeId child = dirs_.at(from_dir).visible.at(from);
  dirs_.at(from_dir).visible.erase(from);
  dirs_.at(to_dir).visible[to] = child;
  const uint64_t group = Touch({from_dir, from});
  Join(group, Touch({to_dir, to}));
  JoinSelf(group, to_dir);
  if (IsDir(child)) dirs_.at(child).self = {to_dir, to};
}

void Tree::Commit(const Name& name) {
  auto it = dirs_.find(name.first);
  if (it != dirs_.end()) CopyName(it->second.visible, it->second.durable, name.second);
}

void Tree::Revert(const Name& name) {
  auto it = dirs_.find(name.first);
  if (it == dirs_.end()) return;
  Dir& dir = it->second;
  CopyName(dir.durable, dir.visible, name.second);
  if (auto back = dir.visible.find(name.second); back != dir.visible.end() && IsDir(back->second)) {
    dirs_.at(back->second).self = name;
  }
}

bool Tree::Sync(NodeId dir) {
  std::set<uint64_t> groups;
  for (const auto& [name, group] : pending_) {
    if (name.first == dir) groups.insert(group);
  }
  std::erase_if(pending_, [&](const auto& change) {
    if (!groups.contains(change.second)) return false;
    Commit(change.first);
    return true;
  });
  return !groups.empty();
}

void Tree::SyncAll() {
  for (const auto& change : pending_) Commit(change.first);
  pending_.clear();
}

void Tree::Crash(Random& random, int keep_percent, CrashStats* stats) {
  std::map<uint64_t, bool> survives;
  for (const auto& [name, group] : pending_) {
    auto [it, first] = survives.try_emplace(group, false);
    if (first) it->second = random.Percent(keep_percent);
    if (it->second) {
      Commit(name);
      ++stats->entries_kept;
    } else {
      Revert(name);
      ++stats->entries_lost;
    }
  }
  pending_.clear();
}

std::set<NodeId> Tree::Reachable() const {
  std::set<NodeId> seen{kRoot};
  std::vector<NodeId> todo{kRoot};
  while (!todo.empty()) {
    const auto it = dirs_.find(todo.back());
    todo.pop_back();
    if (it == dirs_.end()) continue;
    for (const Entries* layer : {&it->second.visible, &it->second.durable}) {
      for (const auto& [name, child] : *layer) {
        if (seen.insert(child).second) todo.push_back(child);
      }
    }
  }
  return seen;
}

void Tree::Load(NodeId dir, const std::string& name, NodeId child, bool is_dir) {
  dirs_.at(dir).visible[name] = child;
  dirs_.at(dir).durable[name] = child;
  if (is_dir) dirs_[child].self = {dir, name};
}

}  // namespace dropfs
