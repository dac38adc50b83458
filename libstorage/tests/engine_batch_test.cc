// Batches that fail: who is answered what, and how often the database is asked.
#include <algorithm>
#include <atomic>
#include <map>

#include "absl/strings/str_cat.h"
#include "src/backend/memory/memory.h"
#include "src/engine/lane.h"
#include "src/revision/block_sequencer.h"
#include "tests/engine/harness.h"
#include "tests/engine/hooks.h"

namespace storage {
namespace {

class Batches : public ::testing::Test {
 protected:
  void SetUp() override {
    engine_ = OpenHooked(&hooks_);
    ASSERT_NE(engine_, nullptr);
    pods_ = Register(*engine_, "pods");
  }
  void TearDown() override { engine_.reset(); }

  std::string Key(int i) const { return absl::StrCat("/registry/pods/", i); }
  // One write, which holds the lane until all of ops are queued behind it: they
  // are one batch. hook is asked from then on. Codes in the order of ops.
  std::vector<Code> AsOneBatch(const std::vector<std::shared_ptr<WriteOp>>& ops, Hook hook) {
    std::promise<void> queued;
    std::promise<void> holding;
    std::atomic<bool> first{true};
    hooks_.Set([&](const std::string& name, const std::string& call) -> absl::Status {
      if (call == "commit" && first.exchange(false)) {
        holding.set_value();
        queued.get_future().wait();
        return absl::OkStatus();
      }
      return first || call == "committed" ? absl::OkStatus() : hook(name, call);
    });
    std::vector<std::future<Code>> codes;
    auto submit = [&](const std::shared_ptr<WriteOp>& op) {
      auto promise = std::make_shared<std::promise<Code>>();
      codes.push_back(promise->get_future());
      op->done = [promise](WriteResult&& result) { promise->set_value(result.code); };
      engine_->Write(op);
    };
    submit(MakePut(pods_, "/registry/pods/holder", "v", WriteOp::kAnyRevision));
    holding.get_future().wait();
    for (const auto& op : ops) submit(op);
    queued.set_value();
    std::vector<Code> out;
    for (size_t i = 0; i < codes.size(); ++i) {
      const Code code = codes[i].get();
      if (i > 0) out.push_back(code);
    }
    hooks_.Clear();
    return out;
  }

