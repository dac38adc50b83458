// etcd may execute a request and answer that it has no space (its quotaApplierV3): here
// by a server between us and it that does so on demand.
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "src/backend/etcd/rpc.grpc.pb.h"
#include "tests/contract/etcd_fixture.h"

namespace storage::contract {
namespace {

namespace pb = ::etcdserverpb;

constexpr char kNoSpaceText[] = "etcdserver: mvcc: database space exceeded";

enum class Mood { kHonest, kExecutesAndRefuses, kRefuses, kExecutesAndFallsSilent };

// Passes everything on to one etcd, but for transactions that write while it is in a mood.
class Moody final : public pb::KV::Service {
 public:
  explicit Moody(int port)
      : channel_(grpc::CreateChannel(absl::StrCat("127.0.0.1:", port),
                                     grpc::InsecureChannelCredentials())),
        kv_(pb::KV::NewStub(channel_)),
        maintenance_(pb::Maintenance::NewStub(channel_)),
        status_(maintenance_.get()) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    builder.RegisterService(&status_);
    server_ = builder.BuildAndStart();
  }
  ~Moody() override { server_->Shutdown(); }

  int port() const { return port_; }
  std::atomic<Mood> mood{Mood::kHonest};

  grpc::Status Range(grpc::ServerContext*, const pb::RangeRequest* request,
                     pb::RangeResponse* response) override {
    grpc::ClientContext context;
    return kv_->Range(&context, *request, response);
  }
  grpc::Status Txn(grpc::ServerContext*, const pb::TxnRequest* request,
                   pb::TxnResponse* response) override {
    bool writes = false;
    for (const pb::RequestOp& op : request->success()) writes |= !op.has_request_range();
    const Mood now = mood;
    if (silent_) return {grpc::StatusCode::UNAVAILABLE, "etcdserver: no leader"};
    if (writes && now == Mood::kRefuses) {
      return {grpc::StatusCode::RESOURCE_EXHAUSTED, kNoSpaceText};
    }
    grpc::ClientContext context;
    grpc::Status status = kv_->Txn(&context, *request, response);
    if (!writes || now == Mood::kHonest) return status;
    silent_ = now == Mood::kExecutesAndFallsSilent;
    return {grpc::StatusCode::RESOURCE_EXHAUSTED, kNoSpaceText};
  }
  grpc::Status Compact(grpc::ServerContext*, const pb::CompactionRequest* request,
                       pb::CompactionResponse* response) override {
    grpc::ClientContext context;
    return kv_->Compact(&context, *request, response);
  }
  void Speak() { silent_ = false; }

 private:
  class StatusOf final : public pb::Maintenance::Service {
   public:
    explicit StatusOf(pb::Maintenance::Stub* stub) : stub_(stub) {}
    grpc::Status Status(grpc::ServerContext*, const pb::StatusRequest* request,
                        pb::StatusResponse* response) override {
      grpc::ClientContext context;
      return stub_->Status(&context, *request, response);
    }

   private:
    pb::Maintenance::Stub* const stub_;
  };

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<pb::KV::Stub> kv_;
  const std::unique_ptr<pb::Maintenance::Stub> maintenance_;
  StatusOf status_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::atomic<bool> silent_{false};
};

class EtcdSpace : public EtcdTest {
 protected:
  void SetUp() override {
    StartDatabase();
    moody_ = std::make_unique<Moody>(server_->port());
    backend_.reset();
    backend_ = MustOpen(absl::StrCat("http://127.0.0.1:", moody_->port()));
    ASSERT_OK(Write(backend_.get(), {Create("/a/1", "v")}));
  }
  void TearDown() override { backend_.reset(); }

  std::unique_ptr<Moody> moody_;
};

TEST_F(EtcdSpace, WhatWasExecutedIsNotRefused) {
  moody_->mood = Mood::kExecutesAndRefuses;
  EXPECT_OK(Write(backend_.get(), {Create("/a/2", "v")})) << "it is there for every reader";
  moody_->mood = Mood::kHonest;
  EXPECT_EQ(Rows().size(), 2u);
  EXPECT_OK(Write(backend_.get(), {Create("/a/3", "v")}));
  EXPECT_EQ(Rows().size(), 3u);
}

TEST_F(EtcdSpace, WhatWasNotExecutedIsRefused) {
  moody_->mood = Mood::kRefuses;
  EXPECT_CODE(Write(backend_.get(), {Create("/a/2", "v")}), kNoSpace);
  moody_->mood = Mood::kHonest;
  EXPECT_EQ(Rows().size(), 1u);
}

TEST_F(EtcdSpace, WhatNobodyCanLookUpIsNotKnown) {
  moody_->mood = Mood::kExecutesAndFallsSilent;
  EXPECT_CODE(Write(backend_.get(), {Create("/a/2", "v")}), kOutcomeUnknown);
  moody_->mood = Mood::kHonest;
  moody_->Speak();
  EXPECT_EQ(Rows().size(), 2u);
}

}  // namespace
}  // namespace storage::contract
