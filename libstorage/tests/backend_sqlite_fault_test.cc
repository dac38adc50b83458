// Fault loops on SQLite: for N = 1, 2, ... until nothing was injected, a
// workload runs with the Nth call of a kind failing, once or for ever. Then,
// in the file as it lay there (a crash) and in the file closed and opened
// again: every acknowledged batch is there, every other one wholly or not at
// all, and not at all when its error said so.
//
// STG_FAULT_STRIDE=1 runs every N; the default takes every 4th write and every
// 2nd of the rest (fault_stride.h: fewer under sanitizers), from an offset that
// STG_FAULT_SEED sets.
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <set>

#include "src/backend/memory/memory.h"
#include "src/backend/sqlite/ballast.h"
#include "src/backend/sqlite/sqlite_backend.h"
#include "tests/contract/contract_test.h"
#include "tests/contract/fault_stride.h"
#include "tests/contract/fault_vfs.h"

namespace storage::contract {
namespace {

int64_t Env(const char* name, int64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoll(text);
}

// A change of the lane that is replayed on the memory backend to know what a
// file must hold.
struct Step {
  enum class What { kAdopt, kBatch, kVoid, kFloor } what = What::kBatch;
  std::vector<Op> ops;
  int64_t first = 0;  // of a batch; target of the others
  int64_t token = 0;
};

absl::Status Run(Backend* backend, const Step& step) {
  switch (step.what) {
    case Step::What::kAdopt:
      return Adopt(backend, Us(), 0);
    case Step::What::kBatch:
      return Write(backend, step.ops, step.token, step.first);
    case Step::What::kFloor:
      return RaiseFloor(backend, step.first);
    case Step::What::kVoid:
      break;
  }
  auto txn = backend->BeginLane();
  if (!txn.ok()) return txn.status();
  const absl::Status voided = (*txn)->Void(Us(), step.first);
  return voided.ok() ? (*txn)->Commit() : voided;
}

std::string Dump(Backend* backend) {
  auto snapshot = backend->OpenSnapshot();
  if (!snapshot.ok()) return snapshot.status().ToString();
  const Lane lane = (*snapshot)->lane();
  std::string text = Print(lane) + "\n";
  const auto add = [&text](const Lines& lines) {
    for (const std::string& line : lines) text += line + "\n";
  };
  for (int64_t rev = lane.floor; rev <= lane.head; ++rev) {
    text += "at " + std::to_string(rev) + ":\n";
    add(List(snapshot->get(), All(), rev));
  }
  text += "events:\n";
  add(Events(snapshot->get(), All(), lane.floor));
  const auto stats = backend->Stats();
  if (!stats.ok()) return stats.status().ToString();
  for (const KindStats& kind : stats->kinds) {
    text += kind.collection + " " + std::to_string(kind.objects) + " " +
            std::to_string(kind.bytes) + "\n";
  }
  return text;
}

std::string DumpOf(const std::vector<Step>& steps) {
  auto backend = NewMemoryBackend("model");
  for (const Step& step : steps) EXPECT_OK(Run(backend.get(), step));
  return Dump(backend.get());
}

std::vector<Step> Workload() {
  const std::string big(9000, 'b');  // overflow pages
  std::vector<Step> steps;
  const auto batch = [&](std::vector<Op> ops) {
    steps.push_back(Step{Step::What::kBatch, std::move(ops), 0, 0});
  };
  steps.push_back(Step{Step::What::kAdopt, {}, 0, 0});
  batch({Create("/a/1", "one"), Create("/a/2", big), Create("/b/1", "x")});
  batch({Update("/a/1", big), Delete("/b/1")});
  std::vector<Op> many;
  for (int i = 0; i < 40; ++i) many.push_back(Create("/c/" + std::to_string(i), big));
  batch(many);
  steps.push_back(Step{Step::What::kFloor, {}, 5, 0});
  batch({Create("/b/1", "again"), Update("/a/2", ""), Delete("/c/7")});
  many.clear();
  for (int i = 10; i < 40; ++i) many.push_back(Delete("/c/" + std::to_string(i)));
  batch(many);
  steps.push_back(Step{Step::What::kFloor, {}, 70, 0});
  batch({Update("/b/1", "last"), Create("/a/3", "new")});
  return steps;
}

class Runner {
 public:
  Runner(FaultVfs* vfs, FaultPlan plan) : vfs_(vfs) {
    vfs_->plan = plan;
    options_.name = "sqlite";
    options_.path = dir_.path() + "/objects.db";
  }

