// Measures the SQLite backend alone, beside the limits of the disk it is on:
//   bench_sqlite DIR [rows]
// prints one line per number. docs/adr/0002-sqlite-layout.md quotes it.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "src/backend/sqlite/sqlite.h"

namespace storage {
namespace {

constexpr int64_t kValueBytes = 1169;  // a Pod of the bench, protobuf

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double Cpu() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

// us per call: p50 and p99.
void Report(const char* what, std::vector<double> seconds, double wall, double cpu,
            double per_call) {
  std::sort(seconds.begin(), seconds.end());
  const auto at = [&](double q) {
    return seconds[static_cast<size_t>(q * static_cast<double>(seconds.size() - 1))] * 1e6;
  };
  const double rows = static_cast<double>(seconds.size()) * per_call;
  std::printf("%-34s p50 %8.1f  p99 %9.1f us/call  %7.1f us/row wall  %6.1f us/row cpu\n", what,
              at(0.5), at(0.99), wall / rows * 1e6, cpu / rows * 1e6);
}

template <typename Body>
void Measure(const char* what, int calls, double per_call, const Body& body) {
  std::vector<double> seconds;
  const double begin = Now();
  const double cpu = Cpu();
  for (int i = 0; i < calls; ++i) {
    const double before = Now();
    body(i);
    seconds.push_back(Now() - before);
  }
  Report(what, std::move(seconds), Now() - begin, Cpu() - cpu, per_call);
}

void MeasureDisk(const std::string& directory) {
  const std::string path = directory + "/bench-append";
  const std::string page(4096, 'x');
  for (const bool preallocated : {false, true}) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT, 0600);
    const int calls = 1000;
    if (preallocated) {
      for (int i = 0; i < calls; ++i) {
        if (pwrite(fd, page.data(), page.size(), i * 4096) < 0) std::exit(1);
      }
      fsync(fd);
    }
    Measure(preallocated ? "disk: 4 KiB over + fdatasync" : "disk: 4 KiB append + fdatasync", calls,
            1, [&](int i) {
              if (pwrite(fd, page.data(), page.size(), i * 4096) < 0) std::exit(1);
              fdatasync(fd);
            });
    close(fd);
    unlink(path.c_str());
  }
}

class Bench {
 public:
  Bench(const std::string& path, const std::string& sync, bool random_keys)
      : random_keys_(random_keys) {
    SqliteOptions options;
    options.name = "bench";
    options.path = path;
    options.options["_synchronous"] = sync;
    auto backend = OpenSqliteBackend(options);
    Check(backend.status());
    backend_ = *std::move(backend);
    auto txn = *backend_->BeginLane();
    Check(txn->Adopt(owner_, 0));
    Check(txn->Commit());
    txn.reset();
    while (*backend_->Maintain(true)) {
    }
  }

  void Batch(ChangeKind kind, const std::vector<std::string>& keys) {
    auto txn = backend_->BeginLane();
    Check(txn.status());
    std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<Current> current(keys.size());
    Check((*txn)->Read(views, absl::MakeSpan(current)));
    const int64_t first = (*txn)->lane().head + 1;
    std::vector<Mutation> mutations(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      mutations[i] = Mutation{
          kind, "/registry/pods/", keys[i], value_, attrs_, first + static_cast<int64_t>(i)};
    }
    const int64_t last = first + static_cast<int64_t>(keys.size()) - 1;
    Check((*txn)->Apply(mutations, first));
    Check((*txn)->Guard(owner_, first, last));
    Check((*txn)->Commit());
    txn->reset();
    Check(backend_->Maintain(false).status());
  }

  void Writes(const char* what, ChangeKind kind, int calls, size_t batch) {
    std::vector<std::vector<std::string>> batches(static_cast<size_t>(calls));
    size_t next = 0;
    if (kind != ChangeKind::kCreate) std::shuffle(keys_.begin(), keys_.end(), random_);
    for (auto& keys : batches) {
      for (size_t i = 0; i < batch; ++i) {
        if (kind == ChangeKind::kCreate) {
          keys_.push_back(NewKey());
          keys.push_back(keys_.back());
        } else {
          keys.push_back(keys_[next++ % keys_.size()]);
        }
      }
    }
    if (kind == ChangeKind::kDelete)
      keys_.erase(keys_.begin(), keys_.begin() + static_cast<long>(next));
    Measure(what, calls, static_cast<double>(batch),
            [&](int i) { Batch(kind, batches[static_cast<size_t>(i)]); });
  }

