// What happened to a batch whose COMMIT was not answered, and to its lane
// afterwards (protocol: void, "Unknown outcome", counterexamples 2, 9 and 10).
#include <algorithm>
#include <atomic>
#include <future>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/engine/lane.h"
#include "tests/engine/harness.h"
#include "tests/engine/hooks.h"

namespace storage {
namespace {

const Range kPods{"/registry/pods/", "/registry/pods0"};
const Range kNodes{"/registry/nodes/", "/registry/nodes0"};

absl::Status Lost() { return MakeStatus(Code::kOutcomeUnknown, "the reply was lost"); }
absl::Status Down() { return MakeStatus(Code::kUnavailable, "down"); }

// The next commit of the backend lands, but its reply is lost; then the lane
// cannot be locked as often as fences fail.
Hook LandsUnseen(const std::string& backend, int fences) {
  auto state = std::make_shared<std::pair<bool, int>>(false, fences);
  return [=](const std::string& name, const std::string& call) -> absl::Status {
    if (name != backend) return absl::OkStatus();
    if (call == "committed" && !state->first) {
      state->first = true;
      return Lost();
    }
    return call == "begin" && state->first && state->second-- > 0 ? Down() : absl::OkStatus();
  };
}

class Outcome : public ::testing::Test {
 protected:
  void Open(const std::string& topology = "") {
    hooks_.Clear();  // one of an earlier round looks at what is gone
    engine_ = OpenHooked(&hooks_, topology);
    ASSERT_NE(engine_, nullptr);
    pods_ = Register(*engine_, "pods");
    nodes_ = Register(*engine_, "nodes");
  }
  Hooks hooks_;
  std::unique_ptr<Engine> engine_;
  ResourceId pods_ = 0;
  ResourceId nodes_ = 0;
};

TEST_F(Outcome, TheTokenIsReadBehindACommittedVoid) {
  Open();
  std::vector<std::string> calls;
  int commits = 0;
  std::atomic<bool> asked{false};
  hooks_.Set([&](const std::string&, const std::string& call) {
    // Housekeeping opens snapshots too, and the janitor comes after the error.
    if (call == "snapshot" || asked) return absl::OkStatus();
    calls.push_back(call);
    asked = call == "token";
    return call == "commit" && ++commits == 1 ? Lost() : absl::OkStatus();
  });
  const WriteResult result = Put(*engine_, pods_, "/registry/pods/x", "v", 0);
  hooks_.Clear();
  EXPECT_EQ(result.code, Code::kUnavailable) << "not committed, and known not to be";
  EXPECT_EQ(calls, (std::vector<std::string>{"begin", "read", "apply", "guard", "commit", "begin",
                                             "void", "commit", "committed", "token"}));
  EXPECT_EQ(Put(*engine_, pods_, "/registry/pods/x", "v", 0).revision, 3) << "2 is void";
}

TEST_F(Outcome, WhatLandedIsAcknowledgedAndTold) {
  Open();
  Watcher watcher(*engine_, pods_, kPods, 1);
  hooks_.Set(LandsUnseen("default", 0));
  EXPECT_EQ(Put(*engine_, pods_, "/registry/pods/x", "v", 0).revision, 2);
  std::vector<EventPtr> events = watcher.Events(1);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0]->rev, 2);
}

