// What the contract suite and the other backend tests share: where backends
// come from, and a way to write batches and to print what is read.
#ifndef LIBSTORAGE_TESTS_CONTRACT_HARNESS_H_
#define LIBSTORAGE_TESTS_CONTRACT_HARNESS_H_

#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "src/backend/backend.h"

namespace storage::contract {

// A kind of backend. Capabilities are reviewed like code: a test may be
// skipped by them only.
struct Factory {
  std::string name;
  // Opens the database at place (a directory of the test); the same place
  // again is the same database when persistent.
  std::function<absl::StatusOr<std::unique_ptr<Backend>>(const std::string& place)> open;
  bool persistent = false;
  size_t largest_value = 1536 * 1024;  // that fits beside three small ones
};

inline void PrintTo(const Factory& factory, std::ostream* os) { *os << factory.name; }

// A private directory that is removed at the end.
class TempDir {
 public:
  TempDir() : TempDir(std::filesystem::temp_directory_path().string()) {}
  // Below a directory, or where temporary files go when that is not there.
  explicit TempDir(const std::string& where) {
    std::filesystem::path parent = where;
    if (!std::filesystem::is_directory(parent)) parent = std::filesystem::temp_directory_path();
    std::string pattern = (parent / "stg-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Op {
  ChangeKind kind = ChangeKind::kCreate;
  std::string key;
  std::string value = "";
  std::string attrs = "";
  int64_t expire_at_ms = 0;
};

inline Op Create(std::string key, std::string value) {
  return Op{ChangeKind::kCreate, std::move(key), std::move(value)};
}
inline Op Update(std::string key, std::string value) {
  return Op{ChangeKind::kUpdate, std::move(key), std::move(value)};
}
inline Op Delete(std::string key) { return Op{ChangeKind::kDelete, std::move(key)}; }
inline Op Expire(std::string key) { return Op{ChangeKind::kExpire, std::move(key)}; }

inline LaneOwner Us() { return LaneOwner{"m", 1, 1}; }

// "/a/b/c" belongs to the collection "/a/".
inline std::string CollectionOf(const std::string& key) {
  const size_t end = key.find('/', 1);
  return end == std::string::npos ? key : key.substr(0, end + 1);
}

inline std::vector<Mutation> Mutations(const std::vector<Op>& ops,
                                       const std::vector<std::string>& collections, int64_t first) {
  std::vector<Mutation> mutations;
  for (size_t i = 0; i < ops.size(); ++i) {
    const Op& op = ops[i];
    mutations.push_back(Mutation{op.kind, collections[i], op.key, op.value, op.attrs,
                                 first + static_cast<int64_t>(i), op.expire_at_ms});
  }
  return mutations;
}

inline absl::Status Adopt(Backend* backend, const LaneOwner& owner, int64_t jump_to) {
  auto txn = backend->BeginLane();
  if (!txn.ok()) return txn.status();
  const absl::Status adopted = (*txn)->Adopt(owner, jump_to);
  return adopted.ok() ? (*txn)->Commit() : adopted;
}

inline absl::Status RaiseFloor(Backend* backend, int64_t target) {
  auto txn = backend->BeginLane();
  if (!txn.ok()) return txn.status();
  const absl::Status raised = (*txn)->RaiseFloor(Us(), target);
  return raised.ok() ? (*txn)->Commit() : raised;
}

// One batch from revision first (0 = head + 1) upwards.
inline absl::Status Write(Backend* backend, const std::vector<Op>& ops, int64_t token = 0,
                          int64_t first = 0) {
  auto txn = backend->BeginLane();
  if (!txn.ok()) return txn.status();
  if (first == 0) first = (*txn)->lane().head + 1;
  std::vector<std::string> collections;
  for (const Op& op : ops) collections.push_back(CollectionOf(op.key));
  const std::vector<Mutation> mutations = Mutations(ops, collections, first);
  absl::Status status = (*txn)->Apply(mutations, token);
  const int64_t last = first + static_cast<int64_t>(ops.size()) - 1;
  if (status.ok()) status = (*txn)->Guard(Us(), first, last);
  return status.ok() ? (*txn)->Commit() : status;
}

// Values longer than a line are shown by their size and a few bytes.
inline std::string Short(std::string_view bytes) {
  if (bytes.size() <= 40) return std::string(bytes);
  return std::string(bytes.substr(0, 8)) + "..(" + std::to_string(bytes.size()) + ")";
}

inline std::string Print(const Row& row) {
  std::string text = std::string(row.key) + "=" + Short(row.value);
  text += " mod " + std::to_string(row.meta.mod_rev);
  text += " create " + std::to_string(row.meta.create_rev);
  if (row.meta.expire_at_ms != 0) text += " expire " + std::to_string(row.meta.expire_at_ms);
  if (!row.attrs.empty()) text += " attrs " + Short(row.attrs);
  return text;
}

inline std::string Print(const EventRow& event) {
  std::string text = std::to_string(event.rev) + " kind " +
                     std::to_string(static_cast<int>(event.kind)) + " " + std::string(event.key) +
                     "=" + Short(event.value) + " was " + Short(event.prev_value);
  text += " mod " + std::to_string(event.prev.mod_rev);
  text += " create " + std::to_string(event.prev.create_rev);
  text += " expire " + std::to_string(event.prev.expire_at_ms);
  return text;
}

// What a read returned: its rows, and the code when it failed.
using Lines = std::vector<std::string>;

inline void AddStatus(const absl::Status& status, Lines* lines) {
  if (!status.ok()) lines->push_back(CodeName(CodeOf(status)));
}

inline Lines List(Snapshot* snapshot, const Range& range, int64_t rev = 0, int64_t limit = 0) {
  Lines lines;
  AddStatus(snapshot->List(range, rev, limit,
                           [&](const Row& row) {
                             lines.push_back(Print(row));
                             return true;
                           }),
            &lines);
  return lines;
}

inline Lines Get(Snapshot* snapshot, const std::string& key, int64_t rev = 0) {
  Lines lines;
  AddStatus(snapshot->Get(key, rev,
                          [&](const Row& row) {
                            lines.push_back(Print(row));
                            return true;
                          }),
            &lines);
  return lines;
}

inline Lines Events(Snapshot* snapshot, const Range& range, int64_t after, int64_t upto = INT64_MAX,
                    int64_t limit = 0) {
  Lines lines;
  AddStatus(snapshot->Events(range, after, upto, limit,
                             [&](const EventRow& event) {
                               lines.push_back(Print(event));
                               return true;
                             }),
            &lines);
  return lines;
}

inline Lines Expired(Snapshot* snapshot, int64_t now_ms, int64_t limit = 0) {
  Lines lines;
  AddStatus(snapshot->Expired(now_ms, limit,
                              [&](const Row& row) {
                                lines.push_back(Print(row));
                                return true;
                              }),
            &lines);
  return lines;
}

inline std::string Count(Snapshot* snapshot, const Range& range, int64_t rev = 0) {
  const auto count = snapshot->Count(range, rev);
  return count.ok() ? std::to_string(*count) : CodeName(CodeOf(count.status()));
}

inline std::string Print(const Lane& lane) {
  return lane.m_id + "/" + std::to_string(lane.epoch) + "/" + std::to_string(lane.gen) + " head " +
         std::to_string(lane.head) + " ver " + std::to_string(lane.ver) + " floor " +
         std::to_string(lane.floor);
}

// Only what a backend must agree on with every other one.
inline std::string Print(const BackendStats& stats) {
  std::string text = "history " + std::to_string(stats.history_rows) + "/" +
                     std::to_string(stats.history_bytes) + " debt " +
                     std::to_string(stats.debt_rows);
  for (const KindStats& kind : stats.kinds) {
    text += " " + kind.collection + ":" + std::to_string(kind.objects) + "/" +
            std::to_string(kind.bytes);
  }
  return text;
}

inline const Range& All() {
  static const Range* const range = new Range;
  return *range;
}

inline Range Prefix(const std::string& prefix) {
  std::string end = prefix;
  ++end.back();
  return Range{prefix, end};
}

}  // namespace storage::contract

#endif  // LIBSTORAGE_TESTS_CONTRACT_HARNESS_H_
