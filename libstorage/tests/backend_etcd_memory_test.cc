// What the backend on etcd remembers of its lane (memory_of_lane.h): believed only by a
// batch whose commit compares all of it.
#include "gmock/gmock.h"
#include "src/backend/etcd/keys.h"
#include "src/backend/etcd/memory_of_lane.h"
#include "tests/contract/contract_test.h"
#include "tests/contract/etcd_fixture.h"

namespace storage::contract {
namespace {

using etcd::RowMemory;
using etcd::Seen;

TEST(RowMemory, KeepsWhatWasWrittenLast) {
  RowMemory rows(4096);
  for (int i = 0; i < 100; ++i) {
    rows.Put("/k" + std::to_string(i),
             {i + 1, true, {i + 1, i + 1, 0}, Blob(std::string(200, 'v'))});
    EXPECT_LE(rows.bytes(), 4096u);
  }
  EXPECT_EQ(rows.Find("/k0"), nullptr);
  ASSERT_NE(rows.Find("/k99"), nullptr);
  EXPECT_EQ(rows.Find("/k99")->etcd_mod, 100);
  rows.Put("/k99", {101, true, {101, 100, 0}, Blob("w")});
  EXPECT_EQ(rows.Find("/k99")->value.view(), "w");
  rows.Erase("/k99");
  EXPECT_EQ(rows.Find("/k99"), nullptr);
  rows.Put("/large", {1, true, {}, Blob(std::string(5000, 'v'))});
  EXPECT_EQ(rows.Find("/large"), nullptr);
  EXPECT_EQ(rows.bytes(), 0u);
}

class EtcdMemoryTest : public EtcdTest {
 protected:
  struct Tried {
    bool assumed = false;
    Current current;
    absl::Status status;
  };
  // One write of a key from what may be remembered, as if decided by expect_mod.
  static Tried Try(Backend* backend, const Op& op, bool may_assume = true) {
    Tried tried;
    const std::string_view keys[] = {op.key};
    auto txn = backend->BeginLaneAndRead(keys, absl::MakeSpan(&tried.current, 1), may_assume);
    if (!txn.ok()) {
      tried.status = txn.status();
      return tried;
    }
    tried.assumed = (*txn)->assumed();
    const int64_t rev = (*txn)->lane().head + 1;
    tried.status = (*txn)->Apply(Mutations({op}, {CollectionOf(op.key)}, rev), rev);
    if (tried.status.ok()) tried.status = (*txn)->Guard(Us(), rev, rev);
    if (tried.status.ok()) tried.status = (*txn)->Commit();
    return tried;
  }
};

TEST_F(EtcdMemoryTest, WritesOnTopOfItsOwnWithoutReading) {
  StartServer();
  auto backend = MustOpen();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  EXPECT_FALSE(Try(backend.get(), Create("/a/x", "1"), false).assumed);
  Tried tried = Try(backend.get(), Update("/a/x", "2"));
  EXPECT_TRUE(tried.assumed);
  EXPECT_EQ(tried.current.value.view(), "1");
  EXPECT_OK(tried.status);
  tried = Try(backend.get(), Create("/a/y", "1"));
  EXPECT_TRUE(tried.assumed && !tried.current.value.present());
  EXPECT_OK(tried.status);
  EXPECT_OK(Try(backend.get(), Delete("/a/x")).status);
  tried = Try(backend.get(), Create("/a/x", "3"));
  EXPECT_TRUE(tried.assumed);
  EXPECT_OK(tried.status);
  auto look = backend->OpenSnapshot();
  ASSERT_TRUE(look.ok());
  EXPECT_THAT(List(look->get(), All()),
              testing::ElementsAre("/a/x=3 mod 5 create 5", "/a/y=1 mod 3 create 3"));
  EXPECT_EQ(Print((*look)->lane()), "m/1/1 head 5 ver 6 floor 0");
}

// So that another server gets in between at times.
TEST_F(EtcdMemoryTest, ReadsNowAndThen) {
  StartServer();
  auto backend = MustOpen();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  for (int i = 0; i < 20; ++i) {
    const Tried tried = Try(backend.get(), Create("/a/" + std::to_string(i), "1"));
    EXPECT_OK(tried.status);
    EXPECT_EQ(tried.assumed, i % (etcd::kMostBelieved + 1) != etcd::kMostBelieved) << i;
  }
}

// Each thing that is remembered is compared: the lane, a row, that there is none.
TEST_F(EtcdMemoryTest, WhatIsNotSoAnyMoreIsBusy) {
  StartServer();
  auto backend = MustOpen();
  auto other = MustOpen();
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  ASSERT_OK(Write(backend.get(), {Create("/a/x", "1")}));
  ASSERT_OK(Write(other.get(), {Update("/a/x", "2")}));
  Tried tried = Try(backend.get(), Update("/a/x", "3"));
  EXPECT_TRUE(tried.assumed);
  EXPECT_CODE(tried.status, kBusy);
  // Others write: for a while it is read first.
  tried = Try(backend.get(), Update("/a/x", "3"));
  EXPECT_FALSE(tried.assumed);
  EXPECT_OK(tried.status);
}

// An object that this process has not written is taken to be absent.
TEST_F(EtcdMemoryTest, WhatIsThereAllTheSameIsBusy) {
  {
    StartServer();
    auto before = MustOpen();
    ASSERT_OK(Adopt(before.get(), Us(), 0));
    ASSERT_OK(Write(before.get(), {Create("/a/old", "1")}));
  }
  auto backend = MustOpen();
  ASSERT_OK(Write(backend.get(), {Create("/a/x", "1")}));
  Tried tried = Try(backend.get(), Create("/a/old", "2"));
  EXPECT_TRUE(tried.assumed);
  EXPECT_CODE(tried.status, kBusy);
  tried = Try(backend.get(), Update("/a/old", "2"));
  EXPECT_FALSE(tried.assumed) << "the lane is not known behind a failure";
  EXPECT_EQ(tried.current.value.view(), "1");
  EXPECT_OK(tried.status);
  EXPECT_TRUE(Try(backend.get(), Update("/a/old", "3")).assumed);
}

}  // namespace
}  // namespace storage::contract
