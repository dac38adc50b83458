// Contract suite, part 1: the lane row and its transactions.
#ifndef LIBSTORAGE_TESTS_CONTRACT_LANE_SUITE_H_
#define LIBSTORAGE_TESTS_CONTRACT_LANE_SUITE_H_

#include <string>
#include <vector>

#include "tests/contract/contract_test.h"

namespace storage::contract {

TEST_P(ContractTest, EmptyDatabase) {
  EXPECT_EQ(LaneText(), "/0/0 head 0 ver 0 floor 0");
  auto snapshot = Look();
  EXPECT_THAT(List(snapshot.get(), All()), IsEmpty());
  EXPECT_THAT(Get(snapshot.get(), "/a/x"), IsEmpty());
  EXPECT_THAT(Events(snapshot.get(), All(), 0), IsEmpty());
  EXPECT_THAT(Expired(snapshot.get(), INT64_MAX), IsEmpty());
  EXPECT_EQ(Count(snapshot.get(), All()), "0");
  EXPECT_EQ(*snapshot->NextExpiryMs(), 0);
  EXPECT_FALSE(*snapshot->HasToken(0));
  EXPECT_EQ(StatsText(), "history 0/0 debt 0");
  EXPECT_FALSE(backend()->identity().empty());
  EXPECT_OK(backend()->Ping());
  EXPECT_EQ(*backend()->DeleteHistory(10), 0);
}

TEST_P(ContractTest, AdoptMakesTheOwnerAndKeepsTheHistory) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/x", "1")}));
  EXPECT_EQ(LaneText(), "m/1/1 head 1 ver 2 floor 0");
  ASSERT_OK(Adopt(backend(), LaneOwner{"other", 7, 3}, 0));
  EXPECT_EQ(LaneText(), "other/7/3 head 1 ver 3 floor 0");
  EXPECT_CODE(Write(backend(), {Update("/a/x", "2")}), kBusy);
}

TEST_P(ContractTest, AdoptWithAJumpMovesHeadAndFloor) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/x", "1"), Create("/a/y", "1")}));
  for (const int64_t refused : {int64_t{-1}, int64_t{1}, int64_t{2}}) {
    EXPECT_CODE(Adopt(backend(), Us(), refused), kInvalid);
  }
  ASSERT_OK(Adopt(backend(), Us(), 100));
  EXPECT_EQ(LaneText(), "m/1/1 head 100 ver 3 floor 100");
  auto snapshot = Look();
  EXPECT_THAT(List(snapshot.get(), All(), 2), ElementsAre("COMPACTED"));
  EXPECT_THAT(List(snapshot.get(), All(), 100),
              ElementsAre("/a/x=1 mod 1 create 1", "/a/y=1 mod 2 create 2"));
  EXPECT_CODE(Write(backend(), {Update("/a/x", "2")}, 0, 100), kInvalid);
  ASSERT_OK(Write(backend(), {Update("/a/x", "2")}, 0, 101));
  EXPECT_THAT(List(Look().get(), All(), 100),
              ElementsAre("/a/x=1 mod 1 create 1", "/a/y=1 mod 2 create 2"));
}

// Each condition of the guard, for each call that has it.
TEST_P(ContractTest, AForeignOwnerIsRefused) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/x", "1")}));
  const std::string before = LaneText();
  for (const LaneOwner& foreign :
       {LaneOwner{"n", 1, 1}, LaneOwner{"m", 2, 1}, LaneOwner{"m", 1, 2}, LaneOwner{"", 1, 1}}) {
    auto txn = Begin();
    EXPECT_CODE(txn->Guard(foreign, 2, 2), kBusy);
    EXPECT_CODE(txn->Commit(), kInternal);
    txn.reset();
    txn = Begin();
    EXPECT_CODE(txn->Void(foreign, 9), kBusy);
    EXPECT_CODE(txn->Commit(), kInternal);
    txn.reset();
    txn = Begin();
    EXPECT_CODE(txn->RaiseFloor(foreign, 1), kBusy);
    EXPECT_CODE(txn->Commit(), kInternal);
  }
  EXPECT_EQ(LaneText(), before);
}

TEST_P(ContractTest, TheGuardWantsTheHeadBelowTheBatch) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/x", "1")}, 0, 5));
  EXPECT_EQ(LaneText(), "m/1/1 head 5 ver 2 floor 0");
  auto txn = Begin();
  EXPECT_CODE(txn->Guard(Us(), 5, 6), kBusy);
  txn.reset();
  txn = Begin();
  EXPECT_OK(txn->Guard(Us(), 6, 9));
  EXPECT_OK(txn->Commit());
  EXPECT_EQ(LaneText(), "m/1/1 head 9 ver 3 floor 0");
}

