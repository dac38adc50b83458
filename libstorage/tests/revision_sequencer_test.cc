// The sequencer: numbers are unique, rising and reserved before they are
// handed out; complete[b] never says more than is decided (protocol: take,
// "Which number a reader gets").
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <thread>

#include "absl/time/clock.h"
#include "src/revision/block_sequencer.h"

namespace storage {
namespace {

constexpr int64_t kBlock = BlockSequencer::kBlock;

class FakeStore : public MetadataStore {
 public:
  const MetaState& found() const override { return found_; }
  absl::StatusOr<int64_t> Start() override { return 1; }
  absl::Status Reserve(int64_t upto, const std::map<std::string, BackendMark>& m) override {
    if (fail) return MakeStatus(Code::kUnavailable, "down");
    reserved = upto;
    marks = m;
    ++writes;
    return absl::OkStatus();
  }
  absl::Status SetTopology(int64_t, const std::string&) override { return absl::OkStatus(); }
  absl::Status MarkTime(int64_t, int64_t) override { return absl::OkStatus(); }
  absl::StatusOr<int64_t> RevisionAt(int64_t) override { return 0; }
  absl::Status ForgetBefore(int64_t) override { return absl::OkStatus(); }
  absl::Status Finish(int64_t rev, const std::map<std::string, BackendMark>& m) override {
    finished = rev;
    marks = m;
    return absl::OkStatus();
  }
  absl::Status Ping() override { return absl::OkStatus(); }

  bool fail = false;
  int writes = 0;
  int64_t reserved = 0;
  std::optional<int64_t> finished;
  std::map<std::string, BackendMark> marks;

