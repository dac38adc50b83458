// Systematic faults: for N = 1, 2, ... the Nth call on a lane fails, and after
// each run the laws are checked: what was acknowledged is there, what was
// refused is not, what is unknown is whole or absent; no revision twice; the
// watch tells the same story; and the engine writes again when the fault ends.
#include <map>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/engine/faulty.h"
#include "tests/engine/harness.h"

namespace storage {
namespace {

const Range kPods{"/registry/pods/", "/registry/pods0"};

class Scenario {
 public:
  explicit Scenario(FaultPlan* plan) : plan_(plan) {
    EngineOptions options;
    options.topology_text = kThreeBackends;
    options.default_endpoint = "memory://default";
    options.allow_memory = true;
    options.wrap_backend_for_test = [plan](std::unique_ptr<Backend> inner) {
      return std::make_unique<FaultyBackend>(std::move(inner), plan);
    };
    engine_ = std::move(Engine::Open(options)).value();
    pods_ = Register(*engine_, "pods");
    watcher_ = std::make_unique<Watcher>(*engine_, pods_, kPods, 1);
  }

  void Work(int fail_at) {
    plan_->calls = 0;
    plan_->injected = 0;
    plan_->fail_at = fail_at;
    for (int i = 0; i < 12; ++i) {
      const char* place[] = {"a", "b", "c"};
      const std::string key = absl::StrCat("/registry/pods/", place[i % 3], i % 2);
      One(key, absl::StrCat("v", i), i % 5 == 4);
    }
    plan_->fail_at = 0;
  }

  // A write works again, at the latest when the janitor has been round.
  void Recover() {
    const absl::Time end = absl::Now() + absl::Seconds(5);
    for (const char* place : {"a", "b", "c"}) {
      const std::string key = absl::StrCat("/registry/pods/", place, "-after");
      WriteResult result;
      do {
        result = Put(*engine_, pods_, key, "after");
      } while (result.code != Code::kOk && absl::Now() < end);
      ASSERT_EQ(result.code, Code::kOk) << result.error;
      Acknowledged(key, "after", result.revision);
    }
  }

  void CheckLaws() {
    ReadHeader header;
    std::map<std::string, std::string> stored;
    for (auto& [key, value] : ListAll(*engine_, pods_, kPods, {}, &header)) stored[key] = value;
    for (const auto& [key, values] : allowed_) {
      auto found = stored.find(key);
      const std::optional<std::string> value =
          found == stored.end() ? std::nullopt : std::make_optional(found->second);
      EXPECT_TRUE(values.contains(value)) << key << " holds " << value.value_or("(absent)");
    }
    Replay(stored, header.revision);
  }

 private:
  using Value = std::optional<std::string>;

  void One(const std::string& key, const std::string& value, bool remove) {
    const WriteResult result =
        remove ? Delete(*engine_, pods_, key) : Put(*engine_, pods_, key, value);
    const Value after = remove ? std::nullopt : Value(value);
    if (result.code == Code::kOk) return Acknowledged(key, after, result.revision);
    EXPECT_NE(result.code, Code::kConflict) << "an outage reported as a conflict";
    if (!allowed_.contains(key)) allowed_[key] = {std::nullopt};
    if (result.code == Code::kOutcomeUnknown) allowed_[key].insert(after);
  }
  void Acknowledged(const std::string& key, const Value& value, int64_t rev) {
    allowed_[key] = {value};
    EXPECT_TRUE(revisions_.insert(rev).second) << rev << " was given twice";
    EXPECT_GT(rev, last_) << "went back";
    last_ = rev;
  }
  // The watch, replayed from nothing, must end in what the list shows.
  void Replay(const std::map<std::string, std::string>& stored, int64_t upto) {
    watcher_->watch().RequestProgress();
    std::map<std::string, std::string> state;
    std::set<int64_t> seen;
    int64_t last = 1;
    for (;;) {
      WatchBatch batch = watcher_->Next();
      ASSERT_TRUE(batch.end.ok()) << batch.end;
      for (const EventPtr& event : batch.events) {
        EXPECT_GT(event->rev, last);
        last = event->rev;
        seen.insert(event->rev);
        if (event->value.present()) {
          state[event->key] = std::string(event->value.view());
        } else {
          state.erase(event->key);
        }
      }
      if (batch.progress >= upto) break;
      ASSERT_FALSE(batch.events.empty() && batch.progress == 0) << "the watch is stuck";
    }
    EXPECT_EQ(state, stored);
    for (int64_t rev : revisions_) EXPECT_TRUE(seen.contains(rev)) << rev << " was never seen";
  }

  FaultPlan* const plan_;
  std::unique_ptr<Engine> engine_;
  ResourceId pods_ = 0;
  std::unique_ptr<Watcher> watcher_;
  std::map<std::string, std::set<Value>> allowed_;
  std::set<int64_t> revisions_;
  int64_t last_ = 1;
};

class EngineFaults : public ::testing::TestWithParam<std::pair<Fault, bool>> {};

TEST_P(EngineFaults, EveryNthCall) {
  int runs = 0;
  for (int n = 1;; ++n) {
    FaultPlan plan;
    plan.fault = GetParam().first;
    plan.for_ever = GetParam().second;
    Scenario run(&plan);
    run.Work(n);
    const bool injected = plan.injected > 0;
    run.Recover();
    run.CheckLaws();
    if (HasFailure()) FAIL() << "at call " << n;
    if (!injected) break;
    ++runs;
  }
  EXPECT_GE(runs, 10) << "the faults were not reached";
}

INSTANTIATE_TEST_SUITE_P(All, EngineFaults,
                         ::testing::Values(std::make_pair(Fault::kError, false),
                                           std::make_pair(Fault::kError, true),
                                           std::make_pair(Fault::kLostReply, false),
                                           std::make_pair(Fault::kLostReply, true),
                                           std::make_pair(Fault::kLostRequest, false),
                                           std::make_pair(Fault::kLostRequest, true),
                                           std::make_pair(Fault::kNoSpace, false),
                                           std::make_pair(Fault::kNoSpace, true)));

}  // namespace
}  // namespace storage
