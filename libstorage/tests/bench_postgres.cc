// Measures the PostgreSQL backend alone, beside raw autocommit inserts and prepared
// selects on the same server:
//   bench_postgres URI [seconds]        URI of an empty database that may be filled
// prints one line per number. docs/format-postgres.md quotes it.
#include <libpq-fe.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "src/backend/postgres/postgres.h"

namespace storage {
namespace {

constexpr size_t kValueBytes = 1169;  // a Pod of the bench, protobuf

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

double seconds_each = 3;

// Calls body again and again for some seconds.
template <typename Body>
void Measure(const char* what, size_t rows, const Body& body) {
  std::vector<double> took;
  const double begin = Now();
  for (double now = begin; now - begin < seconds_each;) {
    body();
    const double end = Now();
    took.push_back(end - now);
    now = end;
  }
  const double wall = Now() - begin;
  std::sort(took.begin(), took.end());
  const auto at = [&](double q) {
    return took[static_cast<size_t>(q * static_cast<double>(took.size() - 1))] * 1e6;
  };
  const double calls = static_cast<double>(took.size());
  std::printf("%-34s p50 %8.1f  p99 %9.1f us/call  %7.0f calls/s  %8.0f rows/s\n", what, at(0.5),
              at(0.99), calls / wall, calls * static_cast<double>(rows) / wall);
}

class Raw {
 public:
  explicit Raw(const char* uri) : db_(PQconnectdb(uri)) {
    Run("CREATE TABLE IF NOT EXISTS raw(key bytea PRIMARY KEY, value bytea NOT NULL)");
    Run("TRUNCATE raw");
    PQclear(PQprepare(db_, "put", "INSERT INTO raw VALUES($1, $2)", 2, nullptr));
    PQclear(
        PQprepare(db_, "get", "SELECT value FROM libstorage.objects WHERE key = $1", 1, nullptr));
  }
  ~Raw() { PQfinish(db_); }
  void Insert(const std::string& key, const std::string& value) {
    Exec("put", {key, value}, PGRES_COMMAND_OK);
  }
  void Get(const std::string& key) { Exec("get", {key}, PGRES_TUPLES_OK); }
  void Run(const char* sql) { Done(PQexec(db_, sql), PGRES_COMMAND_OK); }

 private:
  void Exec(const char* name, const std::vector<std::string>& bytes, ExecStatusType expected) {
    const char* values[2];
    int lengths[2], formats[2] = {1, 1};
    for (size_t i = 0; i < bytes.size(); ++i) {
      values[i] = bytes[i].data();
      lengths[i] = static_cast<int>(bytes[i].size());
    }
    Done(PQexecPrepared(db_, name, static_cast<int>(bytes.size()), values, lengths, formats, 1),
         expected);
  }
  void Done(PGresult* result, ExecStatusType expected) {
    if (PQresultStatus(result) != expected) {
      std::fprintf(stderr, "%s\n", PQerrorMessage(db_));
      std::exit(1);
    }
    PQclear(result);
  }
  PGconn* const db_;
};

class Bench {
 public:
  Bench(const char* uri, bool notify) {
    PostgresOptions options;
    options.name = "bench";
    options.conninfo = uri;
    options.notify = notify;
    auto backend = OpenPostgresBackend(options);
    Check(backend.status());
    backend_ = *std::move(backend);
    auto txn = *backend_->BeginLane();
    Check(txn->Adopt(owner_, 0));
    Check(txn->Commit());
  }

  void Batch(ChangeKind kind, size_t size) {
    std::vector<std::string> keys;
    for (size_t i = 0; i < size; ++i) {
      if (kind == ChangeKind::kCreate) keys_.push_back(NewKey());
      keys.push_back(kind == ChangeKind::kCreate ? keys_.back()
                                                 : keys_[next_++ * 7919 % keys_.size()]);
    }
    auto txn = backend_->BeginLane();
    Check(txn.status());
    std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<Current> current(size);
    Check((*txn)->Read(views, absl::MakeSpan(current)));
    const int64_t first = (*txn)->lane().head + 1;
    std::vector<Mutation> mutations(size);
    for (size_t i = 0; i < size; ++i) {
      mutations[i] = Mutation{
          kind, "/registry/pods/", keys[i], value_, attrs_, first + static_cast<int64_t>(i)};
    }
    const int64_t last = first + static_cast<int64_t>(size) - 1;
    Check((*txn)->Apply(mutations, first));
    Check((*txn)->Guard(owner_, first, last));
    Check((*txn)->Commit());
  }

