// Leases of etcd, for the claim on a metadata store.
#include <grpcpp/grpcpp.h>

#include "src/backend/etcd/channel.h"
#include "src/backend/etcd/client.h"

namespace storage::etcd {

absl::StatusOr<int64_t> Client::GrantLease(int64_t ttl_s) {
  pb::LeaseGrantRequest request;
  request.set_ttl(ttl_s);
  pb::LeaseGrantResponse response;
  const absl::Status status = Run("LeaseGrant", false, SteadyAfter(kCallTime),
                                  [&](const Member& to, grpc::ClientContext* context) {
                                    return to.lease->LeaseGrant(context, request, &response);
                                  });
  if (!status.ok()) return status;
  return response.id();
}

absl::StatusOr<int64_t> Client::KeepLease(int64_t lease, SteadyTime until) {
  pb::LeaseKeepAliveRequest request;
  request.set_id(lease);
  pb::LeaseKeepAliveResponse response;
  const absl::Status status =
      Run("LeaseKeepAlive", false, until, [&](const Member& to, grpc::ClientContext* context) {
        const auto stream = to.lease->LeaseKeepAlive(context);
        const bool answered =
            stream->Write(request) && stream->WritesDone() && stream->Read(&response);
        const grpc::Status ended = stream->Finish();
        if (answered || !ended.ok()) return ended;
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "a lease was not prolonged");
      });
  if (!status.ok()) return status;
  return response.ttl();
}

absl::StatusOr<int64_t> Client::LeaseTime(int64_t lease) {
  pb::LeaseTimeToLiveRequest request;
  request.set_id(lease);
  pb::LeaseTimeToLiveResponse response;
  const absl::Status status = Run("LeaseTimeToLive", false, SteadyAfter(kCallTime),
                                  [&](const Member& to, grpc::ClientContext* context) {
                                    return to.lease->LeaseTimeToLive(context, request, &response);
                                  });
  if (!status.ok()) return status;
  return response.ttl();
}

absl::Status Client::RevokeLease(int64_t lease, SteadyTime until) {
  pb::LeaseRevokeRequest request;
  request.set_id(lease);
  pb::LeaseRevokeResponse response;
  return Run("LeaseRevoke", false, until, [&](const Member& to, grpc::ClientContext* context) {
    const grpc::Status status = to.lease->LeaseRevoke(context, request, &response);
    return status.error_code() == grpc::StatusCode::NOT_FOUND ? grpc::Status::OK : status;
  });
}

}  // namespace storage::etcd
