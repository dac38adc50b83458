// How long the stopped part of a migration takes, without and with copies made ahead beside
// an engine that writes:
//   bench_migrate ONE OTHER [objects]     endpoints of empty databases that may be filled
// moves them from ONE to OTHER and, ahead, back; prints one line per number. All else is in
// /dev/shm/bench_migrate. docs/adr/0007-migrate.md quotes it.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "src/engine/migrate.h"

namespace storage {
namespace {

constexpr size_t kValueBytes = 1169;  // a Pod of the bench, protobuf
constexpr int kWriters = 4;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

std::string KeyOf(int64_t i) { return absl::StrCat("/registry/pods/ns/pod-", i); }

// Asynchronous: fills as fast as the lane goes.
class Writes {
 public:
  Writes(Engine* engine, ResourceId pods) : engine_(engine), pods_(pods) {}
  void Put(int64_t i, char fill) {
    auto op = std::make_shared<WriteOp>();
    op->resource = pods_;
    op->key = KeyOf(i);
    op->value = Blob(std::string(kValueBytes, fill));
    op->expected = WriteOp::kAnyRevision;
    op->done = [this](WriteResult&& result) {
      if (result.code != Code::kOk) Check(result.error);
      std::lock_guard<std::mutex> lock(mutex_);
      --open_;
      done_.notify_all();
    };
    {
      std::unique_lock<std::mutex> lock(mutex_);
      done_.wait(lock, [&] { return open_ < kMostOpen; });
      ++open_;
    }
    engine_->Write(op);
  }
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [&] { return open_ == 0; });
  }

 private:
  static constexpr int kMostOpen = 500;
  Engine* const engine_;
  const ResourceId pods_;
  std::mutex mutex_;
  std::condition_variable done_;
  int open_ = 0;
};

class Bench {
 public:
  Bench(std::string one, std::string other, int64_t objects)
      : one_(std::move(one)), other_(std::move(other)), objects_(objects) {}

  void Run() {
    Fill();
    double begin = Now();
    Migrate(one_, other_, false);
    std::printf("stopped, without --ahead     %7.2f s\n", Now() - begin);
    Ahead();
    begin = Now();
    Migrate(other_, one_, false);
    std::printf("stopped, with --ahead        %7.2f s\n", Now() - begin);
  }

 private:
  EngineOptions Options(const std::string& database) const {
    EngineOptions options;
    options.default_endpoint = "sqlite:///dev/shm/bench_migrate/default.db";
    options.topology_text = absl::StrCat("backends:\n- endpoint: \"", database,
                                         "\"\n  prefix: {name: p, prefix: pods}\n");
    return options;
  }
  std::unique_ptr<Engine> Open(const std::string& database) {
    auto engine = Engine::Open(Options(database));
    Check(engine.status());
    Resource pods;
    pods.resource = "pods";
    pods.root = "/registry/";
    pods.key_prefix = "/registry/pods/";
    pods.namespaced = true;
    const auto id = (*engine)->Register(pods);
    Check(id.status());
    pods_ = *id;
    return *std::move(engine);
  }
  void Fill() {
    auto engine = Open(one_);
    Writes writes(engine.get(), pods_);
    for (int64_t i = 0; i < objects_; ++i) writes.Put(i, 'f');
    writes.Wait();
    Check(engine->Close());
  }
  void Migrate(const std::string& from, const std::string& to, bool ahead) {
    MigrateOptions options;
    options.engine = Options(to);
    options.old_topology_text = Options(from).topology_text;
    options.ahead = ahead;
    std::string part;
    double begin = Now();
    options.progress = [&](const char* what, int64_t, int64_t) {
      if (part == what) return;
      if (!ahead) std::printf("  %6.2f s until %s\n", Now() - begin, what);
      part = what;
    };
    options.pass_done = [&](const AheadPass& pass) {
      std::printf("  pass: %lld copied, %lld replaced, %lld removed in %.2f s\n",
                  static_cast<long long>(pass.counts.copied),
                  static_cast<long long>(pass.counts.replaced),
                  static_cast<long long>(pass.counts.discarded), pass.seconds);
    };
    auto migration = Migration::Open(std::move(options));
    Check(migration.status());
    Check((*migration)->Run());
  }
  void Ahead() {
    auto engine = Open(other_);
    std::atomic<bool> stop = false;
    std::atomic<int64_t> written = 0;
    std::vector<std::thread> writers;
    const double begin = Now();
    for (int w = 0; w < kWriters; ++w) {
      writers.emplace_back([&, w] {
        Writes writes(engine.get(), pods_);
        for (int64_t i = w; !stop; i += kWriters, ++written) {
          writes.Put(i * 7919 % objects_, 'u');
          writes.Wait();
        }
      });
    }
    Migrate(other_, one_, true);
    const double took = Now() - begin;
    stop = true;
    for (std::thread& writer : writers) writer.join();
    std::printf("ahead, under load            %7.2f s, %.0f writes/s beside it\n", took,
                static_cast<double>(written) / took);
    Check(engine->Close());
  }

  const std::string one_, other_;
  const int64_t objects_;
  ResourceId pods_ = -1;
};

}  // namespace
}  // namespace storage

int main(int argc, char** argv) {
  int64_t objects = 50000;
  if (argc < 3 || (argc > 3 && !absl::SimpleAtoi(argv[3], &objects))) {
    std::fprintf(stderr, "usage: bench_migrate ONE OTHER [objects]\n");
    return 2;
  }
  storage::Bench(argv[1], argv[2], objects).Run();
  return 0;
}
