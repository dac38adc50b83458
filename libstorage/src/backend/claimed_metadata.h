// What the metadata stores on servers have in common, however they claim: alone or shared,
// the stages of a claim, and in which of them one that was lost may be taken again.
// Threads: as MetadataStore.
#ifndef LIBSTORAGE_SRC_BACKEND_CLAIMED_METADATA_H_
#define LIBSTORAGE_SRC_BACKEND_CLAIMED_METADATA_H_

#include <atomic>
#include <string>

#include "absl/base/thread_annotations.h"
#include "src/backend/metadata.h"
#include "src/base/mutex.h"

namespace storage {

// BUSY, behind "the metadata store in PLACE" and before who it is.
inline constexpr char kUsedAlone[] =
    " is used by a process that shares it with nobody (its topology has databases which only one "
    "server may use, or it is a tool)";
inline constexpr char kUsedShared[] =
    " is used by servers that share it, and this process shares it with nobody; stop them first. "
    "One is: ";
inline constexpr char kBeingStarted[] =
    " is being started by another server, which does not end; it is: ";
inline constexpr char kClaimedMeanwhile[] =
    " was claimed for itself by another process while this one had no connection: ";

class ClaimedMetadata : public MetadataStore, public SharedMetadata {
 public:
  const MetaState& found() const override { return found_; }
  SharedMetadata* shared() override { return several_ ? this : nullptr; }
  bool joined() const override { return joined_.load(); }
  absl::StatusOr<bool> BecomeOnly(int64_t wait_ms) override;
  absl::StatusOr<bool> AwaitOthers(int64_t wait_ms) override;
  absl::Status Admit() override;
  void Resign() override;
  void ReadHeadOf(const std::string& lane) override { lane_here_ = lane; }

 protected:
  // What we have to hold.
  enum class Stage : uint8_t {
    kStarting,  // the claim and the lock of starts: it must not be lost
    kRunning,   // the claim, or our share of it
    kResigned,  // nothing
  };

  explicit ClaimedMetadata(bool several) : several_(several) {}

  // Of each kind. The claim is ours; one that was lost is taken again if it may be.
  virtual absl::Status Hold() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;
  virtual absl::StatusOr<bool> LockStarts(int64_t wait_ms)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;
  // From shared to alone.
  virtual absl::StatusOr<bool> TakeAlone(int64_t wait_ms) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;
  // From alone to shared; the lock of starts stays.
  virtual absl::Status ShareAgain() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;
  // Whether another server has its share.
  virtual absl::StatusOr<bool> OthersThere() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;
  // From alone to shared, if only; then the lock of starts goes.
  virtual absl::Status LetOthersIn(bool only) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;
  virtual void GiveBack() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;
  // Fills found_ and epoch_.
  virtual absl::Status LoadState() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;

  // OK, or why a lost claim is not taken again. what: that was lost.
  absl::Status MayClaimAgain(const std::string& what, const std::string& backend) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // While it runs, somebody else's claim is an outage.
  static absl::Status NotBusy(const absl::Status& status);
  // With each read of M, of which there is one a second at least: a claim that was lost
  // without a call of ours is taken again before a server that starts finds nobody.
  void KeepClaim() ABSL_LOCKS_EXCLUDED(mutex_);

  bool several_;           // constant after Open
  std::string lane_here_;  // constant after ReadHeadOf
  std::atomic<bool> joined_{false};
  Mutex mutex_;
  Stage stage_ ABSL_GUARDED_BY(mutex_) = Stage::kRunning;
  std::atomic<SteadyTime> claim_seen_{SteadyTime()};  // looked after
  MetaState found_;                                   // constant after Admit
  int64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;         // that the store must be in
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BACKEND_CLAIMED_METADATA_H_
