// How a start begins, as a pure function of what was found (protocol: "One
// process", "First start", "New epoch with a jump", "Older copies";
// counterexamples 1, 2 and 3).
#include <gtest/gtest.h>

#include <limits>

#include "src/revision/epoch.h"

namespace storage {
namespace {

constexpr int64_t kNow = 1800000000;
constexpr int64_t kByClock = (kNow - 1700000000) << 20;
constexpr int64_t kStep = int64_t{1} << 32;

// Two databases that this metadata store has used: heads 40 and 50 of 100
// reserved, both confirmed.
StartFacts Used(bool clean) {
  StartFacts facts;
  facts.unix_seconds = kNow;
  facts.meta.existed = true;
  facts.meta.m_id = "ours";
  facts.meta.epoch = 3;
  facts.meta.reserved = 100;
  facts.meta.clean = clean;
  for (const char* name : {"a", "default"}) {
    LaneFacts lane;
    lane.name = name;
    lane.identity = std::string("id-") + name;
    lane.lane.m_id = "ours";
    lane.lane.epoch = 3;
    lane.lane.head = 40 + 10 * static_cast<int64_t>(facts.lanes.size());
    lane.empty = false;
    facts.meta.backends[name] = {lane.identity, lane.lane.head};
    facts.lanes.push_back(lane);
  }
  return facts;
}

StartFacts Fresh() {
  StartFacts facts = Used(false);
  facts.meta = MetaState();
  facts.meta.m_id = "ours";
  for (LaneFacts& lane : facts.lanes) {
    lane.lane = Lane();
    lane.empty = true;
  }
  return facts;
}

void ExpectJump(const StartFacts& facts, int64_t above) {
  auto plan = PlanStart(facts);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->jump) << "old revisions must answer 410";
  EXPECT_FALSE(plan->reason.empty());
  EXPECT_GE(plan->rev, above + kStep);
  EXPECT_GE(plan->rev, kByClock);
  EXPECT_EQ(plan->adopt_jump, std::vector<int64_t>(facts.lanes.size(), plan->rev));
}

void ExpectRefused(const StartFacts& facts, const std::vector<std::string>& parts) {
  const absl::Status status = PlanStart(facts).status();
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  for (const std::string& part : parts) {
    EXPECT_NE(status.message().find(part), std::string::npos) << part << " not in " << status;
  }
  StartFacts accepted = facts;
  accepted.restored = true;
  ExpectJump(accepted, facts.meta.reserved);
}

TEST(Epoch, FirstStartIsRevisionOne) {
  auto plan = PlanStart(Fresh());
  ASSERT_TRUE(plan.ok());
  EXPECT_FALSE(plan->jump);
  EXPECT_EQ(plan->rev, 1);
  EXPECT_EQ(plan->adopt_jump, (std::vector<int64_t>{0, 0}));
}

// The store counted the start and one lane was adopted; nothing was handed out.
TEST(Epoch, AFirstStartThatCrashedBeginsAgain) {
  StartFacts facts = Fresh();
  facts.meta.existed = true;
  facts.meta.epoch = 1;
  facts.lanes[0].lane.m_id = "ours";
  facts.lanes[0].lane.epoch = 1;
  auto plan = PlanStart(facts);
  ASSERT_TRUE(plan.ok());
  EXPECT_FALSE(plan->jump);
  EXPECT_EQ(plan->rev, 1);
}

// Counterexample 1: numbers were taken and published although nothing was ever
// committed; a lane row tells that there was a store.
TEST(Epoch, ALostStoreBesideALaneRowIsANewEpoch) {
  StartFacts facts = Fresh();
  facts.lanes[0].lane.m_id = "lost";
  ExpectJump(facts, 0);
  facts.lanes[0].lane.head = int64_t{1} << 50;  // beyond what the clock says
  ExpectJump(facts, int64_t{1} << 50);
  facts = Fresh();
  facts.lanes[1].empty = false;
  ExpectJump(facts, 0);
}

TEST(Epoch, AStoreThatWasMadeAgainIsANewEpoch) {
  StartFacts facts = Used(true);
  facts.meta = MetaState();
  facts.meta.m_id = "made again";
  ExpectJump(facts, 50);
}

TEST(Epoch, AJumpGoesAboveEverythingEverReserved) {
  StartFacts facts = Used(true);
  facts.meta.reserved = int64_t{1} << 50;
  facts.restored = true;
  ExpectJump(facts, int64_t{1} << 50);
  facts.unix_seconds = 0;  // a clock that is not set
  facts.meta.reserved = 100;
  auto plan = PlanStart(facts);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->rev, 100 + kStep);
}

