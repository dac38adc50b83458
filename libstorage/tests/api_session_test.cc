// Operations through the C ABI over a fake engine.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/api_harness.h"

namespace storage {
namespace {

TEST(SessionTest, PutGetConflictDelete) {
  Harness h;
  stg_completion put = h.Put("/registry/pods/a", "one", 0);
  ASSERT_EQ(put.code, STG_CODE_OK);
  EXPECT_EQ(put.revision, 2);
  EXPECT_EQ(put.slab, 0u);
  EXPECT_NE(put.op, 0u);

  stg_completion get = h.Get("/registry/pods/a");
  ASSERT_EQ(get.code, STG_CODE_OK);
  EXPECT_EQ(get.op, 0u) << "a fast read completes inline";
  ASSERT_EQ(get.rows_len, 1u);
  EXPECT_EQ(Text(get.rows[0].key), "/registry/pods/a");
  EXPECT_EQ(Text(get.rows[0].value), "one");
  EXPECT_EQ(get.rows[0].mod_revision, 2);
  h.Release(get);

  stg_completion exists = h.Put("/registry/pods/a", "two", 0);
  ASSERT_EQ(exists.code, STG_CODE_EXISTS);
  ASSERT_EQ(exists.rows_len, 1u);
  EXPECT_EQ(Text(exists.rows[0].key), "/registry/pods/a");
  EXPECT_EQ(Text(exists.rows[0].value), "one");
  h.Release(exists);
  stg_completion conflict = h.Put("/registry/pods/a", "two", 77);
  EXPECT_EQ(conflict.code, STG_CODE_CONFLICT);
  h.Release(conflict);

  stg_op remove = h.Op(STG_VERB_DELETE);
  remove.revision = 2;
  stg_completion removed = h.Do(remove, "/registry/pods/a");
  ASSERT_EQ(removed.code, STG_CODE_OK);
  ASSERT_EQ(removed.rows_len, 1u);
  EXPECT_EQ(Text(removed.rows[0].value), "one");
  h.Release(removed);
  stg_completion absent = h.Get("/registry/pods/a");
  EXPECT_EQ(absent.code, STG_CODE_NOT_FOUND);
  EXPECT_EQ(absent.revision, 3);
  EXPECT_EQ(absent.slab, 0u);
  EXPECT_EQ(h.outstanding(), 0);
}

TEST(SessionTest, QueueFlagAndSlowEnginesUseThePool) {
  Harness h;
  h.Put("a", "1");
  stg_op op = h.Op(STG_VERB_GET);
  op.flags = STG_OP_QUEUE;
  stg_completion queued = h.Do(op, "a");
  EXPECT_NE(queued.op, 0u);
  EXPECT_EQ(queued.code, STG_CODE_OK);
  h.Release(queued);
  h.fake->fast_get = false;
  stg_completion slow = h.Get("a");
  EXPECT_NE(slow.op, 0u);
  h.Release(slow);
}

TEST(SessionTest, ListCountRevisionAndErrors) {
  Harness h;
  for (char c = 'a'; c <= 'e'; ++c) h.Put(std::string(1, c), std::string(1, c));
  stg_op list = h.Op(STG_VERB_LIST);
  list.limit = 2;
  stg_completion page = h.Do(list, "b", "e");
  ASSERT_EQ(page.code, STG_CODE_OK);
  ASSERT_EQ(page.rows_len, 2u);
  EXPECT_EQ(Text(page.rows[1].key), "c");
  EXPECT_EQ(page.flags & STG_COMPLETION_MORE, STG_COMPLETION_MORE);
  EXPECT_EQ(page.count, -1);
  h.Release(page);
  stg_completion count = h.Do(h.Op(STG_VERB_COUNT), "b", "e");
  EXPECT_EQ(count.count, 3);
  EXPECT_EQ(h.Do(h.Op(STG_VERB_CURRENT_REVISION), "").revision, 6);
  stg_completion compact = h.Do(h.Op(STG_VERB_COMPACT), "");
  EXPECT_EQ(compact.code, STG_CODE_READ_ONLY);
  EXPECT_EQ(Text(compact.message), "no");
  EXPECT_EQ(Text(compact.backend), "fake");
  EXPECT_EQ(compact.driver_code, 7);
  h.Release(compact);
  stg_op future = h.Op(STG_VERB_GET);
  future.revision = 99;  // may wait: never inline
  stg_completion refused = h.Do(future, "a");
  EXPECT_EQ(refused.code, STG_CODE_FUTURE_REVISION);
  EXPECT_EQ(refused.revision, 6);
  h.Release(refused);
  EXPECT_EQ(h.outstanding(), 0);
}

TEST(SessionTest, BudgetCutsPagesAndNeverLosesARow) {
  Harness h(/*budget=*/64 << 10);
  for (int i = 0; i < 100; ++i) h.Put("k" + std::to_string(100 + i), std::string(5000, 'v'));
  std::string start = "k";
  int rows = 0;
  int pages = 0;
  bool more = true;
  while (more) {
    stg_completion page = h.Do(h.Op(STG_VERB_LIST), start, "");
    ASSERT_EQ(page.code, STG_CODE_OK) << Text(page.message);
    ASSERT_GT(page.rows_len, 0u);
    EXPECT_LE(h.engine->slabs().used(), 64 << 10);
    for (size_t i = 0; i < page.rows_len; ++i) {
      EXPECT_EQ(Text(page.rows[i].key), "k" + std::to_string(100 + rows++));
    }
    start = Text(page.rows[page.rows_len - 1].key) + '\0';
    more = (page.flags & STG_COMPLETION_MORE) != 0;
    h.Release(page);
    ++pages;
  }
  EXPECT_EQ(rows, 100);
  EXPECT_GT(pages, 5);
}

TEST(SessionTest, PagesEndAtFourMebibytes) {
  Harness h;
  for (int i = 0; i < 6; ++i) h.Put("k" + std::to_string(i), std::string(1 << 20, 'v'));
  stg_completion page = h.Do(h.Op(STG_VERB_LIST), "", "");
  EXPECT_EQ(page.rows_len, 3u);
  EXPECT_TRUE(page.flags & STG_COMPLETION_MORE);
  h.Release(page);
}

TEST(SessionTest, ExhaustedBudgetIsBusyAfterABoundedWait) {
  Harness h(/*budget=*/20000);
  h.Put("a", std::string(12000, 'v'));
  stg_completion first = h.Get("a");
  ASSERT_EQ(first.code, STG_CODE_OK);
  stg_op op = h.Op(STG_VERB_GET);
  op.timeout_ms = 100;
  stg_completion busy = h.Do(op, "a");
  EXPECT_EQ(busy.code, STG_CODE_BUSY);
  h.Release(busy);
  stg_completion later = {};
  const uint64_t id = h.Submit(h.Op(STG_VERB_GET), "a", "", &later);
  ASSERT_NE(id, 0u) << "no room: goes to the pool";
  h.Release(first);
  later = h.Wait(id);
  EXPECT_EQ(later.code, STG_CODE_OK);
  h.Release(later);
}

TEST(SessionTest, CancelQueuedRunningAndWrites) {
  Harness h;
  h.Put("a", "1");
  h.fake->CloseGate();
  h.fake->fast_get = false;
  stg_completion none;
  std::vector<uint64_t> ids;
  for (int i = 0; i < 50; ++i) ids.push_back(h.Submit(h.Op(STG_VERB_GET), "a", "", &none));
  // The last one cannot have started: the pool has four threads at most.
  stg_cancel(h.engine, ids.back());
  EXPECT_EQ(h.Wait(ids.back()).code, STG_CODE_CANCELLED);
  stg_cancel(h.engine, ids.back());  // its slot may be in use again
  const uint64_t again = h.Submit(h.Op(STG_VERB_GET), "a", "", &none);
  stg_cancel(h.engine, ids.back());
  stg_cancel(h.engine, ids.front());
  stg_op put = h.Op(STG_VERB_PUT);
  put.revision = -1;
  const uint64_t write = h.Submit(put, "b", "x", &none);
  stg_cancel(h.engine, write);
  h.fake->OpenGate();
  EXPECT_EQ(h.Wait(again).code, STG_CODE_OK);
  EXPECT_EQ(h.Wait(ids.front()).code, STG_CODE_CANCELLED);
  EXPECT_EQ(h.Wait(write).code, STG_CODE_CANCELLED);
  for (size_t i = 1; i + 1 < ids.size(); ++i) EXPECT_EQ(h.Wait(ids[i]).code, STG_CODE_OK);
  stg_cancel(h.engine, 0);
  stg_cancel(h.engine, ~uint64_t{0});
}

TEST(SessionTest, DeadlineOfWhatDidNotStart) {
  Harness h;
  h.fake->CloseGate();
  h.fake->fast_get = false;
  stg_completion none;
  std::vector<uint64_t> blockers;
  for (int i = 0; i < 8; ++i) blockers.push_back(h.Submit(h.Op(STG_VERB_GET), "a", "", &none));
  stg_op op = h.Op(STG_VERB_GET);
  op.timeout_ms = 1;
  const uint64_t late = h.Submit(op, "a", "", &none);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  h.fake->OpenGate();
  EXPECT_EQ(h.Wait(late).code, STG_CODE_DEADLINE);
  for (const uint64_t id : blockers) EXPECT_EQ(h.Wait(id).code, STG_CODE_NOT_FOUND);
}

// 64 gets of "a", more than run at a time: the rest waits, to run together.
std::vector<uint64_t> GroupsBehindTheGate(Harness* h) {
  h->fake->CloseGate();
  h->fake->fast_get = false;
  h->fake->gets_together = 100;
  stg_completion none;
  std::vector<uint64_t> ids;
  for (int i = 0; i < 64; ++i) ids.push_back(h->Submit(h->Op(STG_VERB_GET), "a", "", &none));
  return ids;
}

// Those of one group: each has its own answer, whatever becomes of the others.
TEST(SessionTest, GetsTogether) {
  // For all small ones (4 KiB each) and one big one.
  Harness h(/*budget=*/(64 * 4 + 48 + 32) << 10);
  h.Put("a", "1");
  h.Put("big", std::string(48 << 10, 'v'));
  const std::vector<uint64_t> ids = GroupsBehindTheGate(&h);
  stg_completion none;
  const uint64_t absent = h.Submit(h.Op(STG_VERB_GET), "b", "", &none);
  const uint64_t cancelled = h.Submit(h.Op(STG_VERB_GET), "a", "", &none);
  stg_op soon = h.Op(STG_VERB_GET);
  soon.timeout_ms = 1;
  const uint64_t late = h.Submit(soon, "a", "", &none);
  const uint64_t big = h.Submit(h.Op(STG_VERB_GET), "big", "", &none);
  const uint64_t without_room = h.Submit(h.Op(STG_VERB_GET), "big", "", &none);
  stg_cancel(h.engine, cancelled);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the deadline
  h.fake->OpenGate();
  for (const uint64_t id : ids) {
    const stg_completion done = h.Wait(id);
    ASSERT_EQ(done.code, STG_CODE_OK);
    EXPECT_EQ(Text(done.rows[0].value), "1");
    EXPECT_EQ(done.revision, 3);
    h.Release(done);
  }
  EXPECT_EQ(h.Wait(absent).code, STG_CODE_NOT_FOUND);
  for (const auto& [id, code] :
       {std::pair(cancelled, STG_CODE_CANCELLED), std::pair(late, STG_CODE_DEADLINE)}) {
    const stg_completion done = h.Wait(id);
    EXPECT_EQ(done.code, code);
    h.Release(done);
  }
  const stg_completion first = h.Wait(big);
  EXPECT_EQ(first.code, STG_CODE_OK);
  h.Release(first);  // the other one has waited for this
  const stg_completion second = h.Wait(without_room);
  EXPECT_EQ(second.code, STG_CODE_OK) << Text(second.message);
  h.Release(second);
  EXPECT_GT(h.fake->groups, 0);
  EXPECT_EQ(h.outstanding(), 0);
}

TEST(SessionTest, WhatAGroupThrowsIsToldToAll) {
  Harness h;
  const std::vector<uint64_t> ids = GroupsBehindTheGate(&h);
  h.fake->throws = true;
  h.fake->OpenGate();
  int failed = 0;
  for (const uint64_t id : ids) {
    const stg_completion done = h.Wait(id);
    if (done.code == STG_CODE_INTERNAL) ++failed;
    h.Release(done);
  }
  EXPECT_GT(failed, 40) << "all but those that ran already";
  EXPECT_EQ(h.outstanding(), 0);
}

TEST(SessionTest, ListsDoNotStarvePointReads) {
  Harness h;
  h.fake->CloseGate();
  h.fake->fast_get = false;
  stg_completion none;
  std::vector<uint64_t> lists;
  for (int i = 0; i < 20; ++i) lists.push_back(h.Submit(h.Op(STG_VERB_LIST), "", "", &none));
  // Does not touch the gate: needs a free thread only.
  EXPECT_EQ(h.Do(h.Op(STG_VERB_CURRENT_REVISION), "").code, STG_CODE_OK);
  h.fake->OpenGate();
  for (const uint64_t id : lists) EXPECT_EQ(h.Wait(id).code, STG_CODE_OK);
}

TEST(SessionTest, ShutdownCompletesEverything) {
  Harness h;
  h.Put("a", "1");
  stg_completion held = h.Get("a");
  h.fake->CloseGate();
  h.fake->fast_get = false;
  stg_completion none;
  std::vector<uint64_t> reads;
  for (int i = 0; i < 20; ++i) reads.push_back(h.Submit(h.Op(STG_VERB_LIST), "", "", &none));
  stg_op put = h.Op(STG_VERB_PUT);
  put.revision = -1;
  const uint64_t write = h.Submit(put, "b", "x", &none);
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    h.fake->OpenGate();
  });
  EXPECT_EQ(stg_engine_shutdown(h.engine, nullptr), STG_CODE_OK);
  EXPECT_EQ(stg_engine_shutdown(h.engine, nullptr), STG_CODE_OK);
  opener.join();
  h.Drain();
  EXPECT_EQ(h.Wait(write).code, STG_CODE_OK);
  for (const uint64_t id : reads) EXPECT_EQ(h.Wait(id).code, STG_CODE_CANCELLED);
  EXPECT_EQ(h.Get("a").code, STG_CODE_CANCELLED);
  EXPECT_EQ(Text(held.rows[0].value), "1") << "slabs outlive the shutdown";
  h.Close();
}

