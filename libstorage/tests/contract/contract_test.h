// The fixture of the contract suite. A backend's test file includes the parts
// of the suite and instantiates them with INSTANTIATE_CONTRACT.
#ifndef LIBSTORAGE_TESTS_CONTRACT_CONTRACT_TEST_H_
#define LIBSTORAGE_TESTS_CONTRACT_CONTRACT_TEST_H_

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/contract/harness.h"

#define EXPECT_OK(expression) EXPECT_EQ((expression), absl::OkStatus())
#define ASSERT_OK(expression) ASSERT_EQ((expression), absl::OkStatus())
#define EXPECT_CODE(expression, code) \
  EXPECT_STREQ(CodeName(CodeOf(expression)), CodeName(Code::code)) << (expression)

namespace storage::contract {

using testing::ElementsAre;
using testing::IsEmpty;

class ContractTest : public testing::TestWithParam<Factory> {
 protected:
  void SetUp() override { Open(); }

  void Open() {
    backend_.reset();
    auto backend = GetParam().open(dir_.path());
    ASSERT_TRUE(backend.ok()) << backend.status();
    backend_ = *std::move(backend);
  }

  // An adopted lane, as the engine leaves it at start.
  void Start() { ASSERT_OK(Adopt(backend_.get(), Us(), 0)); }

  std::unique_ptr<Snapshot> Look() {
    auto snapshot = backend_->OpenSnapshot();
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    return snapshot.ok() ? *std::move(snapshot) : nullptr;
  }
  std::unique_ptr<LaneTxn> Begin() {
    auto txn = backend_->BeginLane();
    EXPECT_TRUE(txn.ok()) << txn.status();
    return txn.ok() ? *std::move(txn) : nullptr;
  }
  std::string LaneText() { return Print(Look()->lane()); }
  std::string StatsText() {
    const auto stats = backend_->Stats();
    return stats.ok() ? Print(*stats) : stats.status().ToString();
  }
  Backend* backend() { return backend_.get(); }

  const TempDir dir_;
  std::unique_ptr<Backend> backend_;
};

// What only a database that outlives its process can keep.
class PersistentTest : public ContractTest {};

#define INSTANTIATE_CONTRACT(fixture, ...)                                  \
  INSTANTIATE_TEST_SUITE_P(Contract, fixture, testing::Values(__VA_ARGS__), \
                           [](const auto& p) { return p.param.name; })

}  // namespace storage::contract

#endif  // LIBSTORAGE_TESTS_CONTRACT_CONTRACT_TEST_H_