  Hooks hooks_;
  std::unique_ptr<Engine> engine_;
  ResourceId pods_ = 0;
};

TEST_F(Batches, APoisonedWriteFailsAlone) {
  std::atomic<int> applies{0};
  const std::vector<Code> codes = AsOneBatch(
      {MakePut(pods_, Key(1), "v", 0), MakePut(pods_, Key(2), "v", 0),
       MakePut(pods_, Key(3), "v", 0)},
      [&](const std::string&, const std::string& call) -> absl::Status {
        if (call != "apply") return absl::OkStatus();
        const int n = ++applies;  // the batch, its first half, the other, and that one's halves
        return n == 1 || n == 3 || n == 4 ? MakeStatus(Code::kInternal, "poison")
                                          : absl::OkStatus();
      });
  EXPECT_EQ(codes, (std::vector<Code>{Code::kOk, Code::kInternal, Code::kOk}));
  EXPECT_EQ(applies, 5);
  EXPECT_TRUE(engine_->CheckBackend("default").ok()) << "no outage";
}

// A database that another program holds makes each attempt wait for seconds:
// the whole batch fails at once, not its writes one by one.
TEST_F(Batches, ABusyDatabaseIsAskedOncePerBatch) {
  std::atomic<int> begins{0};
  std::vector<std::shared_ptr<WriteOp>> ops;
  for (int i = 0; i < 20; ++i) ops.push_back(MakePut(pods_, Key(i), "v", 0));
  const std::vector<Code> codes =
      AsOneBatch(ops, [&](const std::string&, const std::string& call) -> absl::Status {
        if (call != "begin") return absl::OkStatus();
        ++begins;
        return MakeStatus(Code::kBusy, "held by another program");
      });
  EXPECT_EQ(codes, std::vector<Code>(20, Code::kBusy));
  EXPECT_LE(begins, 3) << "the batch, and the janitor";
  EXPECT_EQ(Put(*engine_, pods_, Key(1), "v").code, Code::kOk);
}

TEST_F(Batches, AFullDiskRefusesGrowthOnly) {
  ASSERT_EQ(Put(*engine_, pods_, Key(1), "v").code, Code::kOk);
  auto remove = MakePut(pods_, Key(1), "", WriteOp::kAnyRevision);
  remove->verb = WriteOp::Verb::kDelete;
  std::atomic<int> applies{0};
  const std::vector<Code> codes =
      AsOneBatch({MakePut(pods_, Key(2), "v", 0), remove, MakePut(pods_, Key(3), "v", 0)},
                 [&](const std::string&, const std::string& call) -> absl::Status {
                   const bool full = call == "apply" && ++applies == 1;
                   return full ? MakeStatus(Code::kNoSpace, "full") : absl::OkStatus();
                 });
  EXPECT_EQ(codes, (std::vector<Code>{Code::kNoSpace, Code::kOk, Code::kNoSpace}));
}

// Numbers of a batch that failed are void: later ones are above, and readers of
// what came before are not held up.
TEST_F(Batches, NumbersOfAFailedBatchAreVoidAtOnce) {
  const std::vector<Code> codes = AsOneBatch(
      {MakePut(pods_, Key(1), "v", 0), MakePut(pods_, Key(2), "v", 0)},
      [](const std::string&, const std::string& call) -> absl::Status {
        return call == "guard" ? MakeStatus(Code::kUnavailable, "down") : absl::OkStatus();
      });
  EXPECT_EQ(codes, std::vector<Code>(2, Code::kUnavailable));
  EXPECT_EQ(engine_->CurrentRevision(pods_).value(), 4) << "2 was the holder's, 3 and 4 are void";
  EXPECT_EQ(Put(*engine_, pods_, Key(1), "v", 0).revision, 5);
}

// The lane itself, without housekeeping: who fails asks for the janitor, once,
// and is well again when its numbers are void.
TEST(Lane, AsksForTheJanitorWhenItFails) {
  Hooks hooks;
  HookedBackend backend(NewMemoryBackend("m"), &hooks);
  const LaneOwner owner{"m", 1, 1};
  {
    auto txn = *backend.BeginLane();
    ASSERT_TRUE(txn->Adopt(owner, 0).ok() && txn->Commit().ok());
  }
  auto metadata = NewMemoryMetadata();
  BlockSequencer sequencer(metadata.get(), 1, 1, {{"m", backend.identity(), 0}});
  HubEnv hub_env;
  hub_env.rev = [] { return 0; };
  Hub hub(hub_env, {{&backend, 0}}, 1 << 20);
  int failed = 0;
  LaneEnv env;
  env.backend = &backend;
  env.sequencer = &sequencer;
  env.hub = &hub;
  env.owner = owner;
  env.collection = [](ResourceId) { return "/p/"; };
  env.failed = [&] { ++failed; };
  CommitLane lane(env);
  auto write = [&] {
    std::promise<Code> code;
    auto op = MakePut(0, "/p/x", "v", WriteOp::kAnyRevision);
    op->done = [&](WriteResult&& result) { code.set_value(result.code); };
    lane.Submit(op);
    return code.get_future().get();
  };
  hooks.Set([](const std::string&, const std::string& call) {
    return call == "guard" || call == "void" ? MakeStatus(Code::kUnavailable, "down")
                                             : absl::OkStatus();
  });
  EXPECT_EQ(write(), Code::kUnavailable);
  EXPECT_EQ(write(), Code::kUnavailable);
  EXPECT_EQ(failed, 1);
  EXPECT_LT(sequencer.Complete(0), sequencer.Rev());
  hooks.Clear();
  lane.Heal();
  lane.RaiseFloor(1).IgnoreError();  // behind it
  EXPECT_TRUE(lane.Health().ok());
  EXPECT_EQ(sequencer.Complete(0), sequencer.Rev()) << "void: nothing holds readers up";
  lane.Stop();
}

struct Applied {
  std::vector<size_t> sizes;
  int64_t count = 0;  // as the limits of SmallBackend count
};

// A backend that takes little at once, and refuses more.
class SmallBackend : public WrappedBackend {
 public:
  SmallBackend(std::unique_ptr<Backend> inner, std::vector<Applied>* batches)
      : WrappedBackend(std::move(inner)), batches_(batches) {}
  BatchLimits limits() const override { return {5, 2, 3, 1000}; }
  absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLane() override {
    auto txn = inner_->BeginLane();
    if (!txn.ok()) return txn.status();
    return std::unique_ptr<LaneTxn>(new Txn(*std::move(txn), batches_));
  }

