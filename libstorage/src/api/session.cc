#include "src/api/session.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "src/api/answer.h"
#include "src/api/codes.h"
#include "src/api/watch.h"

using storage::Code;
using storage::MakeStatus;

namespace {

absl::Status Closing() { return MakeStatus(Code::kCancelled, "the engine is shutting down"); }

int Cpus() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

// For each set of databases (ReadPool). More than CPUs: what comes here waits for disks and
// networks. As many as a database has reading connections by default.
int ReadThreads() { return std::clamp(2 * Cpus(), 8, 16); }

}  // namespace

stg_engine::Entry::Entry(stg_engine* session) : session_(session) {
  // Ordered with Shutdown, which sets closing_ and then waits for entered_.
  session_->entered_.fetch_add(1);
  allowed_ = !session_->closing_.load();
}

stg_engine::stg_engine(int64_t budget_bytes, bool poison)
    : slabs_(budget_bytes > 0 ? budget_bytes : kDefaultBudget, poison),
      log_(&slabs_, &queue_),
      max_inline_reads_(std::clamp(4 * Cpus(), 8, 64)) {}

stg_engine::~stg_engine() {
  if (engine_ == nullptr) return;
  storage::api::GuardVoid([this] { Shutdown().IgnoreError(); });
  absl::flat_hash_set<stg_watch*> left;
  {
    storage::MutexLock lock(&watches_mu_);
    left.swap(watches_);
  }
  for (stg_watch* watch : left) delete watch;  // before the engine that feeds them
  engine_.reset();
}

absl::Status stg_engine::Start(std::unique_ptr<storage::Engine> engine) {
  if (queue_.event_fd() < 0) {
    return MakeStatus(Code::kUnavailable,
                      absl::StrCat("eventfd: ", std::strerror(queue_.fd_error())), "",
                      queue_.fd_error());
  }
  engine_ = std::move(engine);
  backends_ = engine_->BackendNames();
  storage::api::ReadPool::Callbacks callbacks;
  callbacks.run = [this](const std::vector<uint64_t>& ops) { return RunReads(ops); };
  callbacks.together = [this](uint64_t places) { return engine_->GetsTogether(places); };
  callbacks.refuse = [this](uint64_t op, uint64_t silent) { RefuseRead(op, silent); };
  reads_ = std::make_unique<storage::api::ReadPool>(
      ReadThreads(), Cpus(), static_cast<int>(backends_.size()), std::move(callbacks));
  return absl::OkStatus();
}

absl::Status stg_engine::Shutdown() {
  storage::MutexLock lock(&shutdown_mu_);
  if (shut_down_) return shutdown_status_;
  shut_down_ = true;
  closing_.store(true);
  // Running reads see the flag at their next row; queued ones never start.
  ops_.CancelReads();
  // Calls in progress end soon: they submit, or read one row.
  while (entered_.load() > 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
  ops_.CancelReads();
  if (reads_ != nullptr) reads_->Stop();
  checks_.Stop();
  shutdown_status_ = engine_->Close();
  FinishAll();
  return shutdown_status_;
}

// The engine has answered every write and the pool every read that ran. What
// is left are reads that never started, and what an engine with a bug forgot.
void stg_engine::FinishAll() {
  for (const uint64_t op : ops_.CancelReads()) {
    const auto taken = ops_.Take(op);
    if (!taken.has_value()) continue;
    stg_completion done = storage::api::NewCompletion(op, taken->user);
    storage::api::SetError(taken->was_write ? MakeStatus(Code::kOutcomeUnknown,
                                                         "the engine closed before the write ended")
                                            : Closing(),
                           &slabs_, &done);
    queue_.Push(done);
  }
}

absl::StatusOr<storage::ResourceId> stg_engine::Register(const storage::Resource& resource) {
  Entry entry(this);
  if (!entry.allowed()) return Closing();
  absl::StatusOr<storage::ResourceId> id = engine_->Register(resource);
  if (!id.ok()) return id;
  int32_t known = resources_.load();
  while (known <= *id && !resources_.compare_exchange_weak(known, *id + 1)) {
  }
  return id;
}

absl::Status stg_engine::Check(const std::string& name) {
  Entry entry(this);
  if (!entry.allowed()) return Closing();
  storage::Engine* engine = engine_.get();
  return checks_.Run(name, [engine, name]() -> absl::Status {
    if (name == "engine") return engine->CheckEngine();
    if (name == "metadata") return engine->CheckMetadata();
    return engine->CheckBackend(name);
  });
}

absl::StatusOr<std::string> stg_engine::Info(std::string_view what) {
  if (what == "buffers") return slabs_.StatsJson();  // also after Shutdown
  Entry entry(this);
  if (!entry.allowed()) return Closing();
  if (what == "layout") return engine_->LayoutJson();
  if (what == "backends") {
    std::string json = "[";
    for (const std::string& name : engine_->BackendNames()) {
      absl::StrAppend(&json, json.size() > 1 ? ",\"" : "\"", name, "\"");
    }
    return json + "]";
  }
  if (what != "stats") {
    return MakeStatus(Code::kInvalid, absl::StrCat("unknown information \"",
                                                   absl::string_view(what.data(), what.size()),
                                                   "\"; known: stats, layout, backends, buffers"));
  }
  std::string json = engine_->StatsJson();
  const size_t end = json.find_last_of('}');
  if (end == std::string::npos)
    return MakeStatus(Code::kInternal, "the statistics are no JSON object");
  json.resize(end);
  const size_t last = json.find_last_not_of(" \t\r\n");
  if (last != std::string::npos && json[last] != '{') json += ",";
  absl::StrAppend(&json, "\"operations\":{\"in_flight\":", ops_.in_flight(),
                  ",\"inline\":", inline_total_.load(), ",\"queued\":", queued_total_.load(),
                  "},\"buffers\":", slabs_.StatsJson(), "}");
  return json;
}
