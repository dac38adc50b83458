// Watches of the hub: order, gaps, floors, progress. Law: no event is lost,
// repeated or reordered; progress never overtakes an event.
#include "absl/strings/str_cat.h"
#include "tests/watch/hub_fixture.h"

namespace storage {
namespace {

class WatchHub : public HubFixture {};

TEST_F(WatchHub, EventsAreInTheRingBeforeTheRevisionIsDecided) {
  Open();
  auto watch = Start(kPodsId, kPods, {0}, 0);
  Drain(watch.get());
  const EventPtr event = Commit(0, 1, "/pods/x", "v");
  Revs seen;
  hub_->Publish(0, 0, {event}, 1, [&] {
    Decide(0, 1);
    seen = Drain(watch.get());  // at the earliest moment
  });
  EXPECT_EQ(seen, Revs{1});
}

TEST_F(WatchHub, IsWokenOnceForItsOwnKeysOnly) {
  Open();
  auto pods = Start(kPodsId, {"/pods/a", "/pods/b"}, {0}, 0);
  Drain(pods.get());
  woken_ = 0;
  Write(0, 1, "/nodes/a");
  Write(0, 2, "/pods/c");
  EXPECT_EQ(woken_, 0);
  Write(0, 3, "/pods/a1");
  Write(0, 4, "/pods/a2");
  EXPECT_EQ(woken_, 1) << "it is awake";
  EXPECT_EQ(Drain(pods.get()), (Revs{3, 4}));
  Write(0, 5, "/pods/a3");
  EXPECT_EQ(woken_, 2);
}

// Counterexample 8: what another writer committed comes first.
TEST_F(WatchHub, AGapIsReadFromTheDatabase) {
  Open();
  auto pods = Start(kPodsId, kPods, {0}, 0);
  auto nodes = Start(kNodesId, kNodes, {0}, 0);
  Drain(pods.get());
  Drain(nodes.get());
  woken_ = 0;
  Commit(0, 1, "/pods/x", "theirs");
  Commit(0, 2, "/nodes/n", "theirs");
  Publish(0, 2, {Commit(0, 3, "/pods/x", "ours")}, 3);
  EXPECT_EQ(woken_, 2) << "the gap may hold events of everybody";
  EXPECT_EQ(Drain(pods.get()), (Revs{1, 3}));
  EXPECT_EQ(Drain(nodes.get()), Revs{2});
}

// The lane's void published the head of a batch before the batch itself was
// found to have landed: the ring begins lower again while a load is running.
TEST_F(WatchHub, ALoadThatTheRingOvertookRepeatsNothing) {
  Open();
  auto watch = Start(kPodsId, kPods, {0}, 0);
  Drain(watch.get());
  const EventPtr landed = Commit(0, 1, "/pods/x", "v");
  Publish(0, 1, {}, 1);
  EXPECT_TRUE(watch->Next(100, 1 << 20).events.empty());
  ASSERT_EQ(tasks_.size(), 1u);
  Revs seen;
  hooks_.Set([&](const std::string&, const std::string& call) {
    if (call != "snapshot" || !seen.empty()) return absl::OkStatus();
    Publish(0, 0, {landed}, 1);
    for (const EventPtr& event : watch->Next(100, 1 << 20).events) seen.push_back(event->rev);
    Publish(0, 1, {Commit(0, 2, "/pods/x", "w")}, 2);
    return absl::OkStatus();
  });
  RunTasks();
  hooks_.Clear();
  EXPECT_EQ(seen, Revs{1});
  EXPECT_EQ(Drain(watch.get()), Revs{2});
}

TEST_F(WatchHub, ASlowConsumerMissesNothingUntilTheFloorPassesIt) {
  Open(1, 300);  // the ring holds one event
  auto slow = Start(kPodsId, kPods, {0}, 0);
  auto late = Start(kPodsId, kPods, {0}, 0);
  Revs all;
  for (int64_t rev = 1; rev <= 1200; ++rev) {
    Write(0, rev, absl::StrCat("/pods/", rev % 3));
    all.push_back(rev);
  }
  EXPECT_EQ(Drain(slow.get(), 7), all);
  EXPECT_TRUE(end_.ok()) << end_;
  Compact(0, 10);
  EXPECT_EQ(Drain(late.get()), Revs());
  EXPECT_EQ(CodeOf(end_), Code::kCompacted) << "ended, never thinned out";
  Write(0, 1201, "/pods/1");
  EXPECT_EQ(Drain(slow.get()), Revs{1201});
}

TEST_F(WatchHub, StartsBelowAFloorAreGone) {
  Open(2);
  for (int64_t rev = 1; rev <= 5; ++rev) Write(0, rev, "/pods/x");
  Compact(0, 3);
  EXPECT_EQ(CodeOf(hub_->Start(kPodsId, kPods, {0, 1}, 2, [] {}).status()), Code::kCompacted);
  EXPECT_EQ(CodeOf(hub_->Start(kPodsId, kPods, {0}, 2, [] {}).status()), Code::kCompacted);
  auto other = Start(kPodsId, kPods, {1}, 2);
  auto watch = Start(kPodsId, kPods, {0, 1}, 3);
  complete_[1] = 5;
  EXPECT_EQ(Drain(watch.get()), (Revs{4, 5}));
}

TEST_F(WatchHub, AStartAboveTheHeadFilters) {
  Open();
  auto watch = Start(kPodsId, kPods, {0}, 3);
  for (int64_t rev = 1; rev <= 2; ++rev) Write(0, rev, "/pods/x");
  watch->RequestProgress();
  EXPECT_EQ(Drain(watch.get()), Revs());
  EXPECT_EQ(progress_, Revs()) << "revision 3 does not exist yet";
  for (int64_t rev = 3; rev <= 5; ++rev) Write(0, rev, "/pods/x");
  EXPECT_EQ(Drain(watch.get()), (Revs{4, 5}));
  EXPECT_EQ(progress_, Revs{5});
}

TEST_F(WatchHub, SeveralDatabasesAreOneOrder) {
  Open(2);
  auto watch = Start(kPodsId, kPods, {0, 1}, 0);
  Drain(watch.get());
  woken_ = 0;
  rev_ = 1;  // lane 0 took 1 and has not committed
  const EventPtr second = Commit(1, 2, "/pods/b", "v");
  Publish(1, 0, {second}, 2);
  EXPECT_EQ(woken_, 1);
  EXPECT_EQ(Drain(watch.get()), Revs()) << "1 may still come";
  Publish(0, 0, {Commit(0, 1, "/pods/a", "v")}, 1);
  EXPECT_EQ(woken_, 2) << "decided: what waited can go";
  EXPECT_EQ(Drain(watch.get()), (Revs{1, 2}));
}

TEST_F(WatchHub, ALaneThatVoidsLetsTheOthersGo) {
  Open(2);
  auto watch = Start(kPodsId, kPods, {0, 1}, 0);
  Drain(watch.get());
  rev_ = 1;
  Publish(1, 0, {Commit(1, 2, "/pods/b", "v")}, 2);
  EXPECT_EQ(Drain(watch.get()), Revs());
  woken_ = 0;
  Publish(0, 0, {}, 1);  // void
  EXPECT_EQ(woken_, 1);
  EXPECT_EQ(Drain(watch.get()), Revs{2});
}

TEST_F(WatchHub, SmallPagesKeepTheOrderOverDatabases) {
  Open(3, 1500);
  auto early = Start(kPodsId, kPods, {0, 1, 2}, 0);
  Revs all;
  for (int64_t rev = 1; rev <= 60; ++rev) {
    const int lane = static_cast<int>(rev * rev % 7 % 3);
    Write(lane, rev, absl::StrCat("/pods/", lane));
    all.push_back(rev);
  }
  for (int64_t& complete : complete_) complete = 60;
  for (const int64_t page : {1, 2, 5}) {
    auto watch = Start(kPodsId, kPods, {0, 1, 2}, 0);
    EXPECT_EQ(Drain(watch.get(), page), all);
  }
  EXPECT_EQ(Drain(early.get(), 3), all);
}

TEST_F(WatchHub, ProgressFollowsTheEventsAndWaitsForEveryLane) {
  Open(2);
  auto watch = Start(kPodsId, kPods, {0, 1}, 0);
  Drain(watch.get());
  Write(0, 1, "/pods/a");
  rev_ = 2;  // lane 1 has 2 in flight
  complete_[0] = 2;
  complete_[1] = 1;
  watch->RequestProgress();
  EXPECT_EQ(Drain(watch.get()), Revs{1});
  EXPECT_EQ(progress_, Revs()) << "2 is not decided";
  woken_ = 0;
  Publish(1, 0, {Commit(1, 2, "/nodes/n", "v")}, 2);
  EXPECT_EQ(woken_, 1) << "not an event of its own, but its mark can go";
  WatchBatch batch = watch->Next(100, 1 << 20);
  EXPECT_EQ(batch.progress, 2);
  EXPECT_EQ(Drain(watch.get()), Revs());
  EXPECT_EQ(progress_, Revs()) << "asked once, told once";
}

TEST_F(WatchHub, ProgressNeverComesBeforeEventsOfAFullPage) {
  Open();
  auto watch = Start(kPodsId, kPods, {0}, 0);
  for (int64_t rev = 1; rev <= 5; ++rev) Write(0, rev, "/pods/x");
  watch->RequestProgress();
  Revs seen;
  for (int i = 0; i < 5; ++i) {
    WatchBatch batch = watch->Next(2, 1 << 20);
    for (const EventPtr& event : batch.events) seen.push_back(event->rev);
    if (batch.progress == 0) continue;
    EXPECT_EQ(batch.progress, 5);
    break;
  }
  EXPECT_EQ(seen, (Revs{1, 2, 3, 4, 5}));
}

TEST_F(WatchHub, APageOfNothingIsAPageOfOne) {
  Open();
  auto watch = Start(kPodsId, kPods, {0}, 0);
  Write(0, 1, "/pods/x");
  EXPECT_EQ(watch->Next(0, 0).events.size(), 1u);
}

TEST_F(WatchHub, AnOutageWhileCatchingUpEndsTheWatch) {
  Open(1, 300);
  for (int64_t rev = 1; rev <= 9; ++rev) Write(0, rev, "/pods/x");
  auto watch = Start(kPodsId, kPods, {0}, 0);
  hooks_.Set([](const std::string&, const std::string& call) {
    return call == "snapshot" ? MakeStatus(Code::kUnavailable, "down") : absl::OkStatus();
  });
  EXPECT_EQ(Drain(watch.get()), Revs());
  EXPECT_EQ(CodeOf(end_), Code::kUnavailable);
}

TEST_F(WatchHub, AnEndedWatchAsksTheEngineNothing) {
  Open();
  auto watch = Start(kPodsId, kPods, {0}, 0);
  Write(0, 1, "/pods/x");
  hub_->End(MakeStatus(Code::kCancelled, "closed"));
  EXPECT_EQ(CodeOf(hub_->Start(kPodsId, kPods, {0}, 0, [] {}).status()), Code::kCancelled);
  rev_reads_ = 0;
  hub_.reset();
  watch->RequestProgress();  // the engine behind the hub may be gone
  EXPECT_EQ(rev_reads_, 0);
  EXPECT_EQ(CodeOf(watch->Next(10, 10).end), Code::kCancelled);
  woken_ = 0;
  watch.reset();
  EXPECT_EQ(woken_, 0);
}

}  // namespace
}  // namespace storage
