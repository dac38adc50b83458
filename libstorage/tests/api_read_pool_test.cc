// The pool of reads: a database that is silent holds its own share and nothing else.
#include <atomic>
#include <map>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/api/read_pool.h"

namespace storage::api {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

using Kind = ReadPool::Kind;

constexpr uint64_t kA = 1, kB = 2;
constexpr size_t kTogether = 8;  // gets of A

// Reads with an even id ask database A, whose answers wait for the gate.
class ReadPoolTest : public testing::Test {
 protected:
  ReadPoolTest()
      : pool_(3, 2, 2,
              {[this](const std::vector<uint64_t>& ids) { return Run(ids); },
               [this](uint64_t id, uint64_t silent) {
                 MutexLock lock(&mu_);
                 EXPECT_EQ(silent, kA);
                 refused_.insert(id);
                 changed_.SignalAll();
               },
               [](uint64_t places) { return places == kB ? 1 : kTogether; }}) {}
  ~ReadPoolTest() override {
    OpenGate();
    pool_.Stop();
  }

  static uint64_t Id(uint64_t n, uint64_t places) { return 4 * n + places; }

  uint64_t Run(const std::vector<uint64_t>& ids) {
    const uint64_t places = ids[0] % 4;
    MutexLock lock(&mu_);
    sizes_.push_back(ids.size());
    most_ = std::max(most_, ++running_[places]);
    if ((places & kA) != 0) {
      while (!gate_) changed_.Wait(&mu_);
    }
    --running_[places];
    done_.insert(ids.begin(), ids.end());
    changed_.SignalAll();
    return (places & kA) != 0 && fails_ ? kA : 0;
  }
  void OpenGate() {
    MutexLock lock(&mu_);
    gate_ = true;
    changed_.SignalAll();
  }
  bool Await(const std::set<uint64_t>& which, size_t n) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const auto end = std::chrono::steady_clock::now() + seconds(20);
    while (which.size() < n) {
      if (!changed_.WaitUntil(&mu_, end) && which.size() < n) return false;
    }
    return true;
  }
  bool AwaitRunning(uint64_t places, int n) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const auto end = std::chrono::steady_clock::now() + seconds(20);
    while (running_[places] < n) {
      if (std::chrono::steady_clock::now() > end) return false;
      changed_.WaitUntil(&mu_, std::chrono::steady_clock::now() + milliseconds(10));
    }
    return true;
  }

  Mutex mu_;
  CondVar changed_;
  bool gate_ ABSL_GUARDED_BY(mu_) = false;
  bool fails_ ABSL_GUARDED_BY(mu_) = false;
  int most_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<uint64_t, int> running_ ABSL_GUARDED_BY(mu_);
  std::vector<size_t> sizes_ ABSL_GUARDED_BY(mu_);  // of what was run at once
  std::set<uint64_t> done_ ABSL_GUARDED_BY(mu_);
  std::set<uint64_t> refused_ ABSL_GUARDED_BY(mu_);
  ReadPool pool_;  // last: its threads use the rest
};

TEST_F(ReadPoolTest, ASilentDatabaseHoldsItsShareOnly) {
  for (uint64_t n = 0; n < 20; ++n) ASSERT_TRUE(pool_.Push(Id(n, kA), kA, Kind::kQuick));
  for (uint64_t n = 0; n < 20; ++n) ASSERT_TRUE(pool_.Push(Id(n, kA | kB), kA | kB, Kind::kSlow));
  {
    MutexLock lock(&mu_);
    EXPECT_TRUE(AwaitRunning(kA, 3));
    EXPECT_TRUE(AwaitRunning(kA | kB, 2)) << "those of both have taken all they may";
  }
  for (uint64_t n = 0; n < 100; ++n)
    ASSERT_TRUE(pool_.Push(Id(n, kB), kB, n % 2 == 0 ? Kind::kSlow : Kind::kQuick));
  MutexLock lock(&mu_);
  EXPECT_TRUE(Await(done_, 100)) << "those of B; done: " << done_.size();
  EXPECT_EQ(running_[kA], 3);
  EXPECT_EQ(running_[kA | kB], 2);
}