  void Reads() {
    int64_t bytes = 0;
    const RowSink sink = [&](const Row& row) {
      bytes += static_cast<int64_t>(row.value.size());
      return true;
    };
    Measure("get, warm", 20000, 1,
            [&](int i) { Check(backend_->Get(keys_[static_cast<size_t>(i) % 100], sink)); });
    Measure("get, any key", 20000, 1, [&](int i) {
      Check(backend_->Get(keys_[static_cast<size_t>(i) * 7919 % keys_.size()], sink));
    });
    const Range pods{"/registry/pods/", "/registry/pods0"};
    Measure("snapshot open + close", 2000, 1,
            [&](int) { Check(backend_->OpenSnapshot().status()); });
    Measure("count, a whole kind", 200, 1,
            [&](int) { Check((*backend_->OpenSnapshot())->Count(pods, 0).status()); });
    Measure("count, a namespace", 50, 1, [&](int) {
      const Range range{"/registry/pods/ns-1", "/registry/pods/ns-2"};
      Check((*backend_->OpenSnapshot())->Count(range, 0).status());
    });
    Measure("list all", 3, static_cast<double>(keys_.size()),
            [&](int) { Check((*backend_->OpenSnapshot())->List(pods, 0, 0, sink)); });
    Measure("list of 500", 20, 500,
            [&](int) { Check((*backend_->OpenSnapshot())->List(pods, 0, 500, sink)); });
    const int64_t head = (*backend_->OpenSnapshot())->lane().head;
    for (const int64_t back : {1000, 20000}) {
      const std::string what = "list of 500, " + std::to_string(back) + " revisions ago";
      Measure(what.c_str(), 20, 500,
              [&](int) { Check((*backend_->OpenSnapshot())->List(pods, head - back, 500, sink)); });
    }
    Measure("1,000 events", 20, 1000, [&](int) {
      Check((*backend_->OpenSnapshot())->Events(Range(), head - 1000, head, 0, [](const EventRow&) {
        return true;
      }));
    });
  }

  void Compact() {
    auto txn = *backend_->BeginLane();
    Check(txn->RaiseFloor(owner_, txn->lane().head));
    Check(txn->Commit());
    txn.reset();
    const int64_t rows = backend_->Stats()->history_rows;
    Measure("delete 500 events", static_cast<int>(rows / 500), 500,
            [&](int) { Check(backend_->DeleteHistory(500).status()); });
    int steps = 0;
    const double begin = Now();
    double longest = 0;
    for (bool more = true; more; ++steps) {
      const double before = Now();
      more = *backend_->Maintain(true);
      longest = std::max(longest, Now() - before);
    }
    std::printf("%-34s %d steps, %.1f ms, longest %.1f ms\n", "maintain until nothing is left",
                steps, (Now() - begin) * 1e3, longest * 1e3);
  }

  void Size(const char* what) {
    const auto stats = backend_->Stats();
    struct rusage usage {};
    getrusage(RUSAGE_SELF, &usage);
    std::printf("%-34s file %.1f MB, free %.1f MB, history %ld rows, peak rss %ld MB\n", what,
                static_cast<double>(stats->file_bytes) / 1e6,
                static_cast<double>(stats->free_bytes) / 1e6, stats->history_rows,
                usage.ru_maxrss / 1024);
  }

 private:
  std::string NewKey() {
    char text[96];
    std::snprintf(text, sizeof(text), "/registry/pods/ns-%d/pod-%016llx",
                  static_cast<int>(random_() % 50),
                  static_cast<unsigned long long>(random_keys_ ? random_() : ++serial_));
    return text;
  }

  const LaneOwner owner_{"0123456789abcdef0123456789abcdef", 1, 1};
  const std::string value_ = std::string(kValueBytes, 'v');
  const std::string attrs_ = std::string(60, 'a');
  const bool random_keys_;
  std::mt19937_64 random_{1};
  uint64_t serial_ = 0;
  std::unique_ptr<Backend> backend_;
  std::vector<std::string> keys_;
};

void Run(const std::string& directory, const std::string& sync, int rows) {
  const std::string path = directory + "/bench.db";
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) unlink((path + suffix).c_str());
  std::printf("--- synchronous=%s, %d rows\n", sync.c_str(), rows);
  Bench bench(path, sync, true);
  bench.Writes("create, 64 per commit", ChangeKind::kCreate, rows / 64, 64);
  bench.Writes("create, 16 per commit", ChangeKind::kCreate, 300, 16);
  bench.Writes("create, 1 per commit", ChangeKind::kCreate, 2000, 1);
  bench.Writes("update, 64 per commit", ChangeKind::kUpdate, rows / 128, 64);
  bench.Writes("update, 1 per commit", ChangeKind::kUpdate, 2000, 1);
  bench.Size("after the writes");
  bench.Reads();
  bench.Writes("delete, 64 per commit", ChangeKind::kDelete, rows / 256, 64);
  bench.Compact();
  bench.Size("after compaction");
}

}  // namespace
}  // namespace storage

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_sqlite DIR [rows]\n");
    return 2;
  }
  storage::MeasureDisk(argv[1]);
  const int rows = argc > 2 ? std::atoi(argv[2]) : 50000;
  for (const char* sync : {"OFF", "FULL"}) storage::Run(argv[1], sync, rows);
  return 0;
}
