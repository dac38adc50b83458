// Random histories for two backends at once, every answer compared. A command
// is a number that seeds its own choices, which depend on the state it finds:
// any part of a history is a history, so a failing one can be shrunk by
// leaving commands out.
#ifndef LIBSTORAGE_TESTS_CONTRACT_HISTORIES_H_
#define LIBSTORAGE_TESTS_CONTRACT_HISTORIES_H_

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/contract/harness.h"

namespace storage::contract {

class HistoryRunner {
 public:
  using Opener = std::function<absl::StatusOr<std::unique_ptr<Backend>>()>;

  // Each opener makes a new database; reopen may be null.
  HistoryRunner(const Opener& one, const Opener& other, Opener reopen_other)
      : reopen_other_(std::move(reopen_other)) {
    backends_.push_back(std::move(one().value()));
    backends_.push_back(std::move(other().value()));
  }

  // "" when both agreed on everything, else what they did not agree on.
  std::string Run(const std::vector<uint64_t>& commands) {
    Both("adopt", [](Backend* b) { return Lines{Code(Adopt(b, Us(), 0))}; });
    for (const uint64_t command : commands) {
      random_.seed(command);
      Execute(command % 100);
      if (!difference_.empty()) break;
    }
    return difference_;
  }

  const Lines& trace() const { return trace_; }

 private:
  static std::string Code(const absl::Status& status) { return CodeName(CodeOf(status)); }

  int64_t Draw(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }

  // Runs body on both backends and compares what it returns.
  template <typename Body>
  void Both(const std::string& what, const Body& body) {
    if (!difference_.empty()) return;
    const Lines one = body(backends_[0].get());
    const Lines other = body(backends_[1].get());
    Compare(what, one, other);
  }

  void Compare(const std::string& what, const Lines& one, const Lines& other) {
    trace_.push_back(what + " -> " + (one.empty() ? "nothing" : one[0]) +
                     (one.size() > 1 ? " ..." : ""));
    if (one == other) return;
    difference_ = what + "\none:";
    for (const std::string& line : one) difference_ += "\n  " + line;
    difference_ += "\nother:";
    for (const std::string& line : other) difference_ += "\n  " + line;
  }

  void Execute(uint64_t what) {
    if (what < 40) return Batch();
    if (what < 44) return Lane();
    if (what < 48) return Floor();
    if (what < 52) return History();
    if (what < 54) return Reopen();
    if (what < 60) return Snapshots();
    Read();
  }

  std::string Key() {
    static const char* const kKeys[] = {"/a/1",   "/a/2", "/a/3", "/a/n/1",
                                        "/a/n/2", "/b/1", "/b/2", "/c/\xff"};
    return kKeys[Draw(0, 7)];
  }
  std::string Value() {
    const int64_t sizes[] = {0, 1, 5, 300, 5000};
    return std::string(static_cast<size_t>(sizes[Draw(0, 4)]),
                       static_cast<char>('a' + Draw(0, 25)));
  }
  Range SomeRange() {
    switch (Draw(0, 4)) {
      case 0:
        return All();
      case 1:
        return Prefix(CollectionOf(Key()));
      case 2:
        return Prefix("/a/n/");
      case 3:
        return Range{Key(), ""};
      default:
        return Range{Key(), Key()};
    }
  }

  void Batch() {
    std::vector<Op> ops;
    std::set<std::string> used;
    std::set<std::string> exists = exists_;
    for (int64_t n = Draw(1, 5); n > 0; --n) {
      Op op{ChangeKind::kCreate, Key(), Value()};
      if (!used.insert(op.key).second) continue;
      if (exists.count(op.key) > 0) op.kind = static_cast<ChangeKind>(Draw(2, 4));
      if (Draw(0, 2) == 0) op.expire_at_ms = Draw(1, 50);
      if (Draw(0, 1) == 0) op.attrs = Value();
      const bool gone = op.kind == ChangeKind::kDelete || op.kind == ChangeKind::kExpire;
      if (gone) exists.erase(op.key);
      if (!gone) exists.insert(op.key);
      if (gone) op.value = op.attrs = "";
      if (gone) op.expire_at_ms = 0;
      ops.push_back(op);
    }
    const int64_t first = head_ + (Draw(0, 9) == 0 ? Draw(-1, 4) : 1);
    const int64_t fate = Draw(0, 19);  // 0: no commit, 1: another owner
    const LaneOwner owner = fate == 1 ? LaneOwner{"m", 1, 9} : Us();
    std::string text = "batch at " + std::to_string(first);
    for (const Op& op : ops) {
      text += " " + std::to_string(static_cast<int>(op.kind)) + op.key + "(" +
              std::to_string(op.value.size()) + ")";
    }
    bool committed = false;
    Both(text, [&](Backend* b) {
      auto txn = b->BeginLane();
      if (!txn.ok()) return Lines{Code(txn.status())};
      std::vector<std::string> collections;
      for (const Op& op : ops) collections.push_back(CollectionOf(op.key));
      const std::vector<Mutation> mutations = Mutations(ops, collections, first);
      const int64_t last = first + static_cast<int64_t>(ops.size()) - 1;
      absl::Status status = (*txn)->Apply(mutations, first);
      if (status.ok()) status = (*txn)->Guard(owner, first, last);
      if (status.ok() && fate != 0) status = (*txn)->Commit();
      committed = status.ok() && fate != 0;
      return Lines{Code(status)};
    });
    if (!committed) return;
    exists_ = exists;
    head_ = first + static_cast<int64_t>(ops.size()) - 1;
  }