TEST_P(ContractTest, TheGuardCoversTheBatch) {
  Start();
  const std::vector<Op> ops = {Create("/a/x", "1"), Create("/a/y", "1")};
  const std::vector<std::string> collections = {"/a/", "/a/"};
  const std::vector<Mutation> mutations = Mutations(ops, collections, 5);  // 5 and 6
  const std::vector<std::pair<int64_t, int64_t>> wrong = {{6, 6}, {5, 5}, {6, 9}, {0, 6}, {6, 5}};
  for (const auto& [first, last] : wrong) {
    auto txn = Begin();
    ASSERT_OK(txn->Apply(mutations, 0));
    EXPECT_CODE(txn->Guard(Us(), first, last), kInvalid) << first << " " << last;
  }
  auto txn = Begin();
  ASSERT_OK(txn->Apply(mutations, 0));
  ASSERT_OK(txn->Guard(Us(), 3, 8));
  ASSERT_OK(txn->Commit());
  EXPECT_EQ(LaneText(), "m/1/1 head 8 ver 2 floor 0");
}

TEST_P(ContractTest, VoidRaisesTheHeadAndNeverLowersIt) {
  Start();
  for (const int64_t to : {4, 2, 0}) {
    auto txn = Begin();
    ASSERT_OK(txn->Void(Us(), to));
    ASSERT_OK(txn->Commit());
  }
  EXPECT_EQ(LaneText(), "m/1/1 head 4 ver 4 floor 0");
}

TEST_P(ContractTest, WithoutCommitNothingHappened) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/x", "1")}));
  const std::string lane = LaneText();
  const std::string stats = StatsText();
  const std::vector<Op> ops = {Update("/a/x", "2"), Create("/a/y", "2")};
  const std::vector<std::string> collections = {"/a/", "/a/"};
  const std::vector<Mutation> mutations = Mutations(ops, collections, 2);
  {
    auto txn = Begin();
    ASSERT_OK(txn->Apply(mutations, 7));
    ASSERT_OK(txn->Guard(Us(), 2, 3));
  }
  {
    auto txn = Begin();
    ASSERT_OK(txn->Apply(mutations, 7));
    EXPECT_CODE(txn->Commit(), kInternal);  // no guard
  }
  {
    auto txn = Begin();
    ASSERT_OK(txn->Void(Us(), 9));
  }
  EXPECT_EQ(LaneText(), lane);
  EXPECT_EQ(StatsText(), stats);
  EXPECT_THAT(List(Look().get(), All()), ElementsAre("/a/x=1 mod 1 create 1"));
  EXPECT_FALSE(*Look()->HasToken(7));
}

TEST_P(ContractTest, OneVerdictPerTransaction) {
  Start();
  auto txn = Begin();
  ASSERT_OK(txn->Void(Us(), 3));
  EXPECT_CODE(txn->Void(Us(), 4), kInternal);
  EXPECT_CODE(txn->Guard(Us(), 4, 4), kInternal);
  EXPECT_CODE(txn->Adopt(Us(), 0), kInternal);
  EXPECT_CODE(txn->RaiseFloor(Us(), 0), kInternal);
  EXPECT_CODE(txn->Apply({}, 0), kInternal);
  ASSERT_OK(txn->Commit());
  EXPECT_CODE(txn->Commit(), kInternal);
  txn.reset();
  EXPECT_EQ(LaneText(), "m/1/1 head 3 ver 2 floor 0");
}

TEST_P(ContractTest, ABatchGoesThroughTheGuard) {
  Start();
  const std::vector<Op> ops = {Create("/a/x", "1")};
  const std::vector<std::string> collections = {"/a/"};
  const std::vector<Mutation> mutations = Mutations(ops, collections, 1);
  auto txn = Begin();
  ASSERT_OK(txn->Apply(mutations, 0));
  EXPECT_CODE(txn->Apply(mutations, 0), kInternal);
  EXPECT_CODE(txn->Void(Us(), 1), kInternal);
  EXPECT_CODE(txn->Adopt(Us(), 0), kInternal);
  EXPECT_CODE(txn->RaiseFloor(Us(), 0), kInternal);
}