  // How often the workload came to the place where the plan injects.
  int64_t Go() {
    Work();
    const int64_t calls = vfs_->plan.calls;
    CopyAsAfterACrash();
    backend_.reset();
    vfs_->plan = FaultPlan();
    if (!opened_) {
      // Half a creation: it must be possible to start all the same.
      Check(options_.path);
    } else {
      Check(dir_.path() + "/crash/objects.db");
      Check(options_.path);
    }
    return calls;
  }

 private:
  void Work() {
    auto backend = OpenSqliteBackend(options_);
    if (!backend.ok()) {
      EXPECT_TRUE(vfs_->plan.hit()) << backend.status();
      return;
    }
    opened_ = true;
    backend_ = *std::move(backend);
    for (Step step : Workload()) {
      if (!Take(&step)) return;
      // Housekeeping may fail; it must not harm.
      backend_->DeleteHistory(10).IgnoreError();
      for (int i = 0; i < 3; ++i) backend_->Maintain(true).IgnoreError();
    }
  }

  // False when the lane is stuck, as it is for the engine when a fence fails.
  bool Take(Step* step) {
    const auto head = Head();
    if (head < 0) return vfs_->plan.forever ? false : Take(step);
    if (step->what == Step::What::kBatch) {
      step->first = head + 1;
      step->token = step->first;
    }
    const absl::Status status = Run(backend_.get(), *step);
    if (status.ok()) {
      done_.push_back(*step);
      return true;
    }
    EXPECT_TRUE(vfs_->plan.hit()) << status;
    if (CodeOf(status) == Code::kOutcomeUnknown) return Resolve(*step);
    // A plain error: not there, now and later. What follows may miss its keys.
    return false;
  }

  // The fence, then the token (protocol: "Unknown outcome").
  bool Resolve(const Step& step) {
    Step fence;
    fence.what = Step::What::kVoid;
    const absl::Status fenced = Run(backend_.get(), fence);
    if (!fenced.ok()) {
      maybe_ = step;
      has_maybe_ = true;
      // The fence itself may have landed, above the batch or without it.
      fence_unknown_ = CodeOf(fenced) == Code::kOutcomeUnknown;
      return false;
    }
    auto snapshot = backend_->OpenSnapshot();
    if (!snapshot.ok() || step.what != Step::What::kBatch) {
      // The version of the lane says what a batch's token would.
      maybe_ = step;
      has_maybe_ = true;
      done_.push_back(fence);
      fence_first_ = true;
      return false;
    }
    const auto present = (*snapshot)->HasToken(step.token);
    EXPECT_TRUE(present.ok() || vfs_->plan.hit());
    if (!present.ok()) {
      maybe_ = step;
      has_maybe_ = true;
      done_.push_back(fence);
      fence_first_ = true;
      return false;
    }
    if (*present) done_.push_back(step);
    done_.push_back(fence);
    return *present;
  }

  int64_t Head() {
    auto snapshot = backend_->OpenSnapshot();
    return snapshot.ok() ? (*snapshot)->lane().head : -1;
  }

  void CopyAsAfterACrash() {
    namespace fs = std::filesystem;
    std::error_code ignored;
    fs::create_directory(dir_.path() + "/crash");
    for (const char* suffix : {"", "-wal"}) {
      fs::copy_file(options_.path + suffix, dir_.path() + "/crash/objects.db" + suffix, ignored);
    }
  }