// However many sets there are with the silent one in them.
TEST_F(ReadPoolTest, SetsOfSeveralDoNotHoldAllThreads) {
  for (uint64_t set = 1; set < 40; ++set) {
    for (uint64_t n = 0; n < 3; ++n) {
      ASSERT_TRUE(pool_.Push(Id(3 * set + n, kA | kB), kA | kB | set << 2, Kind::kQuick));
    }
  }
  {
    MutexLock lock(&mu_);
    EXPECT_TRUE(AwaitRunning(kA | kB, 12));
  }
  for (uint64_t n = 0; n < 100; ++n)
    ASSERT_TRUE(pool_.Push(Id(n, kB), kB, n % 2 == 0 ? Kind::kSlow : Kind::kQuick));
  MutexLock lock(&mu_);
  EXPECT_TRUE(Await(done_, 100)) << done_.size();
  EXPECT_EQ(running_[kA | kB], 12);
}

TEST_F(ReadPoolTest, ListsLeaveOneForPointReads) {
  for (uint64_t n = 0; n < 20; ++n) ASSERT_TRUE(pool_.Push(Id(n, kA), kA, Kind::kSlow));
  {
    MutexLock lock(&mu_);
    EXPECT_TRUE(AwaitRunning(kA, 2));
  }
  ASSERT_TRUE(pool_.Push(Id(100, kA), kA, Kind::kQuick));
  MutexLock lock(&mu_);
  EXPECT_TRUE(AwaitRunning(kA, 3));
  EXPECT_EQ(most_, 3);
}

// What waits for a database that was silent is not made to find that out one by one.
TEST_F(ReadPoolTest, WhoWaitsForASilentDatabaseIsRefused) {
  {
    MutexLock lock(&mu_);
    fails_ = true;
  }
  for (uint64_t n = 0; n < 20; ++n) ASSERT_TRUE(pool_.Push(Id(n, kA), kA, Kind::kQuick));
  {
    MutexLock lock(&mu_);
    ASSERT_TRUE(AwaitRunning(kA, 3));
    const auto until = std::chrono::steady_clock::now() + ReadPool::kSilent + milliseconds(100);
    while (std::chrono::steady_clock::now() < until) changed_.WaitUntil(&mu_, until);
  }
  OpenGate();
  MutexLock lock(&mu_);
  EXPECT_TRUE(Await(refused_, 17)) << refused_.size();
  EXPECT_TRUE(Await(done_, 3));
}

// An error at once holds nothing up: the next one is tried.
TEST_F(ReadPoolTest, AQuickFailureRefusesNobody) {
  {
    MutexLock lock(&mu_);
    fails_ = gate_ = true;
  }
  for (uint64_t n = 0; n < 20; ++n) ASSERT_TRUE(pool_.Push(Id(n, kA), kA, Kind::kQuick));
  MutexLock lock(&mu_);
  EXPECT_TRUE(Await(done_, 20));
  EXPECT_TRUE(refused_.empty());
}

// Two groups are under way: what comes meanwhile goes together, what is no get does not wait.
TEST_F(ReadPoolTest, GetsThatHaveToWaitGoTogether) {
  for (uint64_t n = 0; n < 2; ++n) {
    ASSERT_TRUE(pool_.Push(Id(n, kA), kA, Kind::kGet));
    MutexLock lock(&mu_);
    ASSERT_TRUE(AwaitRunning(kA, static_cast<int>(n) + 1)) << "one alone does not wait";
  }
  for (uint64_t n = 2; n < 22; ++n) ASSERT_TRUE(pool_.Push(Id(n, kA), kA, Kind::kGet));
  ASSERT_TRUE(pool_.Push(Id(22, kA), kA, Kind::kQuick));
  MutexLock lock(&mu_);
  EXPECT_TRUE(AwaitRunning(kA, 3));
  EXPECT_THAT(sizes_, testing::ElementsAre(1, 1, 1));
  gate_ = true;
  changed_.SignalAll();
  EXPECT_TRUE(Await(done_, 23));
  EXPECT_THAT(std::vector<size_t>(sizes_.begin() + 3, sizes_.end()),
              testing::UnorderedElementsAre(kTogether, kTogether, 4));
}

// A database that reads no two at once has as many under way as before.
TEST_F(ReadPoolTest, GetsThatAreNoCheaperTogetherGoAlone) {
  OpenGate();
  for (uint64_t n = 0; n < 50; ++n) ASSERT_TRUE(pool_.Push(Id(n, kB), kB, Kind::kGet));
  MutexLock lock(&mu_);
  EXPECT_TRUE(Await(done_, 50));
  EXPECT_THAT(sizes_, testing::Each(1));
}

TEST_F(ReadPoolTest, StoppedItTakesNothing) {
  OpenGate();
  pool_.Stop();
  EXPECT_FALSE(pool_.Push(1, kA, Kind::kQuick));
}

}  // namespace
}  // namespace storage::api
