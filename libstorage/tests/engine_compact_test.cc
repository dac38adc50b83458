// What a rule says of compaction, each with its effect: compactInterval with its
// jitter, compactBatchSize, compactTimeout.
#include <atomic>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "src/backend/memory/memory.h"
#include "src/engine/housekeeper.h"
#include "src/engine/pace.h"
#include "tests/engine/harness.h"
#include "tests/engine/wrapped.h"

namespace storage {
namespace {

constexpr absl::Duration kIdle = absl::Milliseconds(50);

// Counts what is asked of a database that always has more to delete.
class Endless : public WrappedBackend {
 public:
  using WrappedBackend::WrappedBackend;
  absl::StatusOr<int64_t> DeleteHistory(int64_t max_rows) override {
    ++steps;
    most = std::max(most, max_rows);
    // A database that works for so long: time is what is measured here.
    for (const absl::Time end = absl::Now() + takes; absl::Now() < end;) {
    }
    return max_rows;
  }
  int steps = 0;
  int64_t most = 0;
  absl::Duration takes = absl::ZeroDuration();
};

TEST(CompactSettingsTest, TheIntervalIsJitteredBothWays) {
  CompactSettings settings;
  settings.interval_ms = 100000;
  settings.interval_jitter = 0.2;
  EXPECT_EQ(CompactInterval(settings, -1), absl::Seconds(80));
  EXPECT_EQ(CompactInterval(settings, 0), absl::Seconds(100));
  EXPECT_EQ(CompactInterval(settings, 1), absl::Seconds(120));
  settings.interval_jitter = 0.0;
  EXPECT_EQ(CompactInterval(settings, -1), absl::Seconds(100));
  settings.interval_ms = 0;
  EXPECT_EQ(CompactInterval(settings, -1), absl::InfiniteDuration()) << "0 is never";
  EXPECT_EQ(CompactInterval({}, -1), absl::Minutes(4.5)) << "the default is 5 m and 10 %";
}

// Steps grow while they are quick, up to their bound and not beyond. How many it
// takes depends on the machine.
int64_t Most(const CompactSettings& settings, int64_t bound) {
  LanePace pace(kIdle, settings);
  Endless backend(NewMemoryBackend("b"));
  for (int i = 0; i < 100000 && backend.most < bound; ++i) {
    EXPECT_TRUE(pace.Step(&backend, true).ok());
  }
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(pace.Step(&backend, true).ok());
  return backend.most;
}

TEST(CompactSettingsTest, TheBatchSizeBoundsEachStep) {
  for (const int64_t size : {int64_t{1}, int64_t{7}, int64_t{1000}, int64_t{20000}}) {
    CompactSettings settings;
    settings.batch_size = size;
    EXPECT_EQ(Most(settings, size), size);
  }
  EXPECT_EQ(Most({}, 4096), 4096);
}

TEST(CompactSettingsTest, TheTimeoutEndsACompactionAndTheNextOneGoesOn) {
  CompactSettings settings;
  settings.timeout_ms = 25;
  settings.interval_ms = 3600 * 1000;
  LanePace pace(kIdle, settings);
  Endless backend(NewMemoryBackend("b"));
  backend.takes = absl::Milliseconds(10);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(pace.Step(&backend, true).ok());
  EXPECT_GE(backend.steps, 1);
  EXPECT_LE(backend.steps, 3);
  EXPECT_GT(pace.MaxWait(), absl::Minutes(50)) << "it comes back after the interval";
  const int before = backend.steps;
  pace.AddDebt();
  EXPECT_LE(pace.MaxWait(), kIdle);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(pace.Step(&backend, true).ok());
  EXPECT_GT(backend.steps, before) << "the next one goes on";
  EXPECT_LE(backend.steps, before + 3);
}

TEST(CompactSettingsTest, WhatIsLeftGoesOnAfterTheInterval) {
  CompactSettings settings;
  settings.timeout_ms = 1;
  settings.interval_ms = 30;
  LanePace pace(kIdle, settings);
  Endless backend(NewMemoryBackend("b"));
  backend.takes = absl::Milliseconds(2);
  const absl::Time begin = absl::Now();
  while (backend.steps < 4 && absl::Now() < begin + absl::Seconds(60)) {
    ASSERT_TRUE(pace.Step(&backend, true).ok());
  }
  EXPECT_EQ(backend.steps, 4);
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(90)) << "three intervals between four steps";
}

// The rule's words reach its lane, and no other.
class Recorded : public WrappedBackend {
 public:
  Recorded(std::unique_ptr<Backend> inner, std::atomic<int64_t>* most)
      : WrappedBackend(std::move(inner)), most_(most) {}
  absl::StatusOr<int64_t> DeleteHistory(int64_t max_rows) override {
    most_->store(std::max(most_->load(), max_rows));
    return inner_->DeleteHistory(max_rows);
  }

 private:
  std::atomic<int64_t>* const most_;
};

TEST(CompactSettingsTest, TheSettingsOfARuleReachItsLane) {
  std::atomic<int64_t> rule{0}, others{0};
  EngineOptions options;
  options.topology_text =
      "backends:\n- endpoint: memory://a\n  prefix: {name: a, prefix: pods/a*}\n"
      "  compactBatchSize: 3\n";
  options.default_endpoint = "memory://default";
  options.allow_memory = true;
  options.wrap_backend_for_test = [&](std::unique_ptr<Backend> inner) -> std::unique_ptr<Backend> {
    std::atomic<int64_t>* const most = inner->name() == "a" ? &rule : &others;
    return std::make_unique<Recorded>(std::move(inner), most);
  };
  auto engine = Engine::Open(options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  const ResourceId pods = Register(**engine, "pods");
  int64_t rev = 0;
  for (int i = 0; i < 20; ++i) {
    for (const char* key : {"/registry/pods/a", "/registry/pods/d"}) {
      const WriteResult written = Put(**engine, pods, key, absl::StrCat(i));
      ASSERT_EQ(written.code, Code::kOk) << written.error;
      rev = written.revision;
    }
  }
  ASSERT_TRUE((*engine)->Compact(rev).ok());
  const absl::Time end = absl::Now() + absl::Seconds(60);
  const auto done = [&] {
    const std::vector<std::string> parts =
        absl::StrSplit((*engine)->StatsJson(), "\"debt_rows\":0");
    return parts.size() == 3;  // of both databases
  };
  while (!done() && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  ASSERT_TRUE((*engine)->Close().ok());
  EXPECT_EQ(rule.load(), 3);
  EXPECT_GT(others.load(), 3);
}

}  // namespace
}  // namespace storage
