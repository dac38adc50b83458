// One member of the cluster: a gRPC channel and its stubs. Thread-safe.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_CHANNEL_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_CHANNEL_H_

#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>
#include <vector>

#include "src/backend/etcd/etcd.h"
#include "src/backend/etcd/rpc.grpc.pb.h"

namespace storage::etcd {

namespace pb = ::etcdserverpb;

struct Member {
  std::string address;  // host:port
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<pb::KV::Stub> kv;
  std::unique_ptr<pb::Maintenance::Stub> maintenance;
  std::unique_ptr<pb::Auth::Stub> auth;
  std::unique_ptr<pb::Watch::Stub> watch;
  std::unique_ptr<pb::Lease::Stub> lease;
  std::shared_ptr<grpc::ChannelCredentials> credentials;
};

// INVALID for endpoints and files that cannot be used. Connects later.
absl::StatusOr<std::vector<Member>> MakeMembers(const EtcdOptions& options);
// The same member over a connection of its own.
Member Reconnected(const Member& member);

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_CHANNEL_H_