// The lane is stuck in a call to a database that does not answer: when that ends, so does
// the wait of those behind it, whose callers would give up otherwise.
TEST_F(Outcome, WhoWaitsBehindASilentDatabaseIsRefused) {
  Open();
  Mutex mu;
  CondVar changed;
  bool stuck = false, gate = false;
  hooks_.Set([&](const std::string&, const std::string& call) -> absl::Status {
    if (call != "begin") return absl::OkStatus();
    MutexLock lock(&mu);
    stuck = true;
    changed.SignalAll();
    while (!gate) changed.Wait(&mu);
    return Down();
  });
  std::vector<std::future<WriteResult>> results;
  const auto write = [&](const std::string& key) {
    auto promise = std::make_shared<std::promise<WriteResult>>();
    results.push_back(promise->get_future());
    auto op = MakePut(pods_, key, "v", 0);
    op->done = [promise](WriteResult&& result) { promise->set_value(std::move(result)); };
    engine_->Write(op);
  };
  write("/registry/pods/first");
  {
    MutexLock lock(&mu);
    while (!stuck) changed.Wait(&mu);
  }
  for (int i = 0; i < 4; ++i) write(absl::StrCat("/registry/pods/", i));
  {
    const auto until = SteadyAfter(absl::Milliseconds(1100));  // the length of the fault
    MutexLock lock(&mu);
    while (changed.WaitUntil(&mu, until)) {
    }
    gate = true;
    changed.SignalAll();
  }
  for (size_t i = 0; i < results.size(); ++i) {
    const WriteResult result = results[i].get();
    EXPECT_EQ(result.code, Code::kUnavailable) << result.error;
    EXPECT_EQ(absl::StrContains(result.error.message(), "did not answer who wrote before"), i > 0)
        << result.error;
  }
  hooks_.Clear();
  EXPECT_EQ(Put(*engine_, pods_, "/registry/pods/first", "v", 0).code, Code::kOk);
}

TEST_F(Outcome, WithoutAFenceItIsUnknownNeverAFailure) {
  Open();
  hooks_.Set(LandsUnseen("default", 1));
  const WriteResult result = Put(*engine_, pods_, "/registry/pods/x", "v", 0);
  EXPECT_EQ(result.code, Code::kOutcomeUnknown) << result.error;
  hooks_.Clear();
  EXPECT_EQ(Put(*engine_, pods_, "/registry/pods/x", "v", 0).code, Code::kExists);
}

// Nobody asks for the token again: the lane's healing must wake the watch.
TEST_F(Outcome, WhatLandedUnseenIsToldWhenTheLaneHeals) {
  Open();
  std::atomic<int> woken{0};
  auto watch = *engine_->StartWatch(pods_, kPods, 1, [&] { ++woken; });
  EXPECT_TRUE(watch->Next(10, 1 << 20).events.empty());
  woken = 0;
  hooks_.Set(LandsUnseen("default", 1));
  EXPECT_EQ(Put(*engine_, pods_, "/registry/pods/x", "v").code, Code::kOutcomeUnknown);
  hooks_.Clear();
  ASSERT_EQ(Put(*engine_, nodes_, "/registry/nodes/n", "v").code, Code::kOk);
  EXPECT_EQ(woken, 1) << "a lost wake-up";
}

TEST_F(Outcome, WhatLandedUnseenExpiresToo) {
  Open();
  Watcher watcher(*engine_, pods_, kPods, 1);
  hooks_.Set(LandsUnseen("default", 1));
  auto op = MakePut(pods_, "/registry/pods/x", "v", 0);
  op->ttl_ms = 50;
  EXPECT_EQ(RunWrite(*engine_, op).code, Code::kOutcomeUnknown);
  hooks_.Clear();
  ASSERT_EQ(Put(*engine_, nodes_, "/registry/nodes/n", "v").code, Code::kOk);
  std::vector<EventPtr> events = watcher.Events(2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1]->kind, ChangeKind::kExpire);
}

// Readers of several databases wait for a lane with undecided numbers, and the
// next write to it may come in an hour.
TEST_F(Outcome, AStuckLaneHealsWithoutAWrite) {
  for (const char* where : {"commit", "apply"}) {
    Open(kThreeBackends);
    const std::string fails = where;
    std::atomic<int> faults{0};  // housekeeping's snapshots come here too
    hooks_.Set([&](const std::string& name, const std::string& call) -> absl::Status {
      if (name != "a") return absl::OkStatus();
      const bool first = faults == 0 && call == fails;
      const bool fence = faults == 1 && call == "void";
      if (!first && !fence) return absl::OkStatus();
      ++faults;
      return fails == "apply" ? MakeStatus(Code::kNoSpace, "full") : Lost();
    });
    EXPECT_NE(Put(*engine_, pods_, "/registry/pods/a1", "v").code, Code::kOk);
    ReadHeader header;
    absl::Status status;
    ListAll(*engine_, pods_, kPods, {}, &header, &status);
    EXPECT_TRUE(status.ok()) << where << ": " << status;
    engine_.reset();
    EXPECT_EQ(faults, 2);
  }
}

