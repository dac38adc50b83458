// Contract suite, part 3: the events of the undo log, tokens.
#ifndef LIBSTORAGE_TESTS_CONTRACT_EVENT_SUITE_H_
#define LIBSTORAGE_TESTS_CONTRACT_EVENT_SUITE_H_

#include <string>
#include <vector>

#include "tests/contract/contract_test.h"

namespace storage::contract {

TEST_P(ContractTest, EventsCarryTheValuesBeforeAndAfter) {
  Start();
  Op lease = Create("/b/1", "L");
  lease.expire_at_ms = 77;
  ASSERT_OK(Write(backend(), {Create("/a/1", "one"), lease}));
  ASSERT_OK(Write(backend(), {Update("/a/1", "uno"), Expire("/b/1")}));
  ASSERT_OK(Write(backend(), {Update("/a/1", "1")}));
  ASSERT_OK(Write(backend(), {Delete("/a/1")}));
  ASSERT_OK(Write(backend(), {Create("/a/1", "again"), Create("/b/1", "")}));
  const Lines all = {"1 kind 1 /a/1=one was  mod 0 create 0 expire 0",
                     "2 kind 1 /b/1=L was  mod 0 create 0 expire 0",
                     "3 kind 2 /a/1=uno was one mod 1 create 1 expire 0",
                     "4 kind 4 /b/1= was L mod 2 create 2 expire 77",
                     "5 kind 2 /a/1=1 was uno mod 3 create 1 expire 0",
                     "6 kind 3 /a/1= was 1 mod 5 create 1 expire 0",
                     "7 kind 1 /a/1=again was  mod 0 create 0 expire 0",
                     "8 kind 1 /b/1= was  mod 0 create 0 expire 0"};
  auto snapshot = Look();
  EXPECT_EQ(Events(snapshot.get(), All(), 0), all);
  EXPECT_EQ(Events(snapshot.get(), All(), 2, 5), Lines(all.begin() + 2, all.begin() + 5));
  EXPECT_EQ(Events(snapshot.get(), All(), 2, 5, 2), Lines(all.begin() + 2, all.begin() + 4));
  EXPECT_EQ(Events(snapshot.get(), Prefix("/b/"), 2), (Lines{all[3], all[7]}));
  EXPECT_EQ(Events(snapshot.get(), Prefix("/b/"), 2, 99, 1), Lines{all[3]});
  EXPECT_EQ(Events(snapshot.get(), Range{"/a/1", "/a/1"}, 0), Lines());
  EXPECT_EQ(Events(snapshot.get(), All(), 8), Lines());
  EXPECT_EQ(Events(snapshot.get(), All(), 9), Lines());
  EXPECT_EQ(Events(snapshot.get(), All(), 5, 3), Lines());
  // The values stay right when what they came from was deleted below the floor.
  ASSERT_OK(RaiseFloor(backend(), 3));
  ASSERT_EQ(*backend()->DeleteHistory(9), 3);
  EXPECT_EQ(Events(Look().get(), All(), 3), Lines(all.begin() + 3, all.end()));
  EXPECT_EQ(Events(Look().get(), All(), 2), Lines{"COMPACTED"});
}

TEST_P(ContractTest, EventsWithGaps) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/1", "one")}, 0, 10));
  ASSERT_OK(Write(backend(), {Update("/a/1", "two")}, 0, 20));
  auto txn = Begin();
  ASSERT_OK(txn->Void(Us(), 30));
  ASSERT_OK(txn->Commit());
  txn.reset();
  auto snapshot = Look();
  EXPECT_EQ(Events(snapshot.get(), All(), 0).size(), 2u);
  EXPECT_EQ(Events(snapshot.get(), All(), 10).size(), 1u);
  EXPECT_EQ(Get(snapshot.get(), "/a/1", 9), Lines());
  EXPECT_EQ(Get(snapshot.get(), "/a/1", 15), Lines{"/a/1=one mod 10 create 10"});
  EXPECT_EQ(Get(snapshot.get(), "/a/1", 25), Lines{"/a/1=two mod 20 create 10"});
  ASSERT_OK(RaiseFloor(backend(), 25));
  EXPECT_EQ(StatsText(), "history 2/3 debt 2 /a/:1/3");
  EXPECT_EQ(*backend()->DeleteHistory(10), 2);
}

TEST_P(ContractTest, TokensNameTheirBatch) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/1", ""), Create("/a/2", "")}, 41));
  ASSERT_OK(Write(backend(), {Delete("/a/1")}, -7));
  auto snapshot = Look();
  EXPECT_TRUE(*snapshot->HasToken(41));
  EXPECT_TRUE(*snapshot->HasToken(-7));
  EXPECT_FALSE(*snapshot->HasToken(42));
  EXPECT_FALSE(*snapshot->HasToken(0));
  ASSERT_OK(RaiseFloor(backend(), 1));
  EXPECT_EQ(*backend()->DeleteHistory(9), 1);
  EXPECT_TRUE(*Look()->HasToken(41)) << "one of its rows is left";
  ASSERT_OK(RaiseFloor(backend(), 2));
  EXPECT_EQ(*backend()->DeleteHistory(9), 1);
  EXPECT_FALSE(*Look()->HasToken(41));
  EXPECT_TRUE(*Look()->HasToken(-7));
}

}  // namespace storage::contract

#endif  // LIBSTORAGE_TESTS_CONTRACT_EVENT_SUITE_H_
