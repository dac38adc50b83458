// A hub on memory backends without an engine: the test is the lane, the
// sequencer and the catch-up thread, so that every order of things can be had.
#ifndef LIBSTORAGE_TESTS_WATCH_HUB_FIXTURE_H_
#define LIBSTORAGE_TESTS_WATCH_HUB_FIXTURE_H_

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "src/backend/memory/memory.h"
#include "src/watch/hub.h"
#include "tests/engine/hooks.h"

namespace storage {

inline constexpr ResourceId kPodsId = 0;
inline constexpr ResourceId kNodesId = 1;
inline const Range kPods{"/pods/", "/pods0"};
inline const Range kNodes{"/nodes/", "/nodes0"};

class HubFixture : public ::testing::Test {
 protected:
  void Open(int lanes = 1, int64_t ring_bytes = 1 << 20) {
    std::vector<Hub::Source> sources;
    for (int i = 0; i < lanes; ++i) {
      backends_.push_back(std::make_unique<HookedBackend>(
          NewMemoryBackend(std::string(1, static_cast<char>('a' + i))), &hooks_));
      auto txn = *backends_.back()->BeginLane();
      ASSERT_TRUE(txn->Adopt(owner_, 0).ok());
      ASSERT_TRUE(txn->Commit().ok());
      sources.push_back({backends_.back().get(), 0});
      complete_.push_back(0);
      floor_.push_back(0);
    }
    HubEnv env;
    env.complete = [this](int lane) { return complete_[lane]; };
    env.complete_alone = env.complete;
    env.rev = [this] {
      ++rev_reads_;
      return rev_;
    };
    env.floor = [this](int lane) { return floor_[lane]; };
    env.run = [this](std::function<void()> task) { tasks_.push_back(std::move(task)); };
    hub_ = std::make_unique<Hub>(std::move(env), std::move(sources), ring_bytes);
  }

  // Commits one write of a key in the database; nobody is told.
  EventPtr Commit(int lane, int64_t rev, const std::string& key, const std::string& value) {
    auto txn = *backends_[lane]->BeginLane();
    std::vector<Current> before(1);
    const std::vector<std::string_view> keys{key};
    EXPECT_TRUE(txn->Read(keys, absl::MakeSpan(before)).ok());
    Mutation mutation;
    mutation.kind = before[0].meta.mod_rev == 0 ? ChangeKind::kCreate : ChangeKind::kUpdate;
    mutation.collection = std::string_view(key).substr(0, key.find('/', 1) + 1);
    mutation.key = key;
    mutation.value = value;
    mutation.rev = rev;
    EXPECT_TRUE(txn->Apply({mutation}, rev).ok());
    EXPECT_TRUE(txn->Guard(owner_, rev, rev).ok());
    EXPECT_TRUE(txn->Commit().ok());
    auto event = std::make_shared<Event>();
    event->rev = rev;
    event->kind = mutation.kind;
    event->resource = key.starts_with("/pods/") ? kPodsId : kNodesId;
    event->key = key;
    event->value = Blob(value);
    event->prev = before[0].value;
    return event;
  }
  // As a lane publishes: every lane without a batch in flight is complete.
  void Publish(int lane, int64_t prev_head, const std::vector<EventPtr>& events, int64_t last) {
    hub_->Publish(lane, prev_head, events, last, [&] { Decide(lane, last); });
  }
  void Decide(int lane, int64_t last) {
    rev_ = std::max(rev_, last);
    complete_[lane] = rev_;
  }
  void Write(int lane, int64_t rev, const std::string& key, const std::string& value = "v") {
    const int64_t prev_head = (*backends_[lane]->OpenSnapshot())->lane().head;
    Publish(lane, prev_head, {Commit(lane, rev, key, value)}, rev);
  }
  void Compact(int lane, int64_t floor) {
    auto txn = *backends_[lane]->BeginLane();
    ASSERT_TRUE(txn->RaiseFloor(owner_, floor).ok());
    ASSERT_TRUE(txn->Commit().ok());
    txn.reset();
    ASSERT_TRUE(backends_[lane]->DeleteHistory(1000).ok());
    floor_[lane] = floor;
  }
  std::unique_ptr<Watch> Start(ResourceId resource, const Range& range, std::vector<int> lanes,
                               int64_t after) {
    auto watch = hub_->Start(resource, range, std::move(lanes), after, [this] { ++woken_; });
    EXPECT_TRUE(watch.ok()) << watch.status();
    return watch.ok() ? *std::move(watch) : nullptr;
  }
  void RunTasks() {
    while (!tasks_.empty()) {
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }
  // Revisions up to where the watch waits; "p" marks are in progress_, the end in end_.
  std::vector<int64_t> Drain(Watch* watch, int64_t max_events = 100) {
    std::vector<int64_t> revs;
    for (int turns = 0; turns < 5000; ++turns) {
      WatchBatch batch = watch->Next(max_events, 1 << 20);
      for (const EventPtr& event : batch.events) revs.push_back(event->rev);
      if (batch.progress > 0) progress_.push_back(batch.progress);
      end_ = batch.end;
      if (!batch.end.ok()) return revs;
      if (tasks_.empty() && !batch.more) return revs;
      RunTasks();
    }
    ADD_FAILURE() << "the watch never comes to rest";
    return revs;
  }

  Hooks hooks_;
  const LaneOwner owner_{"m", 1, 1};
  std::vector<std::unique_ptr<Backend>> backends_;
  std::vector<int64_t> complete_, floor_;
  int64_t rev_ = 0;
  int rev_reads_ = 0;
  int woken_ = 0;
  std::deque<std::function<void()>> tasks_;
  std::vector<int64_t> progress_;
  absl::Status end_;
  std::unique_ptr<Hub> hub_;
};

using Revs = std::vector<int64_t>;

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_WATCH_HUB_FIXTURE_H_
