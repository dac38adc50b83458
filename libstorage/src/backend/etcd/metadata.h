// MetadataStore in keys of etcd. One small key has the numbers and is replaced by
// compare-and-put, in transactions that compare our claim as well; what the topology
// is, moments, and claims are in keys of their own.
// Threads: as MetadataStore.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_METADATA_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_METADATA_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "src/backend/claimed_metadata.h"
#include "src/backend/etcd/claim.h"
#include "src/backend/etcd/client.h"
#include "src/backend/etcd/etcd.h"
#include "src/backend/etcd/meta_state.h"

namespace storage::etcd {

using Marks = std::map<std::string, BackendMark>;

class EtcdMetadata : public ClaimedMetadata {
 public:
  EtcdMetadata(const EtcdOptions& options, std::unique_ptr<Client> client,
               std::unique_ptr<Client> for_claim, bool several)
      : ClaimedMetadata(several),
        where_("etcd " + options.endpoints),
        client_(std::move(client)),
        claim_(std::move(for_claim), where_) {}

  absl::Status Open();
  absl::Status Peek();  // instead of Open: fills found() alone

  absl::StatusOr<int64_t> Start() override;
  absl::Status Reserve(int64_t upto, const Marks& marks) override;
  absl::Status SetTopology(int64_t version, const std::string& topo) override;
  absl::Status MarkTime(int64_t unix_s, int64_t rev) override;
  absl::StatusOr<int64_t> RevisionAt(int64_t unix_s) override;
  absl::Status ForgetBefore(int64_t unix_s) override;
  absl::Status Finish(int64_t rev, const Marks& marks) override;
  absl::Status Ping() override;

  // shared_metadata.cc
  absl::StatusOr<NumbersPlace> NumbersAt() override;
  absl::StatusOr<int64_t> Take(absl::Span<const TakeWish> wishes) override;
  absl::StatusOr<Numbers> ReadNumbers() override;
  absl::StatusOr<std::string> ReadTopology() override;
  absl::StatusOr<bool> SwapTopology(const std::string& before, const std::string& after) override;

 private:
  // What else a write does.
  struct Also {
    const std::string* topo = nullptr;  // the topology is replaced
    int64_t topo_mod = -1;              // if it is as old as this
    std::function<void(pb::TxnRequest*)> more = nullptr;
  };
  using Change = absl::FunctionRef<void(Stored*)>;

  absl::Status Hold() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> LockStarts(int64_t wait_ms) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return claim_.LockStarts(wait_ms);
  }
  absl::StatusOr<bool> TakeAlone(int64_t wait_ms) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return claim_.BecomeOnly(wait_ms);
  }
  absl::Status ShareAgain() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return claim_.ShareAgain();
  }
  absl::StatusOr<bool> OthersThere() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return claim_.OthersThere();
  }
  absl::Status LetOthersIn(bool only) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return claim_.AdmitOthers(only);
  }
  void GiveBack() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { claim_.Release(); }
  absl::Status LoadState() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // What is stored now.
  absl::Status Load(SteadyTime until) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Note(const pb::RangeResponse& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The store as it is known is the one that was opened, in our epoch.
  absl::Status CheckOurs() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One transaction of ours, on top of those of others. CONFLICT: the topology is newer
  // than also.topo_mod. Afterwards stored_ is what change made.
  absl::Status Write(Change change, const Also& also) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  pb::TxnRequest RequestOf(const Stored& next, const Also& also)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // After a failed compare. True: once more.
  absl::StatusOr<bool> Refused(const pb::TxnResponse& response)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ReadTopologyKey(std::string* topo, int64_t* mod);

  const std::string where_;
  const std::unique_ptr<Client> client_;
  Claim claim_ ABSL_GUARDED_BY(mutex_);
  Stored stored_ ABSL_GUARDED_BY(mutex_);
  int64_t mod_ ABSL_GUARDED_BY(mutex_) = 0;  // etcd's revision of the state; 0 = there is none
};

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_METADATA_H_
