// Decide: every verdict against every state, and batches with several writes
// of one key, which must end as if they had been made one after the other.
#include <gtest/gtest.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "src/engine/decide.h"

namespace storage {
namespace {

using Verb = WriteOp::Verb;
constexpr int64_t kAny = WriteOp::kAnyRevision;

std::shared_ptr<WriteOp> Op(Verb verb, int64_t expected, int64_t expiry = -1,
                            const std::string& key = "k") {
  auto op = std::make_shared<WriteOp>();
  op->verb = verb;
  op->key = key;
  op->expected = expected;
  op->expected_expiry_ms = expiry;
  return op;
}

Current Stored(int64_t rev, int64_t expiry = 0) {
  Current current;
  current.meta = {rev, rev, expiry};
  return current;
}

struct Case {
  std::shared_ptr<WriteOp> op;
  Current stored;
  Code code;
  ChangeKind kind;  // of what survives
};

TEST(Decide, OneWriteAgainstWhatIsStored) {
  const Current none = Stored(0);
  const Case cases[] = {
      {Op(Verb::kPut, 0), none, Code::kOk, ChangeKind::kCreate},
      {Op(Verb::kPut, 0), Stored(5), Code::kExists, {}},
      {Op(Verb::kPut, 5), none, Code::kNotFound, {}},
      {Op(Verb::kPut, 5), Stored(5), Code::kOk, ChangeKind::kUpdate},
      {Op(Verb::kPut, 4), Stored(5), Code::kConflict, {}},
      {Op(Verb::kPut, 6), Stored(5), Code::kConflict, {}},
      {Op(Verb::kPut, kAny), none, Code::kOk, ChangeKind::kCreate},
      {Op(Verb::kPut, kAny), Stored(5), Code::kOk, ChangeKind::kUpdate},
      {Op(Verb::kDelete, 5), none, Code::kNotFound, {}},
      {Op(Verb::kDelete, 5), Stored(5), Code::kOk, ChangeKind::kDelete},
      {Op(Verb::kDelete, 4), Stored(5), Code::kConflict, {}},
      {Op(Verb::kDelete, kAny), none, Code::kNotFound, {}},
      {Op(Verb::kDelete, kAny), Stored(5), Code::kOk, ChangeKind::kDelete},
      // The reaper: revision and expiry must both be what it saw.
      {Op(Verb::kDelete, 5, 7), Stored(5, 7), Code::kOk, ChangeKind::kExpire},
      {Op(Verb::kDelete, 5, 7), Stored(5, 8), Code::kConflict, {}},
      {Op(Verb::kDelete, 5, 7), Stored(5), Code::kConflict, {}},
      {Op(Verb::kDelete, 5, 7), Stored(6, 7), Code::kConflict, {}},
      {Op(Verb::kDelete, 5, 7), none, Code::kNotFound, {}},
  };
  for (const Case& c : cases) {
    // Alone, and beside a write of another key: two ways through the code.
    for (const bool alone : {true, false}) {
      std::vector<std::shared_ptr<WriteOp>> ops{c.op};
      std::vector<Current> current{c.stored};
      if (!alone) {
        ops.push_back(Op(Verb::kPut, 0, -1, "other"));
        current.push_back(none);
      }
      const Decision got = Decide(ops, current)[0];
      EXPECT_EQ(got.code, c.code) << "case " << &c - cases;
      const bool ok = c.code == Code::kOk;
      EXPECT_EQ(got.verdict, ok ? Verdict::kSurvives : Verdict::kRefused) << "case " << &c - cases;
      if (!ok) continue;
      EXPECT_EQ(got.kind, c.kind) << "case " << &c - cases;
    }
  }
}

// One key, written down by hand: the second write's verdict and what it names.
TEST(Decide, TheSecondWriteOfAKey) {
  auto second = [](std::shared_ptr<WriteOp> a, std::shared_ptr<WriteOp> b, Current stored) {
    return Decide({Op(Verb::kPut, 0, -1, "z"), std::move(a), std::move(b)},
                  {Stored(0), stored, stored})[2];
  };
  Decision got = second(Op(Verb::kPut, 5), Op(Verb::kPut, 5), Stored(5));
  EXPECT_EQ(got.verdict, Verdict::kRefusedLate) << "true only if the batch commits";
  EXPECT_EQ(got.code, Code::kConflict);
  EXPECT_EQ(got.on, 1);
  got = second(Op(Verb::kPut, 0), Op(Verb::kPut, 0), Stored(0));
  EXPECT_EQ(got.verdict, Verdict::kRefusedLate);
  EXPECT_EQ(got.code, Code::kExists);
  got = second(Op(Verb::kDelete, 5), Op(Verb::kPut, 5), Stored(5));
  EXPECT_EQ(got.code, Code::kNotFound);
  got = second(Op(Verb::kDelete, 5), Op(Verb::kPut, 0), Stored(5));
  EXPECT_EQ(got.verdict, Verdict::kDeferred);
  got = second(Op(Verb::kPut, 4), Op(Verb::kPut, 5), Stored(5));
  EXPECT_EQ(got.verdict, Verdict::kSurvives) << "what is refused changes nothing";
}

// The specification: one write at a time on a map.
struct Model {
  std::map<std::string, int64_t> revs;
  int64_t last = 100;

