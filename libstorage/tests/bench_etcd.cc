// Measures the etcd backend beside raw transactions of the same puts:
//   bench_etcd http://127.0.0.1:2379 [rows]
// on an etcd that holds nothing else. Prints one line per number.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "src/backend/etcd/client.h"
#include "src/backend/etcd/etcd.h"

namespace storage {
namespace {

constexpr int64_t kValueBytes = 1169;  // a Pod of the bench, protobuf

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

template <typename Body>
void Measure(const char* what, int calls, double rows_per_call, const Body& body) {
  std::vector<double> seconds;
  const double begin = Now();
  for (int i = 0; i < calls; ++i) {
    const double before = Now();
    body(i);
    seconds.push_back(Now() - before);
  }
  const double wall = Now() - begin;
  std::sort(seconds.begin(), seconds.end());
  const auto at = [&](double q) {
    return seconds[static_cast<size_t>(q * static_cast<double>(calls - 1))] * 1e6;
  };
  std::printf("%-34s p50 %8.0f  p99 %9.0f us/call  %9.0f rows/s\n", what, at(0.5), at(0.99),
              rows_per_call * calls / wall);
  std::fflush(stdout);
}

class Bench {
 public:
  explicit Bench(const EtcdOptions& options) {
    auto client = etcd::Client::Create(options);
    Check(client.status());
    client_ = *std::move(client);
    auto backend = OpenEtcdBackend(options);
    Check(backend.status());
    backend_ = *std::move(backend);
    auto txn = *backend_->BeginLane();
    Check(txn->Adopt(owner_, txn->lane().head + 1));
    Check(txn->Commit());
  }

  void RawPuts(int batch) {
    etcd::pb::TxnRequest request;
    for (int i = 0; i < batch; ++i) {
      auto* const put = request.add_success()->mutable_request_put();
      put->set_key(NewKey());
      put->set_value(value_);
    }
    etcd::pb::TxnResponse response;
    Check(client_->Write(request, &response));
  }

  void Batch(ChangeKind kind, const std::vector<std::string>& keys) {
    auto txn = backend_->BeginLane();
    Check(txn.status());
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<Current> current(keys.size());
    Check((*txn)->Read(views, absl::MakeSpan(current)));
    const int64_t first = (*txn)->lane().head + 1;
    std::vector<Mutation> mutations;
    for (const std::string& key : keys) {
      mutations.push_back(Mutation{kind, "/registry/pods/", key, value_, attrs_,
                                   first + static_cast<int64_t>(mutations.size())});
    }
    Check((*txn)->Apply(mutations, first));
    Check((*txn)->Guard(owner_, first, first + static_cast<int64_t>(keys.size()) - 1));
    Check((*txn)->Commit());
  }

  void Creates(int batch) {
    std::vector<std::string> keys;
    for (int i = 0; i < batch; ++i) keys.push_back(NewKey());
    Batch(ChangeKind::kCreate, keys);
    keys_.insert(keys_.end(), keys.begin(), keys.end());
  }

  void Updates(int batch) {
    std::vector<std::string> keys;
    for (int i = 0; i < batch; ++i) keys.push_back(keys_[next_++ % keys_.size()]);
    Batch(ChangeKind::kUpdate, keys);
  }

  void Reads() {
    int64_t bytes = 0;
    const RowSink sink = [&](const Row& row) {
      bytes += static_cast<int64_t>(row.value.size());
      return true;
    };
    const Range pods{"/registry/pods/", "/registry/pods0"};
    const int64_t head = (*backend_->OpenSnapshot())->lane().head;
    Measure("get", 1000, 1, [&](int i) {
      Check(backend_->Get(keys_[static_cast<size_t>(i) % keys_.size()], sink));
    });
    Measure("snapshot open + close", 500, 1,
            [&](int) { Check(backend_->OpenSnapshot().status()); });
    Measure("list all", 3, static_cast<double>(keys_.size()),
            [&](int) { Check((*backend_->OpenSnapshot())->List(pods, 0, 0, sink)); });
    Measure("list of 500", 20, 500,
            [&](int) { Check((*backend_->OpenSnapshot())->List(pods, 0, 500, sink)); });
    Measure("list of 500, 1000 revisions ago", 20, 500,
            [&](int) { Check((*backend_->OpenSnapshot())->List(pods, head - 1000, 500, sink)); });
    Measure("1,000 events", 10, 1000, [&](int) {
      Check((*backend_->OpenSnapshot())->Events(Range(), head - 1000, head, 0, [](const EventRow&) {
        return true;
      }));
    });
  }

 private:
  std::string NewKey() {
    char text[96];
    std::snprintf(text, sizeof(text), "/registry/pods/ns-%d/pod-%09d", serial_ % 50, serial_);
    ++serial_;
    return text;
  }

  const LaneOwner owner_{"0123456789abcdef0123456789abcdef", 1, 1};
  const std::string value_ = std::string(kValueBytes, 'v');
  const std::string attrs_ = std::string(60, 'a');
  int serial_ = 0;
  size_t next_ = 0;
  std::vector<std::string> keys_;
  std::unique_ptr<etcd::Client> client_;
  std::unique_ptr<Backend> backend_;
};

}  // namespace
}  // namespace storage

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_etcd ENDPOINTS [rows]\n");
    return 2;
  }
  storage::EtcdOptions options;
  options.name = "bench";
  options.endpoints = argv[1];
  storage::Bench bench(options);
  const int rows = argc > 2 ? std::atoi(argv[2]) : 3000;
  for (const int batch : {1, 16, 40}) {
    const int calls = std::max(50, rows / batch);
    const std::string per = ", " + std::to_string(batch) + " per commit";
    const auto measure = [&](const char* what, const auto& body) {
      storage::Measure((what + per).c_str(), calls, batch, [&](int) { body(); });
    };
    measure("raw put", [&] { bench.RawPuts(batch); });
    measure("create", [&] { bench.Creates(batch); });
    measure("update", [&] { bench.Updates(batch); });
  }
  bench.Reads();
  return 0;
}