TEST(SessionTest, AnEngineThatForgetsWritesIsToldAsUnknown) {
  Harness h;
  h.fake->forget_writes = true;
  stg_completion none;
  const uint64_t id = h.Submit(h.Op(STG_VERB_PUT), "a", "x", &none);
  stg_engine_shutdown(h.engine, nullptr);
  EXPECT_EQ(h.Wait(id).code, STG_CODE_OUTCOME_UNKNOWN);
}

TEST(SessionTest, ExceptionsOfTheEngineBecomeInternal) {
  Harness h;
  h.fake->throws = true;
  for (const int32_t verb : {STG_VERB_GET, STG_VERB_LIST, STG_VERB_COUNT, STG_VERB_PUT,
                             STG_VERB_DELETE, STG_VERB_CURRENT_REVISION}) {
    stg_completion done = h.Do(h.Op(verb), "a", "b");
    EXPECT_EQ(done.code, STG_CODE_INTERNAL) << verb;
    EXPECT_NE(Text(done.message).find("thrown by the fake"), std::string::npos) << verb;
    h.Release(done);
  }
  stg_error error;
  EXPECT_EQ(stg_engine_check(h.engine, "engine", &error), STG_CODE_INTERNAL);
  stg_watch* watch = nullptr;
  EXPECT_EQ(stg_watch_open(h.engine, h.resource, 1, "", 0, "", 0, 0, &watch, &error),
            STG_CODE_INTERNAL);
  EXPECT_EQ(watch, nullptr);
  EXPECT_EQ(h.outstanding(), 0);
}