  void Lane() {
    const int64_t target = head_ + Draw(-2, 5);
    const int64_t how = Draw(0, 3);  // 0: adopt, 1: adopt with a jump, else void
    Both("lane " + std::to_string(how) + " to " + std::to_string(target), [&](Backend* b) {
      if (how == 0) return Lines{Code(Adopt(b, Us(), 0))};
      if (how == 1) return Lines{Code(Adopt(b, Us(), target))};
      auto txn = b->BeginLane();
      if (!txn.ok()) return Lines{Code(txn.status())};
      const absl::Status status = (*txn)->Void(Us(), target);
      return Lines{Code(status.ok() ? (*txn)->Commit() : status)};
    });
    Both("lane", [&](Backend* b) {
      auto snapshot = b->OpenSnapshot().value();
      head_ = snapshot->lane().head;
      return Lines{Print(snapshot->lane())};
    });
  }

  void Floor() {
    const int64_t target = head_ - Draw(-1, 12);
    Both("floor " + std::to_string(target),
         [&](Backend* b) { return Lines{Code(RaiseFloor(b, target))}; });
  }

  void History() {
    const int64_t rows = Draw(0, 6);
    Both("delete history " + std::to_string(rows), [&](Backend* b) {
      const auto deleted = b->DeleteHistory(rows);
      return Lines{deleted.ok() ? std::to_string(*deleted) : Code(deleted.status())};
    });
    Both("maintain", [&](Backend* b) { return Lines{Code(b->Maintain(rows % 2 == 0).status())}; });
  }

  void Reopen() {
    if (reopen_other_ == nullptr) return;
    snapshots_.clear();
    backends_[1].reset();
    backends_[1] = reopen_other_().value();
    trace_.push_back("reopen");
  }

  // Up to three pairs of snapshots live on beside the writes.
  void Snapshots() {
    if (snapshots_.size() < 3 && Draw(0, 1) == 0) {
      snapshots_.push_back(
          {backends_[0]->OpenSnapshot().value(), backends_[1]->OpenSnapshot().value()});
      trace_.push_back("open a snapshot");
      return;
    }
    if (snapshots_.empty()) return;
    const size_t index = static_cast<size_t>(Draw(0, static_cast<int64_t>(snapshots_.size()) - 1));
    ReadPair(snapshots_[index].first.get(), snapshots_[index].second.get(), "old snapshot: ");
    if (Draw(0, 1) == 0) snapshots_.erase(snapshots_.begin() + static_cast<int64_t>(index));
  }

  void Read() {
    auto one = backends_[0]->OpenSnapshot().value();
    auto other = backends_[1]->OpenSnapshot().value();
    ReadPair(one.get(), other.get(), "");
    Both("stats", [](Backend* b) { return Lines{Print(b->Stats().value())}; });
  }

  void ReadPair(Snapshot* one, Snapshot* other, const std::string& who) {
    const Range range = SomeRange();
    const int64_t rev = Draw(0, 3) == 0 ? 0 : one->lane().head - Draw(-1, 20);
    const int64_t limit = Draw(0, 3);
    const std::string key = Key();
    const int64_t upto = Draw(0, 1) == 0 ? INT64_MAX : rev + Draw(0, 5);
    const auto compare = [&](const std::string& what, const auto& read) {
      if (difference_.empty()) Compare(who + what, read(one), read(other));
    };
    const std::string at = " at " + std::to_string(rev) + " limit " + std::to_string(limit);
    compare("lane", [&](Snapshot* s) { return Lines{Print(s->lane())}; });
    compare("list [" + range.start + "," + range.end + ")" + at,
            [&](Snapshot* s) { return List(s, range, rev, limit); });
    compare("get " + key + at, [&](Snapshot* s) { return Get(s, key, rev); });
    compare("count" + at, [&](Snapshot* s) { return Lines{Count(s, range, rev)}; });
    compare("events" + at, [&](Snapshot* s) { return Events(s, range, rev, upto, limit); });
    compare("expired", [&](Snapshot* s) { return Expired(s, 25, limit); });
    compare("next expiry", [&](Snapshot* s) { return Lines{std::to_string(*s->NextExpiryMs())}; });
    compare("token", [&](Snapshot* s) { return Lines{std::to_string(*s->HasToken(rev))}; });
  }

  const Opener reopen_other_;
  std::vector<std::unique_ptr<Backend>> backends_;
  std::vector<std::pair<std::unique_ptr<Snapshot>, std::unique_ptr<Snapshot>>> snapshots_;
  std::mt19937_64 random_;
  int64_t head_ = 0;
  std::set<std::string> exists_;
  Lines trace_;
  std::string difference_;
};

}  // namespace storage::contract

#endif  // LIBSTORAGE_TESTS_CONTRACT_HISTORIES_H_