  void Writes(const char* what, ChangeKind kind, size_t size) {
    Measure(what, size, [&] { Batch(kind, size); });
  }

  void Reads(Raw* raw) {
    int64_t bytes = 0;
    const RowSink sink = [&](const Row& row) {
      bytes += static_cast<int64_t>(row.value.size());
      return true;
    };
    size_t next = 0;
    const auto key = [&]() -> const std::string& { return keys_[next++ * 7919 % keys_.size()]; };
    Measure("raw prepared select", 1, [&] { raw->Get(key()); });
    Measure("get", 1, [&] { Check(backend_->Get(key(), sink)); });
    const Range pods{"/registry/pods/", "/registry/pods0"};
    const int64_t head = (*backend_->OpenSnapshot())->lane().head;
    Measure("snapshot open + close", 1, [&] { Check(backend_->OpenSnapshot().status()); });
    Measure("count, a whole kind", 1,
            [&] { Check((*backend_->OpenSnapshot())->Count(pods, 0).status()); });
    Measure("count, a namespace", 1, [&] {
      const Range range{"/registry/pods/ns-1/", "/registry/pods/ns-10"};
      Check((*backend_->OpenSnapshot())->Count(range, 0).status());
    });
    Measure("list of 500", 500,
            [&] { Check((*backend_->OpenSnapshot())->List(pods, 0, 500, sink)); });
    Measure("list of 500, 1,000 revisions ago", 500,
            [&] { Check((*backend_->OpenSnapshot())->List(pods, head - 1000, 500, sink)); });
    Measure("list all", keys_.size(),
            [&] { Check((*backend_->OpenSnapshot())->List(pods, 0, 0, sink)); });
    Measure("1,000 events", 1000, [&] {
      Check((*backend_->OpenSnapshot())->Events(Range(), head - 1000, head, 0, [](const EventRow&) {
        return true;
      }));
    });
    Measure("stats", 1, [&] { Check(backend_->Stats().status()); });
  }

  void Compact() {
    auto txn = *backend_->BeginLane();
    Check(txn->RaiseFloor(owner_, txn->lane().head));
    Check(txn->Commit());
    txn.reset();
    Measure("delete 500 events", 500, [&] { Check(backend_->DeleteHistory(500).status()); });
  }

  std::string NewKey() {
    char text[96];
    std::snprintf(text, sizeof(text), "/registry/pods/ns-%d/pod-%016llx",
                  static_cast<int>(random_() % 50), static_cast<unsigned long long>(random_()));
    return text;
  }
  const std::string& value() const { return value_; }

 private:
  const LaneOwner owner_{"0123456789abcdef0123456789abcdef", 1, 1};
  const std::string value_ = std::string(kValueBytes, 'v');
  const std::string attrs_ = std::string(60, 'a');
  std::mt19937_64 random_{std::random_device()()};
  std::unique_ptr<Backend> backend_;
  std::vector<std::string> keys_;
  size_t next_ = 0;
};

void Run(const char* uri) {
  Bench bench(uri, false);
  Raw raw(uri);
  Measure("raw autocommit insert", 1, [&] { raw.Insert(bench.NewKey(), bench.value()); });
  bench.Writes("create, 1 per commit", ChangeKind::kCreate, 1);
  bench.Writes("create, 16 per commit", ChangeKind::kCreate, 16);
  bench.Writes("create, 64 per commit", ChangeKind::kCreate, 64);
  bench.Writes("update, 1 per commit", ChangeKind::kUpdate, 1);
  bench.Writes("update, 16 per commit", ChangeKind::kUpdate, 16);
  bench.Writes("update, 64 per commit", ChangeKind::kUpdate, 64);
  {
    Bench notifying(uri, true);
    notifying.Writes("create, 1 per commit, with NOTIFY", ChangeKind::kCreate, 1);
  }
  raw.Run("VACUUM ANALYZE");
  bench.Reads(&raw);
  bench.Compact();
}

}  // namespace
}  // namespace storage

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_postgres URI [seconds]\n");
    return 2;
  }
  if (argc > 2) storage::seconds_each = std::atof(argv[2]);
  storage::Run(argv[1]);
  return 0;
}