TEST(SessionTest, ChecksAreBoundedAndSeparate) {
  Harness h;
  stg_error error;
  EXPECT_EQ(stg_engine_check(h.engine, "engine", &error), STG_CODE_OK);
  EXPECT_EQ(stg_engine_check(h.engine, "metadata", &error), STG_CODE_OK);
  EXPECT_EQ(stg_engine_check(h.engine, "one", &error), STG_CODE_OK);
  EXPECT_EQ(stg_engine_check(h.engine, "two", &error), STG_CODE_UNAVAILABLE);
  EXPECT_STREQ(error.backend, "two");
  EXPECT_EQ(error.driver_code, 5);
  h.fake->CloseGate();
  const auto start = std::chrono::steady_clock::now();
  std::thread other(
      [&] { EXPECT_EQ(stg_engine_check(h.engine, "one", nullptr), STG_CODE_UNAVAILABLE); });
  EXPECT_EQ(stg_engine_check(h.engine, "one", &error), STG_CODE_UNAVAILABLE);
  EXPECT_EQ(stg_engine_check(h.engine, "metadata", nullptr), STG_CODE_OK)
      << "not behind the hanging one";
  other.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  h.fake->OpenGate();
}

TEST(SessionTest, StatsAreMerged) {
  Harness h;
  h.Put("a", "1");
  stg_completion held = h.Get("a");
  stg_bytes json;
  uint64_t slab = 0;
  ASSERT_EQ(stg_engine_info(h.engine, "stats", &json, &slab), STG_CODE_OK);
  const std::string text = Text(json);
  EXPECT_EQ(
      text.rfind(
          "{\"fake\":1,\"operations\":{\"in_flight\":0,\"inline\":1,\"queued\":1},\"buffers\":{",
          0),
      0u)
      << text;
  EXPECT_NE(text.find("\"get\":{\"bytes\":4096,\"shared_bytes\":0,\"count\":1}"), std::string::npos)
      << text;
  stg_slab_release(h.engine, &slab, 1);
  ASSERT_EQ(stg_engine_info(h.engine, "backends", &json, &slab), STG_CODE_OK);
  EXPECT_EQ(Text(json), "[\"one\",\"two\"]");
  stg_slab_release(h.engine, &slab, 1);
  EXPECT_EQ(stg_engine_info(h.engine, "nonsense", &json, &slab), STG_CODE_INVALID);
  h.Release(held);
}

TEST(SessionTest, LogsAreBoundedAndDropsAreTold) {
  Harness h;
  for (int i = 0; i < 300; ++i)
    h.engine->log()->Log(LogLevel::kWarning, "message " + std::to_string(i));
  stg_completion log;
  for (int i = 0; i < 256; ++i) {
    ASSERT_TRUE(h.WaitOther(&log));
    EXPECT_EQ(log.kind, STG_COMPLETION_LOG);
    EXPECT_EQ(log.flags, 1u);
    EXPECT_EQ(Text(log.message), "message " + std::to_string(i));
    h.Release(log);
  }
  h.engine->log()->Log(LogLevel::kError, "last");
  ASSERT_TRUE(h.WaitOther(&log));
  EXPECT_EQ(Text(log.message), "44 log messages were dropped");
  h.Release(log);
  ASSERT_TRUE(h.WaitOther(&log));
  EXPECT_EQ(Text(log.message), "last");
  EXPECT_EQ(log.flags, 2u);
  h.Release(log);
  EXPECT_EQ(h.outstanding(), 0);
}

}  // namespace
}  // namespace storage