 private:
  class Txn : public HookedTxn {
   public:
    Txn(std::unique_ptr<LaneTxn> inner, std::vector<Applied>* batches)
        : HookedTxn(std::move(inner), "", &NoHooks()), batches_(batches) {}
    absl::Status Apply(absl::Span<const Mutation> mutations, int64_t token) override {
      Applied applied;
      for (const Mutation& m : mutations) {
        applied.sizes.push_back(m.value.size() + m.key.size() + m.attrs.size());
        applied.count += m.expire_at_ms > 0 ? 2 : 1;
      }
      batches_->push_back(applied);
      return HookedTxn::Apply(mutations, token);
    }

   private:
    static Hooks& NoHooks() {
      static Hooks* const hooks = new Hooks;
      return *hooks;
    }
    std::vector<Applied>* const batches_;
  };
  std::vector<Applied>* const batches_;
};

TEST(BatchLimits, AreTheBackends) {
  std::vector<Applied> batches;  // written by the lane, read after the engine's end
  EngineOptions options;
  options.default_endpoint = "memory://default";
  options.allow_memory = true;
  options.wrap_backend_for_test = [&](std::unique_ptr<Backend> inner) {
    return std::make_unique<SmallBackend>(std::move(inner), &batches);
  };
  auto engine = Engine::Open(options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  const ResourceId pods = Register(**engine, "pods");
  std::vector<std::future<Code>> codes;
  std::promise<void> queued;
  std::shared_future<void> all = queued.get_future().share();
  for (int i = 0; i < 40; ++i) {
    // Some are larger than the limit by themselves, the last ones are small.
    const size_t size = i % 7 == 3 ? 3000 : i < 25 ? 300 : 10;
    auto op = MakePut(pods, absl::StrCat("/registry/pods/", 100 + i), std::string(size, 'v'), 0);
    if (i >= 33) op->ttl_ms = 60000;
    auto promise = std::make_shared<std::promise<Code>>();
    codes.push_back(promise->get_future());
    // The first holds the lane until everything else waits behind it.
    op->done = [promise, all, i](WriteResult&& result) {
      if (i == 0) all.wait();
      promise->set_value(result.code);
    };
    (*engine)->Write(op);
  }
  queued.set_value();
  for (auto& code : codes) EXPECT_EQ(code.get(), Code::kOk);
  ASSERT_TRUE((*engine)->Close().ok());
  size_t writes = 0;
  size_t most = 0;
  for (const Applied& batch : batches) {
    const size_t n = batch.sizes.size();
    size_t bytes = 0;
    for (const size_t size : batch.sizes) bytes += size;
    EXPECT_TRUE(bytes <= 1000 || n == 1) << bytes << " in " << n;
    EXPECT_LE(batch.count, 5);
    writes += n;
    most = std::max(most, n);
  }
  EXPECT_EQ(writes, 40u);
  EXPECT_EQ(most, 5u);
}

}  // namespace
}  // namespace storage