TEST_P(ContractTest, OneLaneTransactionAtATime) {
  Start();
  auto txn = Begin();
  EXPECT_CODE(backend()->BeginLane().status(), kBusy);
  EXPECT_CODE(backend()->DeleteHistory(1).status(), kBusy);
  txn.reset();
  EXPECT_TRUE(backend()->BeginLane().ok());
}

TEST_P(ContractTest, WrongBatchesAreRefused) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/x", "1")}));
  const auto apply = [this](const std::vector<Op>& ops, const std::vector<std::string>& collections,
                            int64_t first) {
    auto txn = Begin();
    return txn->Apply(Mutations(ops, collections, first), 0);
  };
  EXPECT_CODE(apply({Create("/a/x", "2")}, {"/a/"}, 2), kInternal);
  EXPECT_CODE(apply({Update("/a/y", "2")}, {"/a/"}, 2), kInternal);
  EXPECT_CODE(apply({Delete("/a/y")}, {"/a/"}, 2), kInternal);
  EXPECT_CODE(apply({Update("/a/x", "2")}, {"/a/"}, 1), kInvalid);  // not above the head
  EXPECT_CODE(apply({Update("/a/x", "2"), Delete("/a/x")}, {"/a/", "/a/"}, 2), kInvalid);
  EXPECT_CODE(apply({Create("/a/y", "2")}, {"/b/"}, 2), kInvalid);
  EXPECT_CODE(apply({Create("/a/y", "2")}, {""}, 2), kInvalid);
  EXPECT_CODE(apply({Create("", "2")}, {""}, 2), kInvalid);
  EXPECT_THAT(List(Look().get(), All()), ElementsAre("/a/x=1 mod 1 create 1"));
  EXPECT_EQ(StatsText(), "history 1/0 debt 0 /a/:1/1");
}

TEST_P(ContractTest, ReadUnderTheLock) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/x", ""), Create("/a/y", "22")}));
  auto txn = Begin();
  EXPECT_EQ(Print(txn->lane()), "m/1/1 head 2 ver 2 floor 0");
  EXPECT_GT(txn->NowMs(), 1700000000000);
  const std::vector<std::string_view> keys = {"/a/y", "/a/none", "/a/x", "/a/y"};
  std::vector<Current> current(4);
  current[1].value = Blob("stale");
  ASSERT_OK(txn->Read(keys, absl::MakeSpan(current)));
  EXPECT_EQ(current[0].meta.mod_rev, 2);
  EXPECT_EQ(current[0].value.view(), "22");
  EXPECT_EQ(current[1].meta.mod_rev, 0);
  EXPECT_FALSE(current[1].value.present());
  EXPECT_EQ(current[2].meta.create_rev, 1);
  EXPECT_TRUE(current[2].value.present());
  EXPECT_EQ(current[2].value.size(), 0u);
  EXPECT_EQ(current[3].value.view(), "22");
  EXPECT_CODE(txn->Read(keys, absl::MakeSpan(current).subspan(1)), kInternal);
}

TEST_P(PersistentTest, AReopenedDatabaseIsTheSame) {
  Start();
  const std::string identity = backend()->identity();
  ASSERT_OK(Write(backend(), {Create("/a/x", "1"), Create("/a/y", "1")}, 11));
  ASSERT_OK(Write(backend(), {Update("/a/x", "2"), Delete("/a/y")}, 12));
  ASSERT_OK(RaiseFloor(backend(), 1));
  const std::string lane = LaneText();
  const std::string stats = StatsText();
  const Lines rows = List(Look().get(), All());
  const Lines old_rows = List(Look().get(), All(), 2);
  const Lines events = Events(Look().get(), All(), 1);
  Open();
  EXPECT_EQ(backend()->identity(), identity);
  EXPECT_EQ(LaneText(), lane);
  EXPECT_EQ(StatsText(), stats);
  EXPECT_EQ(List(Look().get(), All()), rows);
  EXPECT_EQ(List(Look().get(), All(), 2), old_rows);
  EXPECT_EQ(Events(Look().get(), All(), 1), events);
  EXPECT_TRUE(*Look()->HasToken(12));
}

TEST_P(ContractTest, DatabasesHaveDifferentIdentities) {
  const TempDir elsewhere;
  auto other = GetParam().open(elsewhere.path());
  ASSERT_TRUE(other.ok());
  EXPECT_NE((*other)->identity(), backend()->identity());
}

}  // namespace storage::contract

#endif  // LIBSTORAGE_TESTS_CONTRACT_LANE_SUITE_H_
