// Watches through the C ABI over a fake engine.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/api_harness.h"

namespace storage {
namespace {

constexpr uint64_t kUser = 0xfeed;

stg_watch* OpenWatch(Harness* h) {
  stg_watch* watch = nullptr;
  EXPECT_EQ(stg_watch_open(h->engine, h->resource, kUser, "/", 1, "", 0, 0, &watch, nullptr),
            STG_CODE_OK);
  return watch;
}

TEST(ApiWatchTest, ReadyThenEventsThenIdle) {
  Harness h;
  stg_watch* watch = OpenWatch(&h);
  stg_watch_batch batch;
  stg_watch_read(watch, 0, 0, &batch);
  EXPECT_EQ(batch.code, STG_CODE_OK);
  EXPECT_EQ(batch.events_len, 0u);
  EXPECT_EQ(batch.slab, 0u);
  h.Put("/a", "one");
  h.Put("/a", "");
  stg_op remove = h.Op(STG_VERB_DELETE);
  remove.revision = -1;
  h.Release(h.Do(remove, "/a"));

  stg_completion ready;
  ASSERT_TRUE(h.WaitOther(&ready));
  EXPECT_EQ(ready.kind, STG_COMPLETION_WATCH_READY);
  EXPECT_EQ(ready.user, kUser);
  EXPECT_EQ(h.others(), 0u) << "one until the next read";
  stg_watch_read(watch, 0, 0, &batch);
  ASSERT_EQ(batch.events_len, 3u);
  EXPECT_EQ(batch.flags, 0u) << "read to the end in one call";
  EXPECT_EQ(batch.events[0].kind, STG_EVENT_CREATE);
  EXPECT_EQ(batch.events[0].revision, 2);
  EXPECT_EQ(Text(batch.events[0].key), "/a");
  EXPECT_EQ(Text(batch.events[0].value), "one");
  EXPECT_EQ(batch.events[0].prev.data, nullptr);
  EXPECT_EQ(batch.events[1].kind, STG_EVENT_UPDATE);
  EXPECT_EQ(batch.events[1].value.size, 0u);
  EXPECT_NE(batch.events[1].value.data, nullptr) << "empty is not absent";
  EXPECT_EQ(Text(batch.events[1].prev), "one");
  EXPECT_EQ(batch.events[2].kind, STG_EVENT_DELETE);
  EXPECT_EQ(batch.events[2].value.data, nullptr);
  stg_slab_release(h.engine, &batch.slab, 1);
  h.Drain();
  EXPECT_EQ(h.others(), 0u);
  stg_watch_close(watch);
  EXPECT_EQ(h.outstanding(), 0);
}

TEST(ApiWatchTest, ProgressComesAfterEventsAndEndsThePage) {
  Harness h;
  stg_watch* watch = OpenWatch(&h);
  h.Put("/a", "one");
  stg_watch_request_progress(watch);
  stg_watch_batch batch;
  stg_watch_read(watch, 0, 0, &batch);
  ASSERT_EQ(batch.events_len, 1u);
  EXPECT_EQ(batch.progress, 2);
  EXPECT_EQ(batch.flags, STG_WATCH_MORE);
  stg_slab_release(h.engine, &batch.slab, 1);
  stg_watch_read(watch, 0, 0, &batch);
  EXPECT_EQ(batch.flags, 0u);
  EXPECT_EQ(batch.events_len, 0u);
  EXPECT_EQ(batch.progress, 0);
  stg_watch_close(watch);
}

TEST(ApiWatchTest, LimitsOfAPage) {
  Harness h;
  stg_watch* watch = OpenWatch(&h);
  for (int i = 0; i < 10; ++i) h.Put("/k", std::string(1000, 'v'));
  stg_watch_batch batch;
  stg_watch_read(watch, 3, 0, &batch);
  EXPECT_EQ(batch.events_len, 3u);
  EXPECT_EQ(batch.flags, STG_WATCH_MORE);
  stg_slab_release(h.engine, &batch.slab, 1);
  stg_watch_read(watch, 0, 1, &batch);
  EXPECT_EQ(batch.events_len, 1u) << "at least one";
  stg_slab_release(h.engine, &batch.slab, 1);
  stg_watch_read(watch, 0, 0, &batch);
  EXPECT_EQ(batch.events_len, 6u);
  EXPECT_EQ(batch.events[5].revision, 11);
  stg_slab_release(h.engine, &batch.slab, 1);
  stg_watch_close(watch);
}

TEST(ApiWatchTest, EventsGoOnWithoutBudget) {
  Harness h(/*budget=*/16 << 10);
  stg_watch* watch = OpenWatch(&h);
  for (int i = 0; i < 20; ++i) h.Put("/k", std::string(10000, 'v'));
  std::vector<uint64_t> slabs;
  int64_t revision = 1;
  bool more = true;
  while (more) {
    stg_watch_batch batch;
    stg_watch_read(watch, 0, 0, &batch);
    ASSERT_EQ(batch.code, STG_CODE_OK);
    for (size_t i = 0; i < batch.events_len; ++i) EXPECT_EQ(batch.events[i].revision, ++revision);
    slabs.push_back(batch.slab);
    more = (batch.flags & STG_WATCH_MORE) != 0;
  }
  EXPECT_EQ(revision, 21);
  stg_slab_release(h.engine, slabs.data(), slabs.size());
  stg_watch_close(watch);
  EXPECT_EQ(h.engine->slabs().used(), 0);
}

TEST(ApiWatchTest, EndsAreToldAfterEventsAndAgain) {
  Harness h;
  stg_watch* watch = OpenWatch(&h);
  h.Put("/a", "one");
  stg_engine_shutdown(h.engine, nullptr);
  stg_watch_batch batch;
  stg_watch_read(watch, 0, 0, &batch);
  EXPECT_EQ(batch.code, STG_CODE_OK);
  EXPECT_EQ(batch.events_len, 1u);
  EXPECT_EQ(batch.flags, STG_WATCH_MORE);
  stg_slab_release(h.engine, &batch.slab, 1);
  for (int i = 0; i < 2; ++i) {
    stg_watch_read(watch, 0, 0, &batch);
    EXPECT_EQ(batch.code, STG_CODE_CANCELLED);
    EXPECT_EQ(Text(batch.message), "the engine closed");
    EXPECT_EQ(Text(batch.backend), "fake");
    EXPECT_EQ(batch.driver_code, 3);
    stg_slab_release(h.engine, &batch.slab, 1);
  }
  stg_watch_close(watch);
  EXPECT_EQ(h.outstanding(), 0);
}

TEST(ApiWatchTest, OpenErrors) {
  Harness h;
  stg_watch* watch = nullptr;
  stg_error error;
  EXPECT_EQ(stg_watch_open(h.engine, h.resource, 1, "", 0, "", 0, 666, &watch, &error),
            STG_CODE_COMPACTED);
  EXPECT_STREQ(error.backend, "fake");
  EXPECT_EQ(stg_watch_open(h.engine, 99, 1, "", 0, "", 0, 0, &watch, &error), STG_CODE_INVALID);
  EXPECT_EQ(stg_watch_open(h.engine, h.resource, 1, "", 0, "", 0, -1, &watch, &error),
            STG_CODE_INVALID);
  EXPECT_EQ(watch, nullptr);
}

TEST(ApiWatchTest, LeftOpenWatchesGoWithTheEngine) {
  Harness h;
  OpenWatch(&h);
  h.Put("/a", "one");
  h.Close();
}

// Writers, many watches that come and go, and a consumer driven by READY alone:
// every watch that stays sees every revision in order.
TEST(ApiWatchTest, UnderLoad) {
  constexpr int kWatches = 8;
  constexpr int kWrites = 2000;
  Harness h;
  std::vector<stg_watch*> watches;
  std::vector<int64_t> seen(kWatches, 1);
  for (uint64_t i = 0; i < kWatches; ++i) {
    stg_watch* watch = nullptr;
    ASSERT_EQ(stg_watch_open(h.engine, h.resource, i, "", 0, "", 0, 0, &watch, nullptr),
              STG_CODE_OK);
    watches.push_back(watch);
  }
  std::atomic<bool> stop{false};
  std::thread churn([&] {
    while (!stop) {
      stg_watch* watch = nullptr;
      ASSERT_EQ(stg_watch_open(h.engine, h.resource, kUser, "", 0, "", 0, 0, &watch, nullptr),
                STG_CODE_OK);
      stg_watch_batch batch;
      stg_watch_read(watch, 1, 0, &batch);
      stg_slab_release(h.engine, &batch.slab, 1);
      stg_watch_close(watch);
    }
  });
  std::thread writer([&] {
    stg_op op = h.Op(STG_VERB_PUT);
    op.revision = -1;
    stg_completion none;
    for (int i = 0; i < kWrites; ++i) ASSERT_NE(h.Submit(op, "/k", std::to_string(i), &none), 0u);
  });
  const auto read = [&](uint64_t i) {
    stg_watch_batch batch;
    do {
      stg_watch_read(watches[i], 7, 0, &batch);
      ASSERT_EQ(batch.code, STG_CODE_OK);
      for (size_t e = 0; e < batch.events_len; ++e) ASSERT_EQ(batch.events[e].revision, ++seen[i]);
      stg_slab_release(h.engine, &batch.slab, 1);
    } while (batch.flags & STG_WATCH_MORE);
  };
  for (uint64_t i = 0; i < kWatches; ++i) read(i);
  for (bool done = false; !done;) {
    stg_completion other;
    ASSERT_TRUE(h.WaitOther(&other)) << "a READY was lost";
    if (other.user != kUser) read(other.user);
    done = true;
    for (const int64_t revision : seen) done = done && revision == kWrites + 1;
  }
  stop = true;
  churn.join();
  writer.join();
  for (stg_watch* watch : watches) stg_watch_close(watch);
  EXPECT_EQ(h.engine->slabs().count(api::Purpose::kEvent), 0);
}

}  // namespace
}  // namespace storage
