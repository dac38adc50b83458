// Calls to a cluster: a deadline for each, reads tried on another member,
// writes sent once. Thread-safe.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_CLIENT_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_CLIENT_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/backend/etcd/errors.h"
#include "src/backend/etcd/etcd.h"
#include "src/backend/etcd/rpc.pb.h"
#include "src/base/mutex.h"

namespace grpc {
class ClientContext;
class Status;
}  // namespace grpc

namespace storage::etcd {

namespace pb = ::etcdserverpb;
struct Member;

// Below the 3 s that the watch cache waits for a fresh revision.
constexpr absl::Duration kCallTime = absl::Milliseconds(2500);

// A watch that runs, or the next one: Cancel ends it, from any thread.
class WatchCall {
 public:
  void Cancel();

 private:
  friend class Client;
  Mutex mu_;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  grpc::ClientContext* running_ ABSL_GUARDED_BY(mu_) = nullptr;
};

class Client {
 public:
  static absl::StatusOr<std::unique_ptr<Client>> Create(const EtcdOptions& options);
  ~Client();

  const std::string& name() const { return options_.name; }
  Logger* logger() const { return options_.logger; }

  // Linearizable. Tried on every member until the time is up.
  absl::Status Range(const pb::RangeRequest& request, pb::RangeResponse* response,
                     SteadyTime until = SteadyAfter(kCallTime));
  // A transaction of nothing but ranges.
  absl::Status Read(const pb::TxnRequest& request, pb::TxnResponse* response,
                    SteadyTime until = SteadyAfter(kCallTime));
  // Sent once; to another member only when it surely was not executed. What may
  // have been executed is OUTCOME_UNKNOWN.
  absl::Status Write(const pb::TxnRequest& request, pb::TxnResponse* response,
                     SteadyTime until = SteadyAfter(kCallTime));
  // OK also when that was compacted before.
  absl::Status Compact(int64_t etcd_rev);
  absl::StatusOr<pb::StatusResponse> ServerStatus();
  // Blocks until the stream ends, and says why: sink gets what comes by it. The next one
  // asks another member.
  absl::Status Watch(const pb::WatchRequest& request, WatchCall* call,
                     const std::function<void(const pb::WatchResponse&)>& sink);

  // leases.cc. Sent again like reads: one too many ends by itself.
  absl::StatusOr<int64_t> GrantLease(int64_t ttl_s);
  // Seconds that it lasts from now on; 0 = it ended.
  absl::StatusOr<int64_t> KeepLease(int64_t lease, SteadyTime until);
  // Seconds that are left; -1 = it ended.
  absl::StatusOr<int64_t> LeaseTime(int64_t lease);
  // OK also when it ended before.
  absl::Status RevokeLease(int64_t lease, SteadyTime until);

 private:
  using Call = std::function<grpc::Status(const Member&, grpc::ClientContext*)>;

  Client(EtcdOptions options, std::vector<Member> members);
  absl::Status Run(const char* what, bool write, SteadyTime until, const Call& call);
  Failure Try(size_t member, bool write, SteadyTime until, const Call& call);
  std::shared_ptr<const Member> At(size_t member);
  void Replace(size_t member, const std::shared_ptr<const Member>& silent);
  absl::StatusOr<std::string> Token(const Member& member, SteadyTime until);
  void Forget(const std::string& token);
  Failure Failed(const grpc::Status& status, const Member& member) const;

  const EtcdOptions options_;
  const size_t size_;  // of members_
  std::atomic<size_t> preferred_{0};
  std::atomic<size_t> watching_{0};
  Mutex mutex_;
  std::vector<std::shared_ptr<const Member>> members_ ABSL_GUARDED_BY(mutex_);
  std::string token_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_CLIENT_H_
