// The metadata store for several servers: takes, and what they know of each other.
#include <vector>

#include "src/backend/backend.h"
#include "src/backend/postgres/claim.h"
#include "src/backend/postgres/metadata.h"

namespace storage::postgres {
namespace {

// The row of state is locked from here to COMMIT: takes come one after the other, and
// their numbers with them.
constexpr Statement kTake = {"take",
                             STG_META_OURS("reserved = reserved + $3, clean = false", "reserved")};
// Above the numbers of a lane are those of the lanes behind it in the same take.
constexpr Statement kAlloc = {
    "alloc",
    "UPDATE libstorage_meta.backends SET alloc = (SELECT reserved FROM libstorage_meta.state) - "
    "$2, confirmed = greatest(confirmed, $3) WHERE name = $1"};
// One statement, so one moment.
constexpr Statement kNumbers = {
    "numbers",
    "SELECT s.epoch, s.reserved, s.m_id, b.name, b.alloc, b.confirmed "
    "FROM libstorage_meta.state s LEFT JOIN libstorage_meta.backends b ON true WHERE s.id = 1"};
constexpr Statement kNumbersAndHead = {
    "numbers_and_head",
    "SELECT s.epoch, s.reserved, s.m_id, b.name, b.alloc, b.confirmed, "
    "(SELECT head FROM libstorage.lane WHERE id = 1) "
    "FROM libstorage_meta.state s LEFT JOIN libstorage_meta.backends b ON true WHERE s.id = 1"};
constexpr Statement kReadTopology = {"read_topology",
                                     "SELECT topo FROM libstorage_meta.state WHERE id = 1"};
// The answer is the epoch when it was replaced.
constexpr Statement kSwap = {
    "swap",
    "WITH hit AS (UPDATE libstorage_meta.state SET topo = $4 WHERE id = 1 AND m_id = $1 "
    "AND epoch = $2 AND topo = $3 RETURNING epoch) SELECT count(*) FROM hit"};

}  // namespace

absl::StatusOr<bool> PostgresMetadata::LockStarts(int64_t wait_ms) {
  return postgres::LockStarts(connection_.get(), wait_ms);
}

absl::StatusOr<bool> PostgresMetadata::TakeAlone(int64_t wait_ms) {
  return postgres::BecomeOnly(connection_.get(), wait_ms);
}

absl::Status PostgresMetadata::ShareAgain() { return postgres::ShareAgain(connection_.get()); }

absl::StatusOr<bool> PostgresMetadata::OthersThere() {
  return postgres::OthersThere(connection_.get());
}

absl::Status PostgresMetadata::LetOthersIn(bool only) {
  absl::Status status = only ? ShareAgain() : absl::OkStatus();
  return status.ok() ? AdmitOthers(connection_.get()) : status;
}

// Our name is the holder's until others are let in.
absl::StatusOr<NumbersPlace> PostgresMetadata::NumbersAt() {
  MutexLock lock(&mutex_);
  if (absl::Status held = Hold(); !held.ok()) return held;
  return NumbersPlace{found_.m_id, connection_->database_id(), token_, ""};
}

absl::StatusOr<int64_t> PostgresMetadata::Take(absl::Span<const TakeWish> wishes) {
  int64_t total = 0;
  for (const TakeWish& wish : wishes) total += wish.n;
  MutexLock lock(&mutex_);
  absl::Status status =
      Write(kTake, Params().Int(total), [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        int64_t behind = total;
        for (const TakeWish& wish : wishes) {
          behind -= wish.n;
          connection_->Queue(kAlloc, Params().Text(wish.name).Int(behind).Int(wish.confirmed));
        }
      });
  if (!status.ok()) return status;
  return answer_ - total + 1;
}

absl::StatusOr<Result> PostgresMetadata::ReadApart(const Statement& statement) {
  MutexLock lock(&read_mutex_);
  for (bool again = true;; again = false) {
    if (reader_ == nullptr || !reader_->StillThere()) {
      reader_.reset();
      auto connection = read_dialer_.Dial();
      if (!connection.ok()) return connection.status();
      reader_ = *std::move(connection);
    }
    reader_->Queue(statement);
    std::vector<Result> results;
    absl::Status status = reader_->Finish("reading the metadata", kPatienceMs, &results);
    if (status.ok() && results[0].rows() == 0) {
      return MakeStatus(Code::kCorrupt, site_.where + " has lost its row in libstorage_meta.state",
                        site_.name);
    }
    if (status.ok()) return std::move(results[0]);
    if (!again || !reader_->broken() || reader_->timed_out()) return status;
  }
}

absl::StatusOr<Numbers> PostgresMetadata::ReadNumbers() {
  KeepClaim();
  const auto rows = ReadApart(lane_here_.empty() ? kNumbers : kNumbersAndHead);
  if (!rows.ok()) return rows.status();
  if (rows->Bytes(0, 2) != found_.m_id) {
    MutexLock lock(&mutex_);
    return TakenOver();
  }
  Numbers numbers;
  numbers.epoch = rows->Int(0, 0);
  numbers.rev = rows->Int(0, 1);
  for (int row = 0; row < rows->rows(); ++row) {
    if (rows->IsNull(row, 3)) continue;
    Numbers::Lane& lane = numbers.lanes[rows->Text(row, 3)];
    lane = {rows->Int(row, 4), rows->Int(row, 5)};
    if (rows->Bytes(row, 3) == lane_here_ && !rows->IsNull(row, 6)) lane.head = rows->Int(row, 6);
  }
  return numbers;
}

absl::StatusOr<std::string> PostgresMetadata::ReadTopology() {
  const auto rows = ReadApart(kReadTopology);
  if (!rows.ok()) return rows.status();
  return rows->Text(0, 0);
}

absl::StatusOr<bool> PostgresMetadata::SwapTopology(const std::string& before,
                                                    const std::string& after) {
  MutexLock lock(&mutex_);
  const auto swapped = Read(kSwap, Params().Text(found_.m_id).Int(epoch_).Text(before).Text(after));
  if (!swapped.ok()) return swapped.status();
  return *swapped > 0;
}

}  // namespace storage::postgres
