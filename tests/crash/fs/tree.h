// Tree: who is called what, in two layers. Every directory has the entries that
// programs see and the entries that are durable. Changed names form groups that
// survive a crash together: a rename is one group, so it never loses a file.
//
// The rule: a name is durable only after fsync of its directory (which also takes
// the rest of its groups along). fsync of the file itself does not do it.
// Threads: not thread-safe; Volume serialises.
#ifndef TESTS_CRASH_FS_TREE_H_
#define TESTS_CRASH_FS_TREE_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "image.h"
#include "random.h"

namespace dropfs {

using NodeId = uint64_t;
inline constexpr NodeId kRoot = 1;

class Tree {
 public:
  using Entries = std::map<std::string, NodeId, std::less<>>;

  Tree() { dirs_[kRoot]; }

  bool IsDir(NodeId id) const { return dirs_.contains(id); }
  // 0 when there is no such name.
  NodeId Find(NodeId dir, const std::string& name) const;
  const Entries& List(NodeId dir) const { return dirs_.at(dir).visible; }
  const Entries& Durable(NodeId dir) const { return dirs_.at(dir).durable; }

  // The callers have checked that it is legal; these only change the visible layer.
  void Add(NodeId dir, const std::string& name, NodeId child);
  void AddDir(NodeId dir, const std::string& name, NodeId child);
  void Remove(NodeId dir, const std::string& name);
  void Rename(NodeId from_dir, const std::string& from, NodeId to_dir, const std::string& to);

  // Makes the names of dir durable. True when anything changed.
  bool Sync(NodeId dir);
  void SyncAll();
  // Every group survives with keep_percent; what is visible afterwards is durable.
  void Crash(Random& random, int keep_percent, CrashStats* stats);

  // Nodes that a name leads to from the root, in either layer.
  std::set<NodeId> Reachable() const;
  // Forgets a directory that nothing leads to.
  void Drop(NodeId id) { dirs_.erase(id); }
  // For loading: a durable entry.
  void Load(NodeId dir, const std::string& name, NodeId child, bool is_dir);

  size_t pending() const { return pending_.size(); }

 private:
  using Name = std::pair<NodeId, std::string>;  // directory, name in it
  struct Dir {
    Entries visible;
    Entries durable;
    Name self{0, ""};  // where it hangs; {0, ""} for the root
  };

  uint64_t Touch(const Name& name);  // marks it changed; returns its group
  void Join(uint64_t a, uint64_t b);
  // Joins the group with the changes of the directory's own name, so that what is
  // moved into a new directory is not lost with it.
  void JoinSelf(uint64_t group, NodeId dir);
  void Commit(const Name& name);
  void Revert(const Name& name);

  std::map<NodeId, Dir> dirs_;
  std::map<Name, uint64_t> pending_;  // changed names -> group
  uint64_t next_group_ = 1;
};

}  // namespace dropfs

#endif  // TESTS_CRASH_FS_TREE_H_
