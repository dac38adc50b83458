// Contract suite, part 4: objects that move between databases (Import, Discard).
#ifndef LIBSTORAGE_TESTS_CONTRACT_MOVE_SUITE_H_
#define LIBSTORAGE_TESTS_CONTRACT_MOVE_SUITE_H_

#include <string>
#include <vector>

#include "tests/contract/contract_test.h"

namespace storage::contract {

inline MovedRow Move(std::string_view key, std::string_view value, int64_t create_rev,
                     int64_t mod_rev, int64_t expire_at_ms = 0, std::string_view attrs = "") {
  const size_t end = key.find('/', 1) + 1;
  return MovedRow{key.substr(0, end),
                  Row{key, value, attrs, ObjectMeta{mod_rev, create_rev, expire_at_ms}}};
}

inline absl::Status ImportRows(Backend* backend, const std::vector<MovedRow>& rows) {
  auto txn = backend->BeginLane();
  if (!txn.ok()) return txn.status();
  absl::Status status = (*txn)->Import(rows);
  if (status.ok()) status = (*txn)->Void(Us(), 0);
  return status.ok() ? (*txn)->Commit() : status;
}

// Reads first, as the engine does.
inline absl::Status DiscardKeys(Backend* backend, const std::vector<std::string_view>& keys) {
  auto txn = backend->BeginLane();
  if (!txn.ok()) return txn.status();
  std::vector<Current> found(keys.size());
  absl::Status status = (*txn)->Read(keys, absl::MakeSpan(found));
  std::vector<DiscardedRow> rows;
  for (size_t i = 0; i < keys.size(); ++i) {
    rows.push_back({keys[i].substr(0, keys[i].find('/', 1) + 1), keys[i], found[i].meta.create_rev,
                    static_cast<int64_t>(found[i].value.size())});
  }
  if (status.ok()) status = (*txn)->Discard(rows);
  if (status.ok()) status = (*txn)->Void(Us(), 0);
  return status.ok() ? (*txn)->Commit() : status;
}

TEST_P(ContractTest, AnImportKeepsAllThatAnObjectHas) {
  Start();
  ASSERT_OK(Adopt(backend(), Us(), 100));
  ASSERT_OK(ImportRows(backend(), {Move("/a/x", "1", 3, 3), Move("/a/y", "22", 5, 70, 9000, "at"),
                                   Move("/b/z", "", 100, 100)}));
  EXPECT_EQ(LaneText(), "m/1/1 head 100 ver 3 floor 100");
  const std::vector<std::string> all = {"/a/x=1 mod 3 create 3",
                                        "/a/y=22 mod 70 create 5 expire 9000 attrs at",
                                        "/b/z= mod 100 create 100"};
  EXPECT_EQ(List(Look().get(), All()), all);
  EXPECT_EQ(List(Look().get(), All(), 100), all);
  EXPECT_THAT(Events(Look().get(), All(), 100), IsEmpty());
  EXPECT_EQ(StatsText(), "history 0/0 debt 0 /a/:2/3 /b/:1/0");
  EXPECT_EQ(Count(Look().get(), Prefix("/a/")), "2");
  EXPECT_EQ(*Look()->NextExpiryMs(), 9000);
  EXPECT_EQ(Expired(Look().get(), 9000).size(), 1u);
}

// The undo log goes on from what came: what it was is read at the floor.
TEST_P(ContractTest, ImportedObjectsChangeLikeOthers) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/x", "old"), Create("/a/y", "own")}));
  ASSERT_OK(Write(backend(), {Delete("/a/x")}));
  ASSERT_OK(Adopt(backend(), Us(), 100));
  ASSERT_OK(ImportRows(backend(), {Move("/a/x", "1", 50, 60), Move("/a/w", "2", 51, 51)}));
  ASSERT_OK(Write(backend(), {Update("/a/x", "3"), Delete("/a/w"), Update("/a/y", "4")}));
  EXPECT_THAT(
      List(Look().get(), All(), 100),
      ElementsAre("/a/w=2 mod 51 create 51", "/a/x=1 mod 60 create 50", "/a/y=own mod 2 create 2"));
  EXPECT_EQ(Count(Look().get(), All(), 100), "3");
  EXPECT_THAT(List(Look().get(), All()),
              ElementsAre("/a/x=3 mod 101 create 50", "/a/y=4 mod 103 create 2"));
  EXPECT_THAT(Events(Look().get(), All(), 100),
              ElementsAre("101 kind 2 /a/x=3 was 1 mod 60 create 50 expire 0",
                          "102 kind 3 /a/w= was 2 mod 51 create 51 expire 0",
                          "103 kind 2 /a/y=4 was own mod 2 create 2 expire 0"));
  ASSERT_OK(RaiseFloor(backend(), 103));
  while (*backend()->DeleteHistory(10) > 0) {
  }
  EXPECT_EQ(StatsText(), "history 0/0 debt 0 /a/:2/2");
}