  Code Run(const WriteOp& op) {
    const auto found = revs.find(op.key);
    const bool exists = found != revs.end();
    if (op.verb == Verb::kPut && op.expected == 0 && exists) return Code::kExists;
    const bool may_create = op.verb == Verb::kPut && op.expected <= 0;
    if (!exists && !may_create) return Code::kNotFound;
    if (exists && op.expected > 0 && op.expected != found->second) return Code::kConflict;
    if (op.verb == Verb::kPut) {
      revs[op.key] = ++last;
    } else {
      revs.erase(found);
    }
    return Code::kOk;
  }
};

// Batches until nothing is deferred, as the lane does it.
std::vector<Code> InBatches(const std::vector<std::shared_ptr<WriteOp>>& all, Model state) {
  std::vector<Code> codes(all.size(), Code::kInternal);
  std::vector<size_t> left;
  for (size_t i = 0; i < all.size(); ++i) left.push_back(i);
  for (int batches = 0; !left.empty() && batches < 9; ++batches) {
    std::vector<std::shared_ptr<WriteOp>> ops;
    std::vector<Current> current;
    for (size_t i : left) {
      ops.push_back(all[i]);
      const auto found = state.revs.find(all[i]->key);
      current.push_back(Stored(found == state.revs.end() ? 0 : found->second));
    }
    const std::vector<Decision> decisions = Decide(ops, current);
    std::map<std::string, int> survivors;
    std::vector<size_t> later;
    for (size_t n = 0; n < left.size(); ++n) {
      const Decision& d = decisions[n];
      codes[left[n]] = d.code;
      if (d.verdict == Verdict::kDeferred) later.push_back(left[n]);
      if (d.verdict != Verdict::kSurvives) continue;
      EXPECT_EQ(++survivors[ops[n]->key], 1) << "two changes of one key in a batch";
      EXPECT_EQ(state.Run(*ops[n]), Code::kOk);
    }
    EXPECT_LT(later.size(), left.size()) << "no batch may defer everything";
    left = later;
  }
  return codes;
}

TEST(Decide, BatchesEndAsIfWritesHadBeenMadeOneByOne) {
  std::vector<std::shared_ptr<WriteOp>> kinds;
  for (const char* key : {"k", "l"}) {
    for (const int64_t expected : {kAny, int64_t{0}, int64_t{5}, int64_t{9}}) {
      kinds.push_back(Op(Verb::kPut, expected, -1, key));
      if (expected != 0) kinds.push_back(Op(Verb::kDelete, expected, -1, key));
    }
  }
  Model empty;
  Model stored;
  stored.revs = {{"k", 5}, {"l", 5}};
  for (const Model& before : {empty, stored}) {
    for (size_t n = 0; n < kinds.size() * kinds.size() * kinds.size() * 7; ++n) {
      const size_t m = n / 7;
      const std::vector<std::shared_ptr<WriteOp>> ops{kinds[m % 14], kinds[m / 14 % 14],
                                                      kinds[m / 196], kinds[n % 7]};
      Model one_by_one = before;
      std::vector<Code> expected;
      for (const auto& op : ops) expected.push_back(one_by_one.Run(*op));
      ASSERT_EQ(InBatches(ops, before), expected) << "case " << n;
    }
  }
}

}  // namespace
}  // namespace storage