TEST(Epoch, ANormalStartChangesOnlyTheEpoch) {
  for (const bool clean : {true, false}) {
    auto plan = PlanStart(Used(clean));
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_FALSE(plan->jump);
    EXPECT_EQ(plan->rev, 100) << "nothing up to the reservation is handed out again";
    EXPECT_EQ(plan->void_lanes, !clean);
    EXPECT_EQ(plan->adopt_jump, (std::vector<int64_t>{0, 0}));
  }
}

// Counterexample 3.
TEST(Epoch, ALaneOfAnotherStoreIsRefusedWithBothNames) {
  StartFacts facts = Used(true);
  facts.lanes[1].lane.m_id = "theirs";
  ExpectRefused(facts, {"ours", "theirs", "--metadata-store"});
}

// Counterexample 2.
TEST(Epoch, AnOlderCopyOfADatabaseIsRefused) {
  for (const bool clean : {true, false}) {
    StartFacts facts = Used(clean);
    facts.lanes[0].lane.head = 39;
    ExpectRefused(facts, {"39", "40"});
  }
}

TEST(Epoch, AnotherDatabaseUnderTheNameIsRefused) {
  StartFacts facts = Used(true);
  facts.lanes[0].identity = "id-new";
  ExpectRefused(facts, {"id-new", "id-a"});
  facts.lanes[0].lane = Lane();
  facts.lanes[0].empty = true;
  ExpectRefused(facts, {"40"});
  facts.meta.backends["a"].confirmed = 0;  // nothing was ever written there
  EXPECT_TRUE(PlanStart(facts).ok());
}

TEST(Epoch, AnOlderCopyOfTheStoreIsANewEpoch) {
  StartFacts facts = Used(true);
  facts.lanes[1].lane.head = 101;  // above everything the store reserved
  ExpectJump(facts, 101);
  facts = Used(true);
  facts.lanes[0].lane.epoch = 4;  // a start that the store does not remember
  ExpectJump(facts, 100);
}

TEST(Epoch, RelaxedDurabilityAndAnUncleanEndIsANewEpoch) {
  StartFacts facts = Used(false);
  facts.lanes[0].durable = false;
  ExpectJump(facts, 100);
  facts.lanes[0].lane.head = 30;  // its tail is what the operator allowed to lose
  ExpectJump(facts, 100);
  facts.lanes[1].lane.head = 30;  // not so here
  ExpectRefused(facts, {"50"});
  facts = Used(true);
  facts.lanes[0].durable = false;
  EXPECT_FALSE(PlanStart(facts)->jump) << "a clean end lost nothing";
  facts.lanes[0].lane.head = 30;
  ExpectRefused(facts, {"40"});
}

TEST(Epoch, ADatabaseThatJoinsHasNoHistory) {
  StartFacts facts = Used(true);
  LaneFacts fresh;
  fresh.name = "new";
  facts.lanes.push_back(fresh);
  auto plan = PlanStart(facts);
  ASSERT_TRUE(plan.ok());
  EXPECT_FALSE(plan->jump);
  EXPECT_EQ(plan->adopt_jump, (std::vector<int64_t>{0, 0, 100}));
}

TEST(Epoch, NumbersThatCannotBeAreDamageNotAnOverflow) {
  for (const bool restored : {false, true}) {
    StartFacts facts = Used(true);
    facts.restored = restored;
    facts.lanes[0].lane.head = std::numeric_limits<int64_t>::max();
    EXPECT_EQ(CodeOf(PlanStart(facts).status()), Code::kCorrupt);
    facts = Used(true);
    facts.restored = restored;
    facts.meta.reserved = std::numeric_limits<int64_t>::max() - 5;
    EXPECT_EQ(CodeOf(PlanStart(facts).status()), Code::kCorrupt);
  }
}

}  // namespace
}  // namespace storage