TEST_F(Outcome, ALaneThatWentBackIsRefusedNotRepaired) {
  for (const bool voiding : {false, true}) {
    Open();
    ASSERT_EQ(Put(*engine_, pods_, "/registry/pods/x", "1").revision, 2);
    ASSERT_EQ(Put(*engine_, pods_, "/registry/pods/x", "2").revision, 3);
    std::atomic<bool> older = !voiding;
    hooks_.SetLane([&](Lane* lane) { lane->head -= older ? 1 : 0; });
    hooks_.Set([&](const std::string&, const std::string& call) {
      if (!voiding || call != "commit" || older) return absl::OkStatus();
      older = true;  // an older copy is put in place while the reply is lost
      return Lost();
    });
    const WriteResult result = Put(*engine_, pods_, "/registry/pods/x", "3");
    EXPECT_EQ(result.code, voiding ? Code::kOutcomeUnknown : Code::kCorrupt) << result.error;
    EXPECT_NE(result.error.message().find("went back"), std::string::npos) << result.error;
    hooks_.Clear();
    EXPECT_EQ(Put(*engine_, pods_, "/registry/pods/x", "4").code, Code::kCorrupt);
    engine_.reset();
    hooks_.SetLane(nullptr);
  }
}

// Nobody is told what an older copy says, whether or not something is written; when the
// newer one is back, all go on.
TEST_F(Outcome, ReadsOfALaneThatWentBackAreRefused) {
  for (const bool spread : {false, true}) {
    Open(spread ? kThreeBackends : "");
    for (const char* value : {"1", "2"}) {
      ASSERT_EQ(Put(*engine_, pods_, "/registry/pods/ax", value).code, Code::kOk);
    }
    const auto refused = [](const absl::Status& status) {
      return CodeOf(status) == Code::kCorrupt && absl::StrContains(status.message(), "went back");
    };
    const RowSink any = [](const Row&) { return true; };
    ReadHeader header;
    hooks_.SetLane([](Lane* lane) { lane->head -= 1; });
    EXPECT_TRUE(refused(engine_->List(pods_, kPods, {}, any, &header))) << spread;
    EXPECT_TRUE(refused(engine_->Get(pods_, "/registry/pods/ax", {}, any, &header))) << spread;
    EXPECT_TRUE(refused(engine_->Count(pods_, kPods, &header).status())) << spread;
    EXPECT_EQ(Put(*engine_, pods_, "/registry/pods/ax", "3").code, Code::kCorrupt);
    hooks_.SetLane(nullptr);
    EXPECT_TRUE(engine_->Get(pods_, "/registry/pods/ax", {}, any, &header).ok()) << spread;
    EXPECT_TRUE(engine_->List(pods_, kPods, {}, any, &header).ok()) << spread;
    EXPECT_EQ(Put(*engine_, pods_, "/registry/pods/ax", "4").code, Code::kOk);
    engine_.reset();
  }
}

// protocol.md, "What one dead database stops": a list that can only be of another one goes on.
TEST_F(Outcome, AListWithinOneDatabaseOfASpreadKindAsksThatOne) {
  Open(R"(
backends:
- endpoint: memory://a
  prefix: {name: a, prefix: pods/a}
- endpoint: memory://b
  namespace: {name: b, namespace: b, kinds: [pods]}
)");
  for (const char* key : {"a/1", "b/1", "b/2", "c/1"}) {
    ASSERT_EQ(Put(*engine_, pods_, absl::StrCat("/registry/pods/", key), "v").code, Code::kOk);
  }
  hooks_.Set([&](const std::string& name, const std::string& call) {
    return name == "a" && (call == "snapshot" || call == "begin") ? Down() : absl::OkStatus();
  });
  // A number of the dead database that nobody can decide.
  EXPECT_EQ(Put(*engine_, pods_, "/registry/pods/a/2", "v").code, Code::kUnavailable);
  const auto list = [&](const char* start, const char* end, absl::Status* status) {
    ReadHeader header;
    return ListAll(*engine_, pods_,
                   {absl::StrCat("/registry/pods/", start), absl::StrCat("/registry/pods", end)},
                   {}, &header, status);
  };
  absl::Status status;
  EXPECT_EQ(list("b/", "/b0", &status).size(), 2u);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(list("b/1x", "/b0", &status).size(), 1u);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(list("c/", "/c0", &status).size(), 1u);
  EXPECT_TRUE(status.ok()) << status;
  ReadHeader header;
  const absl::StatusOr<int64_t> count =
      engine_->Count(pods_, {"/registry/pods/b/", "/registry/pods/b0"}, &header);
  EXPECT_TRUE(count.ok() && *count == 2) << count.status();
  // Never a partial list: whatever may have keys in the dead one.
  for (const auto& [start, end] :
       std::vector<std::pair<const char*, const char*>>{{"", "0"}, {"a/", "/a0"}, {"b/1", "0"}}) {
    list(start, end, &status);
    EXPECT_EQ(CodeOf(status), Code::kUnavailable) << start << ": " << status;
  }
  engine_.reset();
}

