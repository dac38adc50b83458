// LaneTxn on SQLite: one BEGIN IMMEDIATE transaction of the writer.
// Threads: the lane thread only.
#ifndef LIBSTORAGE_SRC_BACKEND_SQLITE_LANE_TXN_H_
#define LIBSTORAGE_SRC_BACKEND_SQLITE_LANE_TXN_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/backend/backend.h"
#include "src/backend/sqlite/writer.h"

namespace storage::sqlite {

// How Kubernetes marks a value that one of its providers encrypted.
inline bool IsEncrypted(std::string_view value) { return value.starts_with("k8s:enc:"); }

class SqliteLaneTxn : public LaneTxn {
 public:
  static absl::StatusOr<std::unique_ptr<LaneTxn>> Begin(Writer* writer);
  ~SqliteLaneTxn() override;

  const Lane& lane() const override { return lane_; }
  int64_t NowMs() override;
  absl::Status Read(absl::Span<const std::string_view> keys, absl::Span<Current> out) override;
  absl::Status Apply(absl::Span<const Mutation> mutations, int64_t token) override;
  absl::Status Import(absl::Span<const MovedRow> rows) override;
  absl::Status Discard(absl::Span<const DiscardedRow> rows) override;
  absl::Status Guard(const LaneOwner& owner, int64_t first, int64_t last) override;
  absl::Status Void(const LaneOwner& owner, int64_t to) override;
  absl::Status Adopt(const LaneOwner& owner, int64_t jump_to) override;
  absl::Status RaiseFloor(const LaneOwner& owner, int64_t target) override;
  absl::Status Commit() override;

 private:
  enum class Stage { kOpen, kApplied, kDecided, kDone, kBroken };

  struct KindDelta {
    std::string_view collection;
    int64_t objects = 0;
    int64_t bytes = 0;
  };

  explicit SqliteLaneTxn(Writer* writer) : writer_(writer), s_(writer->statements()) {}
  absl::Status Misused(const char* what) const;
  absl::Status ApplyAll(absl::Span<const Mutation> mutations);
  absl::Status Create(const Mutation& m, KindDelta* delta);
  absl::Status Change(const Mutation& m, KindDelta* delta);
  // moves.cc
  absl::Status Import(const MovedRow& moved);
  absl::Status Discard(const DiscardedRow& row);
  absl::Status Moved(absl::Status status);
  // Writes deltas_ and, first, what an encrypted value asks for.
  absl::Status CountAll();
  KindDelta* DeltaOf(std::string_view collection);
  // Runs an UPDATE of the lane row that must hit it.
  absl::Status Decide(Query* query, const LaneOwner& owner);

  Writer* const writer_;
  WriterStatements& s_;
  LaneRow lane_;
  Stage stage_ = Stage::kOpen;
  bool moved_ = false;  // Import or Discard: no batch can follow
  int64_t token_ = 0;
  bool encrypted_ = false;  // the batch is the first to hold an encrypted value
  int64_t lowest_ = 0;      // revisions of the batch; 0 = none
  int64_t highest_ = 0;
  int64_t seq_ = 0;
  int64_t seq_bytes_ = 0;
  std::vector<KindDelta> deltas_;
};

}  // namespace storage::sqlite

#endif  // LIBSTORAGE_SRC_BACKEND_SQLITE_LANE_TXN_H_