TEST_P(ContractTest, WhatIsDiscardedLeavesNoEvent) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/x", "1"), Create("/a/y", "22"),
                              Op{ChangeKind::kCreate, "/b/z", "3", "", 9000}}));
  ASSERT_OK(RaiseFloor(backend(), 3));
  ASSERT_OK(DiscardKeys(backend(), {"/a/y", "/b/z"}));
  EXPECT_EQ(LaneText(), "m/1/1 head 3 ver 4 floor 3");
  EXPECT_THAT(List(Look().get(), All()), ElementsAre("/a/x=1 mod 1 create 1"));
  EXPECT_THAT(List(Look().get(), All(), 3), ElementsAre("/a/x=1 mod 1 create 1"));
  EXPECT_THAT(Events(Look().get(), All(), 3), IsEmpty());
  EXPECT_EQ(*Look()->NextExpiryMs(), 0);
  while (*backend()->DeleteHistory(10) > 0) {
  }
  EXPECT_EQ(StatsText(), "history 0/0 debt 0 /a/:1/1 /b/:0/0");
  ASSERT_OK(ImportRows(backend(), {Move("/a/y", "22", 2, 2)}));  // and back
  ASSERT_OK(Write(backend(), {Update("/a/y", "4")}));
  EXPECT_THAT(List(Look().get(), All(), 3),
              ElementsAre("/a/x=1 mod 1 create 1", "/a/y=22 mod 2 create 2"));
}

TEST_P(ContractTest, MovesAreRefusedWhereTheyWouldLie) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/x", "1"), Create("/a/y", "2")}));
  // What is readable below the head would change.
  EXPECT_CODE(ImportRows(backend(), {Move("/a/z", "1", 1, 1)}), kInvalid);
  EXPECT_CODE(DiscardKeys(backend(), {"/a/x"}), kInvalid);
  ASSERT_OK(RaiseFloor(backend(), 2));
  const std::string before = LaneText();
  EXPECT_CODE(ImportRows(backend(), {Move("/a/z", "1", 1, 3)}), kInvalid);
  EXPECT_CODE(ImportRows(backend(), {Move("/a/z", "1", 2, 1)}), kInvalid);
  EXPECT_CODE(ImportRows(backend(), {Move("/a/z", "1", 0, 1)}), kInvalid);
  EXPECT_CODE(ImportRows(backend(), {Move("/a/v", "1", 1, 1), Move("/a/v", "1", 1, 1)}), kInvalid);
  EXPECT_FALSE(ImportRows(backend(), {Move("/a/x", "9", 1, 1)}).ok());
  EXPECT_FALSE(DiscardKeys(backend(), {"/a/x", "/a/none"}).ok());
  EXPECT_EQ(LaneText(), before);
  EXPECT_THAT(List(Look().get(), All()),
              ElementsAre("/a/x=1 mod 1 create 1", "/a/y=2 mod 2 create 2"));
  EXPECT_EQ(Count(Look().get(), All()), "2");
}

// Also a migration's batch: nothing of it, or all, and never past another owner.
TEST_P(ContractTest, AMoveIsGuardedAndAtomic) {
  Start();
  ASSERT_OK(Adopt(backend(), Us(), 100));
  const std::vector<MovedRow> rows = {Move("/a/x", "1", 3, 3)};
  {
    auto txn = Begin();
    ASSERT_OK(txn->Import(rows));
    EXPECT_CODE(txn->Void(LaneOwner{"other", 1, 1}, 0), kBusy);
    EXPECT_FALSE(txn->Commit().ok());
  }
  {
    auto txn = Begin();
    ASSERT_OK(txn->Import(rows));
    const std::vector<std::string> collections = {"/a/"};
    const std::vector<Op> ops = {Create("/a/y", "1")};
    EXPECT_CODE(txn->Apply(Mutations(ops, collections, 101), 0), kInternal);
  }
  { ASSERT_OK(Begin()->Import(rows)); }  // rolled back
  EXPECT_THAT(List(Look().get(), All()), IsEmpty());
  EXPECT_EQ(LaneText(), "m/1/1 head 100 ver 2 floor 100");
  ASSERT_OK(ImportRows(backend(), rows));
  EXPECT_EQ(StatsText(), "history 0/0 debt 0 /a/:1/1");
}

}  // namespace storage::contract

#endif  // LIBSTORAGE_TESTS_CONTRACT_MOVE_SUITE_H_
