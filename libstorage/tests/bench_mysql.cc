// Measures the MySQL backend alone, beside raw autocommit inserts and raw selects,
// as text and prepared, on the same server:
//   bench_mysql mysql://user:password@tcp(host:port)/database [seconds]
// (an empty database that may be filled) prints one line per number.
#include <mysql.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "src/backend/mysql/mysql_backend.h"

namespace storage {
namespace {

constexpr size_t kValueBytes = 1169;  // a Pod of the bench, protobuf
double seconds_each = 3;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

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

// The client library as a program without libstorage would use it.
class Raw {
 public:
  explicit Raw(const MysqlOptions& options) : db_(mysql_init(nullptr)) {
    unsigned protocol = options.socket.empty() ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;
    mysql_optionsv(db_, MYSQL_OPT_PROTOCOL, &protocol);
    const bool connected =
        mysql_real_connect(db_, options.host.c_str(), options.user.c_str(),
                           options.password.c_str(), options.database.c_str(),
                           static_cast<unsigned>(options.port),
                           options.socket.empty() ? nullptr : options.socket.c_str(), 0) != nullptr;
    Must(connected);
    Run("CREATE TABLE IF NOT EXISTS raw(k VARBINARY(1024) PRIMARY KEY, value LONGBLOB NOT NULL)");
    statement_ = mysql_stmt_init(db_);
    constexpr std::string_view kGet = "SELECT value FROM stg_objects WHERE k = ?";
    Must(mysql_stmt_prepare(statement_, kGet.data(), kGet.size()) == 0);
  }
  ~Raw() {
    mysql_stmt_close(statement_);
    mysql_close(db_);
  }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;

  void Run(const std::string& sql) {
    Must(mysql_real_query(db_, sql.data(), sql.size()) == 0);
    MYSQL_RES* const rows = mysql_store_result(db_);
    if (rows != nullptr) mysql_free_result(rows);
  }
  void Insert(const std::string& key, const std::string& value) {
    Run("INSERT INTO raw VALUES('" + key + "', '" + value + "')");
  }
  void Get(const std::string& key) { Run("SELECT value FROM stg_objects WHERE k = '" + key + "'"); }
  void GetPrepared(const std::string& key) {
    MYSQL_BIND in{};
    in.buffer_type = MYSQL_TYPE_BLOB;
    in.buffer = const_cast<char*>(key.data());
    in.buffer_length = key.size();
    Must(mysql_stmt_bind_param(statement_, &in) == 0 && mysql_stmt_execute(statement_) == 0);
    MYSQL_BIND out{};
    out.buffer_type = MYSQL_TYPE_BLOB;
    out.buffer = buffer_;
    out.buffer_length = sizeof(buffer_);
    Must(mysql_stmt_bind_result(statement_, &out) == 0 && mysql_stmt_store_result(statement_) == 0);
    mysql_stmt_fetch(statement_);
    mysql_stmt_free_result(statement_);
  }

 private:
  void Must(bool done) {
    if (done) return;
    std::fprintf(stderr, "%s\n", mysql_error(db_));
    std::exit(1);
  }
  MYSQL* const db_;
  MYSQL_STMT* statement_ = nullptr;
  char buffer_[4096];
};

class Bench {
 public:
  explicit Bench(const MysqlOptions& options) {
    auto backend = OpenMysqlBackend(options);
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
    Measure("raw select, text", 1, [&] { raw->Get(key()); });
    Measure("raw select, prepared", 1, [&] { raw->GetPrepared(key()); });
    Measure("get", 1, [&] { Check(backend_->Get(key(), sink)); });
    const Range pods{"/registry/pods/", "/registry/pods0"};
    const int64_t head = (*backend_->OpenSnapshot())->lane().head;
    Measure("snapshot open + close", 1, [&] { Check(backend_->OpenSnapshot().status()); });
    Measure("count, a whole kind", 1,
            [&] { Check((*backend_->OpenSnapshot())->Count(pods, 0).status()); });
    Measure("count, a namespace of 50", 1, [&] {
      const Range range{"/registry/pods/ns-1/", "/registry/pods/ns-10"};
      Check((*backend_->OpenSnapshot())->Count(range, 0).status());
    });
    Measure("raw count by the table's pages", 1, [&] {
      raw->Run(
          "SELECT COUNT(*) FROM stg_objects IGNORE INDEX(objects_key, objects_expiry) WHERE k "
          "BETWEEN '/registry/pods/ns-1/' AND '/registry/pods/ns-10'");
    });
    Measure("list of 500", 500,
            [&] { Check((*backend_->OpenSnapshot())->List(pods, 0, 500, sink)); });
    for (const int64_t back : {int64_t{1000}, int64_t{20000}}) {
      const std::string what = "list of 500, " + std::to_string(back) + " revisions ago";
      Measure(what.c_str(), 500, [&] {
        Check(
            (*backend_->OpenSnapshot())->List(pods, std::max<int64_t>(1, head - back), 500, sink));
      });
    }
    Measure("list all", keys_.size(),
            [&] { Check((*backend_->OpenSnapshot())->List(pods, 0, 0, sink)); });
    Measure("1,000 events", 1000, [&] {
      Check((*backend_->OpenSnapshot())->Events(Range(), head - 1000, head, 0, [](const EventRow&) {
        return true;
      }));
    });
    std::printf("%zu objects, head %ld\n", keys_.size(), head);
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
  std::mt19937_64 random_{1};
  size_t next_ = 0;
  std::unique_ptr<Backend> backend_;
  std::vector<std::string> keys_;
};

}  // namespace
}  // namespace storage

int main(int argc, char** argv) {
  storage::MysqlOptions options;
  options.name = "bench";
  if (argc < 2 || !storage::ReadMysqlDsn(argv[1], &options).ok()) {
    std::fprintf(stderr, "usage: bench_mysql mysql://user:password@tcp(host:port)/db [seconds]\n");
    return 2;
  }
  if (argc > 2) storage::seconds_each = std::atof(argv[2]);
  storage::Bench bench(options);
  storage::Raw raw(options);
  storage::Measure("raw autocommit insert", 1, [&] { raw.Insert(bench.NewKey(), bench.value()); });
  bench.Writes("create, 1 per commit", storage::ChangeKind::kCreate, 1);
  bench.Writes("create, 16 per commit", storage::ChangeKind::kCreate, 16);
  bench.Writes("create, 64 per commit", storage::ChangeKind::kCreate, 64);
  bench.Writes("update, 1 per commit", storage::ChangeKind::kUpdate, 1);
  bench.Writes("update, 64 per commit", storage::ChangeKind::kUpdate, 64);
  bench.Reads(&raw);
  bench.Compact();
  return 0;
}