 private:
  MetaState found_;
};

class SequencerTest : public ::testing::Test {
 protected:
  FakeStore store_;
  BlockSequencer sequencer_{&store_, 10, 10, {{"a", "id-a", 4}, {"b", "id-b", 7}}};
};

TEST_F(SequencerTest, NumbersAreReservedBeforeTheyAreHandedOut) {
  EXPECT_EQ(*sequencer_.Take(0, 3), 11);
  EXPECT_GE(store_.reserved, 13);
  store_.fail = true;
  int64_t last = 13;
  for (;;) {
    absl::StatusOr<int64_t> first = sequencer_.Take(1, 500);
    if (!first.ok()) break;
    EXPECT_EQ(*first, last + 1);
    last = *first + 499;
  }
  EXPECT_LE(last, store_.reserved);
  EXPECT_GT(last, store_.reserved - 500);
  store_.fail = false;
  EXPECT_EQ(*sequencer_.Take(1, 1), last + 1) << "a failed take burns nothing";
}

TEST_F(SequencerTest, CompleteIsBelowWhatIsInFlight) {
  EXPECT_EQ(sequencer_.Complete(0), 10);
  ASSERT_EQ(*sequencer_.Take(0, 2), 11);
  EXPECT_EQ(sequencer_.Rev(), 12);
  EXPECT_EQ(sequencer_.Complete(0), 10);
  EXPECT_EQ(sequencer_.Complete(1), 12) << "nothing of it is open";
  ASSERT_EQ(*sequencer_.Take(1, 1), 13);
  EXPECT_EQ(sequencer_.Complete(1), 12);
  sequencer_.Decide(1, 13);
  EXPECT_EQ(sequencer_.Complete(1), 13);
  EXPECT_EQ(sequencer_.Complete(0), 10);
  sequencer_.Decide(0, 12);
  EXPECT_EQ(sequencer_.Complete(0), 13);
}

TEST_F(SequencerTest, WaitersNameTheLaneThatIsBehind) {
  ASSERT_EQ(*sequencer_.Take(0, 1), 11);
  const std::vector<int> both{0, 1};
  EXPECT_EQ(sequencer_.WaitComplete(both, 10, absl::InfinitePast()), -1);
  EXPECT_EQ(sequencer_.WaitComplete(both, 11, absl::InfinitePast()), 0);
  EXPECT_EQ(sequencer_.WaitComplete({1}, 11, absl::InfinitePast()), -1);
  std::thread waiter(
      [&] { EXPECT_EQ(sequencer_.WaitComplete(both, 11, absl::Now() + absl::Seconds(20)), -1); });
  sequencer_.Decide(0, 11);
  waiter.join();
}

TEST_F(SequencerTest, ConfirmedHeadsAreStoredOnceAndNeverFall) {
  int wanted = 0;
  sequencer_.SetWanted([&] { ++wanted; });
  sequencer_.Decide(0, 9);
  sequencer_.Decide(0, 8);
  sequencer_.Decide(1, 9);
  EXPECT_EQ(wanted, 1) << "the first that moved";
  ASSERT_TRUE(sequencer_.ReserveAhead(false).ok());
  EXPECT_EQ(store_.marks["a"].confirmed, 9) << "a head that falls is no head";
  wanted = 0;
  sequencer_.Decide(0, 12);
  store_.fail = true;
  EXPECT_FALSE(sequencer_.ReserveAhead(true).ok());
  store_.fail = false;
  ASSERT_TRUE(sequencer_.ReserveAhead(true).ok()) << "not forgotten by the failure";
  EXPECT_EQ(store_.marks["a"].confirmed, 12);
  EXPECT_EQ(store_.marks["b"].confirmed, 9);
  EXPECT_EQ(store_.marks["a"].identity, "id-a");
  const int writes = store_.writes;
  ASSERT_TRUE(sequencer_.ReserveAhead(true).ok());
  EXPECT_EQ(store_.writes, writes) << "nothing moved";
}

TEST_F(SequencerTest, ALowBlockAsksForMoreInTime) {
  int wanted = 0;
  sequencer_.SetWanted([&] { ++wanted; });
  ASSERT_TRUE(sequencer_.Take(0, 1).ok());
  EXPECT_EQ(wanted, 0);
  while (wanted == 0) ASSERT_TRUE(sequencer_.Take(0, 512).ok());
  EXPECT_GT(store_.reserved - sequencer_.Rev(), kBlock / 4) << "long before it runs out";
  ASSERT_TRUE(sequencer_.ReserveAhead(false).ok());
  EXPECT_EQ(store_.reserved, sequencer_.Rev() + kBlock);
}

TEST_F(SequencerTest, OnlyADecidedEndIsClean) {
  ASSERT_EQ(*sequencer_.Take(1, 2), 11);
  const absl::Status status = sequencer_.Finish();
  EXPECT_EQ(CodeOf(status), Code::kUnavailable);
  EXPECT_EQ(BackendOf(status), "b");
  EXPECT_FALSE(store_.finished.has_value());
  sequencer_.Decide(1, 12);
  ASSERT_TRUE(sequencer_.Finish().ok());
  EXPECT_EQ(store_.finished, 12);
  EXPECT_EQ(store_.marks["b"].confirmed, 12);
}

TEST_F(SequencerTest, LanesThatTakeAtOnceNeverGetTheSameNumber) {
  std::vector<std::vector<int64_t>> got(2);
  std::vector<std::thread> threads;
  for (int lane = 0; lane < 2; ++lane) {
    threads.emplace_back([&, lane] {
      for (int i = 0; i < 2000; ++i) {
        const int64_t n = 1 + i % 100;
        const int64_t first = *sequencer_.Take(lane, n);
        EXPECT_LT(sequencer_.Complete(lane), first);
        for (int64_t k = 0; k < n; ++k) got[lane].push_back(first + k);
        sequencer_.Decide(lane, first + n - 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<int64_t> all(got[0].begin(), got[0].end());
  all.insert(got[1].begin(), got[1].end());
  EXPECT_EQ(all.size(), got[0].size() + got[1].size());
  EXPECT_EQ(*all.begin(), 11);
  EXPECT_EQ(*all.rbegin(), 10 + static_cast<int64_t>(all.size())) << "and none is missing";
}

}  // namespace
}  // namespace storage
