// Exactly one completion for each operation: 32 threads with random verbs and
// cancels, one drainer, a shutdown in the middle. Meant for TSan.
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "tests/api_harness.h"

namespace storage {
namespace {

constexpr int kThreads = 32;

struct Ledger {
  std::mutex mu;
  std::unordered_map<uint64_t, int> completions;  // by user
  std::unordered_map<uint64_t, int> submitted;
  std::atomic<uint64_t> inline_done{0};
};

void CallerBody(Harness* h, Ledger* ledger, uint64_t seed, const std::atomic<bool>* stop) {
  std::mt19937_64 random(seed);
  std::vector<uint64_t> mine;
  std::vector<uint64_t> users;
  uint64_t next = seed << 32;
  while (!*stop) {
    stg_op op = h->Op(static_cast<int32_t>(1 + random() % 7));
    op.user = ++next;
    op.flags = random() % 2 == 0 ? STG_OP_QUEUE : 0;
    op.revision = op.verb == STG_VERB_PUT || op.verb == STG_VERB_DELETE
                      ? static_cast<int64_t>(random() % 3) - 1
                      : 0;
    op.timeout_ms = random() % 10 == 0 ? 1 : 0;
    const std::string key = "k" + std::to_string(random() % 20);
    stg_completion done = {};
    const uint64_t id = h->Submit(op, key, std::string(random() % 6000, 'v'), &done);
    if (id == 0) {
      EXPECT_EQ(done.user, op.user);
      stg_slab_release(h->engine, &done.slab, 1);
      ledger->inline_done.fetch_add(1);
    } else {
      mine.push_back(id);
      users.push_back(op.user);
    }
    // Cancels hit operations of every age, most of them long gone.
    if (random() % 3 == 0 && !mine.empty()) {
      stg_cancel(h->engine, mine[mine.size() - 1 - random() % std::min<size_t>(mine.size(), 50)]);
    }
    if (random() % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  std::lock_guard<std::mutex> lock(ledger->mu);
  for (const uint64_t user : users) ++ledger->submitted[user];
}

size_t DrainInto(Harness* h, Ledger* ledger) {
  stg_completion out[64];
  const size_t count = stg_drain(h->engine, out, 64);
  std::lock_guard<std::mutex> lock(ledger->mu);
  for (size_t i = 0; i < count; ++i) {
    EXPECT_EQ(out[i].kind, STG_COMPLETION_OP);
    EXPECT_EQ(++ledger->completions[out[i].user], 1);
    stg_slab_release(h->engine, &out[i].slab, 1);
  }
  return count;
}

TEST(ApiStressTest, ExactlyOneCompletionEachAlsoOverShutdown) {
  for (uint64_t round = 0; round < 3; ++round) {
    Harness h(/*budget=*/1 << 20);
    Ledger ledger;
    std::atomic<bool> stop{false};
    std::atomic<bool> drained{false};
    std::vector<std::thread> callers;
    for (uint64_t i = 0; i < kThreads; ++i) {
      callers.emplace_back(CallerBody, &h, &ledger, round * 100 + i + 1, &stop);
    }
    std::thread drainer([&] {
      while (!drained) {
        if (DrainInto(&h, &ledger) > 0) continue;
        pollfd fd = {stg_engine_event_fd(h.engine), POLLIN, 0};
        poll(&fd, 1, 10);
      }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    EXPECT_EQ(stg_engine_shutdown(h.engine, nullptr), STG_CODE_OK);  // callers go on
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop = true;
    for (std::thread& caller : callers) caller.join();
    drained = true;
    drainer.join();
    while (DrainInto(&h, &ledger) > 0) {
    }
    EXPECT_EQ(ledger.submitted.size(), ledger.completions.size());
    for (const auto& [user, count] : ledger.submitted) {
      ASSERT_EQ(count, 1);
      ASSERT_EQ(ledger.completions[user], 1) << user;
    }
    EXPECT_GT(ledger.submitted.size(), 100u);
    EXPECT_EQ(h.outstanding(), 0);
    EXPECT_EQ(h.engine->slabs().used(), 0);
  }
}

}  // namespace
}  // namespace storage
