// Slabs: budget, gauges, ids, poison.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "src/api/slab.h"

#if defined(__SANITIZE_ADDRESS__)
#define STG_UNDER_ASAN 1
#endif

namespace storage {
namespace api {
namespace {

std::string Text(stg_bytes bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data), bytes.size);
}

void ReleaseOne(SlabPool* pool, uint64_t id) { pool->Release(&id, 1); }

TEST(SlabTest, CountsByPurposeAndGivesBack) {
  SlabPool pool(1 << 20);
  Slab* slab = pool.New(Purpose::kGet);
  EXPECT_NE(slab->id(), 0u);
  stg_bytes key = slab->Copy("key");
  stg_bytes large = slab->Copy(std::string(100000, 'v'));
  stg_bytes empty = slab->Copy("");
  EXPECT_EQ(Text(key), "key");
  EXPECT_EQ(large.size, 100000u);
  EXPECT_NE(empty.data, nullptr);
  EXPECT_EQ(pool.count(Purpose::kGet), 1);
  EXPECT_GE(pool.used(), 100000);
  EXPECT_EQ(pool.used(), static_cast<int64_t>(slab->charged()));
  EXPECT_NE(pool.StatsJson().find("\"get\":{\"bytes\":" + std::to_string(pool.used())),
            std::string::npos)
      << pool.StatsJson();
  ReleaseOne(&pool, slab->id());
  EXPECT_EQ(pool.outstanding(), 0);
  EXPECT_EQ(pool.used(), 0);
}

TEST(SlabTest, ReleasingTwiceOrNonsenseTouchesNothing) {
  SlabPool pool(1 << 20);
  const uint64_t first = pool.New(Purpose::kInfo)->id();
  ReleaseOne(&pool, first);
  std::vector<uint64_t> others;
  for (int i = 0; i < 300; ++i) others.push_back(pool.New(Purpose::kInfo)->id());
  const uint64_t nonsense[] = {first, 0, 0xffffffffffffffff, uint64_t{1} << 32, 12345};
  pool.Release(nonsense, 5);
  EXPECT_EQ(pool.count(Purpose::kInfo), 300);
  EXPECT_NE(pool.StatsJson().find("\"bad_releases\":4"), std::string::npos) << pool.StatsJson();
  pool.Release(others.data(), others.size());
  EXPECT_EQ(pool.outstanding(), 0);
}

TEST(SlabTest, BudgetRefusesAndForces) {
  SlabPool pool(10000);
  Slab* slab = pool.New(Purpose::kList);
  EXPECT_NE(slab->TryAllocate(9000), nullptr);
  EXPECT_EQ(slab->TryAllocate(2000), nullptr);
  // The doubled chunk does not fit, the exact one does.
  EXPECT_NE(slab->TryAllocate(512), nullptr);
  EXPECT_LE(pool.used(), 10000);
  EXPECT_NE(slab->Allocate(2000), nullptr);
  EXPECT_GT(pool.used(), 10000);
  ReleaseOne(&pool, slab->id());
  EXPECT_EQ(pool.used(), 0);
}

TEST(SlabTest, WaitersForRoomWakeOnRelease) {
  SlabPool pool(10000);
  Slab* slab = pool.New(Purpose::kList);
  ASSERT_NE(slab->TryAllocate(9000), nullptr);
  const auto now = std::chrono::steady_clock::now();
  EXPECT_FALSE(pool.WaitForRoom(5000, now + std::chrono::milliseconds(20)));
  std::thread releaser([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ReleaseOne(&pool, slab->id());
  });
  EXPECT_TRUE(pool.WaitForRoom(5000, now + std::chrono::seconds(30)));
  releaser.join();
}

TEST(SlabTest, SharedBytesAreReportedNotCharged) {
  SlabPool pool(10000);
  auto event = std::make_shared<Event>();
  event->value = Blob(std::string(5000, 'v'));
  Slab* shared = pool.New(Purpose::kEvent);
  shared->Hold(event, /*exclusive=*/false);
  EXPECT_EQ(pool.used(), 0);
  EXPECT_NE(pool.StatsJson().find("\"event\":{\"bytes\":0,\"shared_bytes\":5000"),
            std::string::npos);
  Slab* alone = pool.New(Purpose::kConflict);
  alone->Hold(Blob(std::string(3000, 'v')), /*exclusive=*/true);
  EXPECT_EQ(pool.used(), 3000);
  const uint64_t ids[] = {shared->id(), alone->id()};
  pool.Release(ids, 2);
  EXPECT_EQ(pool.used(), 0);
  EXPECT_EQ(event.use_count(), 1);
}

TEST(SlabTest, RowsStayWhileTheyGrow) {
  SlabPool pool(1 << 20);
  Slab* slab = pool.New(Purpose::kList);
  for (int i = 0; i < 1000; ++i) {
    stg_row row = {};
    row.mod_revision = i;
    row.key = slab->Copy("k" + std::to_string(i));
    ASSERT_TRUE(slab->TryAddRow(row));
  }
  ASSERT_EQ(slab->rows_len(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(Text(slab->rows()[i].key), "k" + std::to_string(i));
  ReleaseOne(&pool, slab->id());
  EXPECT_EQ(pool.used(), 0);
}

TEST(SlabTest, ReleasedMemoryIsPoisoned) {
  SlabPool pool(1 << 20, /*poison=*/true);
  Slab* slab = pool.New(Purpose::kEvent);
  const Blob held(std::string_view("held by the engine"));
  stg_bytes small = slab->Copy("small");
  stg_bytes large = slab->Copy(std::string(50000, 'l'));
  stg_bytes view = slab->View(held.view());
  const uint64_t id = slab->id();
#if defined(STG_UNDER_ASAN)
  EXPECT_DEATH(
      {
        pool.Release(&id, 1);
        EXPECT_EQ(large.data[17], 0);
      },
      "use-after");
  EXPECT_DEATH(
      {
        pool.Release(&id, 1);
        EXPECT_EQ(view.data[3], 0);
      },
      "use-after");
  (void)small;
#else
  pool.Release(&id, 1);
  for (const stg_bytes& bytes : {small, large, view}) {
    EXPECT_EQ(bytes.data[0], 0xdd);
    EXPECT_EQ(bytes.data[bytes.size - 1], 0xdd);
  }
#endif
}

TEST(SlabTest, ManyThreadsTakeAndRelease) {
  SlabPool pool(8 << 20);
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&pool, t] {
      std::vector<uint64_t> ids;
      for (int i = 0; i < 3000; ++i) {
        Slab* slab = pool.New(static_cast<Purpose>((t + i) % kPurposes));
        std::memset(slab->Allocate(static_cast<size_t>(i % 9000)), t,
                    static_cast<size_t>(i % 9000));
        ids.push_back(slab->id());
        if (ids.size() > 100) {
          pool.Release(ids.data(), ids.size());
          ids.clear();
        }
      }
      pool.Release(ids.data(), ids.size());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool.outstanding(), 0);
  EXPECT_EQ(pool.used(), 0);
}

}  // namespace
}  // namespace api
}  // namespace storage