// Callers wait 3 s: a fence behind a commit that waited in vain would wait as long again.
TEST_F(Outcome, WhoseCommitIsNotAnsweredDoesNotWaitForTheFence) {
  Open();
  std::promise<void> answered;
  std::shared_future<void> answer = answered.get_future();
  std::atomic<int> commits{0};
  std::atomic<bool> fenced_first{false};
  hooks_.Set([&](const std::string&, const std::string& call) -> absl::Status {
    if (call == "committed" && commits++ == 0) {
      const auto silent = CommitLane::kSilent + std::chrono::milliseconds(50);
      fenced_first = answer.wait_for(silent) == std::future_status::ready;
      return Lost();
    }
    if (call == "begin" && commits == 1) {
      fenced_first = answer.wait_for(std::chrono::seconds(5)) != std::future_status::ready;
    }
    return absl::OkStatus();
  });
  const WriteResult result = Put(*engine_, pods_, "/registry/pods/x", "v");
  answered.set_value();
  EXPECT_EQ(result.code, Code::kOutcomeUnknown) << result.error;
  EXPECT_FALSE(fenced_first);
  // The janitor fences behind the answer; it had landed. Who comes before the lane has ended
  // the step that was not answered is refused with those who waited behind it.
  WriteResult next;
  do {
    next = Put(*engine_, pods_, "/registry/pods/x", "w", 2);
  } while (next.code == Code::kUnavailable);
  EXPECT_EQ(next.code, Code::kOk) << next.error;
  hooks_.Clear();
  engine_.reset();
}

// A lane that belongs to another process stays unhealthy, however often the
// janitor comes round.
TEST_F(Outcome, ATakenLaneStaysUnhealthyAndNamesTheOther) {
  Open();
  std::atomic<int> begins{0};
  std::promise<void> healing;
  hooks_.SetLane([](Lane* lane) { lane->epoch = 7; });
  hooks_.Set([&](const std::string&, const std::string& call) {
    if (call == "begin" && ++begins == 2) healing.set_value();
    return absl::OkStatus();
  });
  const WriteResult result = Put(*engine_, pods_, "/registry/pods/x", "v");
  EXPECT_EQ(result.code, Code::kUnavailable);
  EXPECT_NE(result.error.message().find("epoch 7"), std::string::npos) << result.error;
  const auto came = healing.get_future().wait_for(std::chrono::seconds(5));
  EXPECT_EQ(came, std::future_status::ready) << "the janitor must come";
  engine_->Compact(1).IgnoreError();  // behind the janitor on the lane's thread
  EXPECT_EQ(CodeOf(engine_->CheckBackend("default")), Code::kUnavailable);
  hooks_.Clear();
  engine_.reset();
  hooks_.SetLane(nullptr);
}

TEST_F(Outcome, ATimeToLiveBeyondTheEndOfTimeNeverExpires) {
  Open();
  auto op = MakePut(pods_, "/registry/pods/x", "v", 0);
  op->ttl_ms = std::numeric_limits<int64_t>::max();
  ASSERT_EQ(RunWrite(*engine_, op).code, Code::kOk);
  ReadHeader header;
  int64_t expiry = -1;
  auto sink = [&](const Row& row) {
    expiry = row.meta.expire_at_ms;
    return true;
  };
  ASSERT_TRUE(engine_->Get(pods_, "/registry/pods/x", {}, sink, &header).ok());
  EXPECT_GT(expiry, absl::ToUnixMillis(absl::Now()));
}

}  // namespace
}  // namespace storage