  std::set<std::string> Allowed() const {
    std::set<std::string> allowed = {DumpOf(done_)};
    Step fence;
    fence.what = Step::What::kVoid;
    std::vector<Step> with = done_;
    if (fence_unknown_) {
      with.push_back(fence);
      allowed.insert(DumpOf(with));
      with.pop_back();
    }
    if (!has_maybe_) return allowed;
    if (fence_first_) with.pop_back();
    with.push_back(maybe_);
    if (!fence_first_) allowed.insert(DumpOf(with));
    if (fence_unknown_ || fence_first_) {
      with.push_back(fence);
      allowed.insert(DumpOf(with));
    }
    return allowed;
  }

  void Check(const std::string& path) {
    SqliteOptions options = options_;
    options.path = path;
    auto backend = OpenSqliteBackend(options);
    ASSERT_TRUE(backend.ok()) << path << ": " << backend.status();
    const std::string found = Dump(backend->get());
    const std::set<std::string> allowed = Allowed();
    EXPECT_TRUE(allowed.count(found) > 0)
        << path << "\nfound:\n"
        << found << "\ninstead of one of " << allowed.size() << ", the first:\n"
        << *allowed.begin();
    backend->reset();
    CheckIntegrity(path);
  }

  static void CheckIntegrity(const std::string& path) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
    std::string result;
    sqlite3_exec(
        db, "PRAGMA integrity_check",
        [](void* out, int, char** values, char**) {
          *static_cast<std::string*>(out) += values[0];
          return 0;
        },
        &result, nullptr);
    sqlite3_close(db);
    EXPECT_EQ(result, "ok");
  }

  // In memory where possible: the faults are ours, not the disk's.
  const TempDir dir_{"/dev/shm"};
  FaultVfs* const vfs_;
  SqliteOptions options_;
  std::unique_ptr<Backend> backend_;
  bool opened_ = false;
  std::vector<Step> done_;
  Step maybe_;
  bool has_maybe_ = false;
  bool fence_unknown_ = false;
  bool fence_first_ = false;
};

class SqliteFaultTest : public testing::TestWithParam<std::tuple<FaultKind, bool>> {};

TEST_P(SqliteFaultTest, AcknowledgedIsThereAndTheRestIsAtomic) {
  sqlite::Ballast::SetBytesForTest(1 << 20, 0);
  // Checkpoints and vacuums in the small.
  sqlite::SqliteBackend::SetUpkeepForTest(sqlite::Upkeep{40, 8, 2, false});
  FaultVfs vfs;
  FaultPlan plan;
  plan.kind = std::get<0>(GetParam());
  plan.forever = std::get<1>(GetParam());
  const bool seldom = plan.kind > FaultKind::kWriteLate;
  // A run that counts, so that of a kind with few calls some are taken from any offset.
  const int64_t calls = Runner(&vfs, plan).Go();
  ASSERT_GT(calls, 0) << "the workload has no such call";
  const int64_t stride = std::min(calls, Env("STG_FAULT_STRIDE", (seldom ? 2 : 4) * kFaultStride));
  const int64_t seed = Env("STG_FAULT_SEED", time(nullptr));
  plan.at = 1 + seed % stride;
  int64_t injected = 0;
  while (true) {
    SCOPED_TRACE(std::string(kFaultNames[static_cast<int>(plan.kind)]) + " number " +
                 std::to_string(plan.at) + (plan.forever ? " and all later ones" : ""));
    if (Runner(&vfs, plan).Go() < plan.at || testing::Test::HasFailure()) break;
    ++injected;
    plan.at += stride;
  }
  EXPECT_GT(injected, 0) << "of " << calls << " calls";
  std::cout << injected << " faults, " << calls << " calls\n";
}

INSTANTIATE_TEST_SUITE_P(
    Faults, SqliteFaultTest,
    testing::Combine(testing::Values(FaultKind::kWriteError, FaultKind::kWriteFull,
                                     FaultKind::kWriteTorn, FaultKind::kWriteLate, FaultKind::kSync,
                                     FaultKind::kTruncate, FaultKind::kRead),
                     testing::Bool()),
    [](const auto& p) {
      std::string name = kFaultNames[static_cast<int>(std::get<0>(p.param))];
      for (char& c : name) {
        if (c == ' ') c = '_';
      }
      return name + (std::get<1>(p.param) ? "_forever" : "_once");
    });

}  // namespace
}  // namespace storage::contract
