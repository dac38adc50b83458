// LaneTxn on MySQL, in two round trips: begin, lock the lane row and read the keys
// behind the lock, and everything else. Apply and Guard look at what they know under the
// lock and write down their statements; Commit sends them with the guard and
// COMMIT as one text, which the server stops running at the first error. A guard
// that is not passed is such an error.
// Threads: the lane thread only.
#ifndef LIBSTORAGE_SRC_BACKEND_MYSQL_LANE_TXN_H_
#define LIBSTORAGE_SRC_BACKEND_MYSQL_LANE_TXN_H_

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "src/backend/backend.h"
#include "src/backend/mysql/lane_session.h"
#include "src/backend/mysql/script.h"

namespace storage::mysql {

class MysqlLaneTxn : public LaneTxn {
 public:
  // Reads the keys as well, as Read does.
  static absl::StatusOr<std::unique_ptr<LaneTxn>> Begin(LaneSession* session,
                                                        absl::Span<const std::string_view> keys,
                                                        absl::Span<Current> out);
  ~MysqlLaneTxn() override;

  const Lane& lane() const override { return lane_; }
  int64_t NowMs() override;
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
  enum class Stage { kOpen, kApplied, kDecided, kDone, kBroken };

  // An object as it was found under the lock; create_rev 0 = there is none.
  struct Known {
    int64_t create_rev = 0;
    int64_t bytes = 0;
  };

  MysqlLaneTxn(LaneSession* session, size_t budget) : session_(session), script_(session, budget) {}
  void Found(Result* rows, absl::Span<const std::string_view> keys, absl::Span<Current> out);
  absl::Status Misused(const char* what) const;
  absl::Status Failed(absl::Status status);
  absl::Status LookUp(absl::Span<const Mutation> mutations);
  // Finds what each mutation changes; kInternal when it cannot be.
  absl::Status Match(absl::Span<const Mutation> mutations, std::vector<Known>* before);
  // apply.cc: the statements.
  absl::Status WriteAll(absl::Span<const Mutation> mutations, const std::vector<Known>& before);
  absl::Status CheckThere(absl::Span<const DiscardedRow> rows);  // moves.cc
  absl::Status CheckOwner(const LaneOwner& owner) const;
  // condition: SQL; set: what follows "head = ..." in the UPDATE of the lane row.
  absl::Status Decide(const LaneOwner& owner, const std::string& condition, const std::string& head,
                      const std::string& set, bool owned);
  // An error of statements that were sent: others took numbers, if it is Take's.
  absl::Status OfTake(absl::Status status) const;
  absl::Status CommitFailed(const Outcome& outcome, int statements);

  LaneSession* const session_;
  Script script_;
  LaneRow lane_;
  LaneOwner owner_;
  Stage stage_ = Stage::kOpen;
  std::chrono::steady_clock::time_point begun_;
  int64_t now_ms_ = 0;  // of the server, when the lock was there
  int64_t handed_out_ = 0;
  bool took_ = false;
  absl::flat_hash_map<std::string, Known> known_;
  int64_t token_ = 0;
  int64_t events_ = 0;  // of the batch
  int64_t lowest_ = 0;  // revisions of the batch; 0 = none
  int64_t highest_ = 0;
  int64_t seq_ = 0;
  int64_t seq_bytes_ = 0;
  bool moved_ = false;  // Import or Discard: no batch can follow
};

}  // namespace storage::mysql

#endif  // LIBSTORAGE_SRC_BACKEND_MYSQL_LANE_TXN_H_
