// LaneTxn on PostgreSQL, in two round trips whatever the size of the batch: the lock
// with the reads behind it, and everything else together with COMMIT. What Guard and its
// like will say is known from the row under our lock, so they are answered at
// once; the statement in the transaction says the same, or nothing commits.
// Threads: the lane thread only.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_LANE_TXN_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_LANE_TXN_H_

#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "src/backend/backend.h"
#include "src/backend/postgres/lane_session.h"

namespace storage::postgres {

class PostgresLaneTxn : public LaneTxn {
 public:
  // Reads the keys as well, as Read does.
  static absl::StatusOr<std::unique_ptr<LaneTxn>> Begin(LaneSession* session,
                                                        absl::Span<const std::string_view> keys,
                                                        absl::Span<Current> out);
  ~PostgresLaneTxn() override;

  const Lane& lane() const override { return lane_; }
  int64_t NowMs() override { return now_ms_; }
  absl::Status Read(absl::Span<const std::string_view> keys, absl::Span<Current> out) override;
  absl::Status Apply(absl::Span<const Mutation> mutations, int64_t token) override;
  absl::Status Import(absl::Span<const MovedRow> rows) override;
  absl::Status Discard(absl::Span<const DiscardedRow> rows) override;
  int64_t handed_out() const override { return handed_out_; }
  absl::Status Take(const LaneOwner& owner, int64_t first, int64_t last) override;
  absl::Status Guard(const LaneOwner& owner, int64_t first, int64_t last) override;
  absl::Status Void(const LaneOwner& owner, int64_t to) override;
  absl::Status Adopt(const LaneOwner& owner, int64_t jump_to) override;
  absl::Status RaiseFloor(const LaneOwner& owner, int64_t target) override;
  absl::Status Commit() override;

 private:
  enum class Stage { kOpen, kApplied, kDecided, kDone };

  explicit PostgresLaneTxn(LaneSession* session) : session_(session) {}
  void Found(const Result& rows, absl::Span<const std::string_view> keys, absl::Span<Current> out);
  absl::Status Misused(const char* what) const;
  // A create of a key that exists, or a change of one that does not.
  absl::Status CheckExistence(absl::Span<const Mutation> mutations);
  absl::Status CheckOwner(const LaneOwner& owner) const;
  void QueueNotice(int64_t head);
  absl::Status CommitFailed(const absl::Status& status, size_t commit);

  LaneSession* const session_;
  LaneRow lane_;
  int64_t now_ms_ = 0;
  int64_t handed_out_ = 0;
  Stage stage_ = Stage::kOpen;
  absl::flat_hash_map<std::string, bool> exists_;  // as far as it was read
  LaneOwner owner_;
  int64_t token_ = 0;
  int64_t lowest_ = 0;  // revisions of the batch; 0 = none
  int64_t highest_ = 0;
  int64_t rows_ = 0;
  bool moved_ = false;  // Import or Discard: no batch can follow
  size_t queued_ = 0;   // statements since the last Finish
  size_t take_ = 0;     // which of them takes the numbers, from 1; 0 = none
};

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_LANE_TXN_H_
