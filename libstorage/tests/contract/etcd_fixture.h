// What the tests of the etcd backend share: a server for each test, backends on
// it, and batches whose steps a test can interleave with something else.
#ifndef LIBSTORAGE_TESTS_CONTRACT_ETCD_FIXTURE_H_
#define LIBSTORAGE_TESTS_CONTRACT_ETCD_FIXTURE_H_

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "src/backend/etcd/etcd.h"
#include "tests/contract/contract_test.h"
#include "tests/contract/test_logger.h"
#include "tests/servers/cut_proxy.h"
#include "tests/servers/etcd_server.h"

namespace storage::contract {

class EtcdTest : public testing::Test {
 protected:
  void StartServer(const servers::EtcdSpec& spec = {}) {
    auto server = servers::EtcdServer::Start(spec);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  EtcdOptions Options(const std::string& endpoints = "") {
    EtcdOptions options;
    options.name = "shirts";
    options.endpoints = endpoints.empty() ? server_->Endpoints() : endpoints;
    options.logger = &logger_;
    return options;
  }
  std::unique_ptr<Backend> MustOpen(const std::string& endpoints = "") {
    auto backend = OpenEtcdBackend(Options(endpoints));
    EXPECT_TRUE(backend.ok()) << backend.status();
    return backend.ok() ? *std::move(backend) : nullptr;
  }
  // A server, and an adopted database on it.
  void StartDatabase(const servers::EtcdSpec& spec = {}) {
    StartServer(spec);
    backend_ = MustOpen();
    ASSERT_OK(Adopt(backend_.get(), Us(), 0));
  }
  Lines Rows(int64_t rev = 0) { return List(backend_->OpenSnapshot()->get(), All(), rev); }
  std::string LaneText() { return Print((*backend_->OpenSnapshot())->lane()); }
  bool HasToken(int64_t token) { return *(*backend_->OpenSnapshot())->HasToken(token); }

  // Up to the guard; what is left is Commit.
  std::unique_ptr<LaneTxn> Prepare(Backend* backend, const std::vector<Op>& ops,
                                   int64_t token = 0) {
    auto txn = backend->BeginLane();
    EXPECT_TRUE(txn.ok()) << txn.status();
    const int64_t first = (*txn)->lane().head + 1;
    std::vector<std::string> collections;
    for (const Op& op : ops) collections.push_back(CollectionOf(op.key));
    EXPECT_OK((*txn)->Apply(Mutations(ops, collections, first), token));
    EXPECT_OK((*txn)->Guard(Us(), first, first + static_cast<int64_t>(ops.size()) - 1));
    return *std::move(txn);
  }
  static absl::Status Void(Backend* backend, int64_t to) {
    auto txn = backend->BeginLane();
    if (!txn.ok()) return txn.status();
    const absl::Status status = (*txn)->Void(Us(), to);
    return status.ok() ? (*txn)->Commit() : status;
  }

  TestLogger logger_;
  std::unique_ptr<servers::EtcdServer> server_;
  std::unique_ptr<Backend> backend_;
};

// What an outage may last before callers are told: below the watch cache's 3 s.
inline bool WithinThreeSeconds(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::steady_clock::now() - begin < std::chrono::seconds(3);
}

}  // namespace storage::contract

#endif  // LIBSTORAGE_TESTS_CONTRACT_ETCD_FIXTURE_H_
