// The metadata store for several servers: takes, and what they know of each other.
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/backend.h"
#include "src/backend/mysql/claim.h"
#include "src/backend/mysql/metadata.h"

namespace storage::mysql {

absl::StatusOr<bool> MysqlMetadata::LockStarts(int64_t wait_ms) {
  return mysql::LockStarts(connection_.get(), wait_ms);
}

absl::StatusOr<bool> MysqlMetadata::TakeAlone(int64_t wait_ms) {
  return mysql::BecomeOnly(connection_.get(), token_, wait_ms);
}

absl::Status MysqlMetadata::ShareAgain() { return mysql::ShareAgain(connection_.get()); }

absl::StatusOr<bool> MysqlMetadata::OthersThere() {
  return mysql::OthersThere(connection_.get(), token_);
}

absl::Status MysqlMetadata::LetOthersIn(bool only) {
  absl::Status status = only ? ShareAgain() : absl::OkStatus();
  return status.ok() ? AdmitOthers(connection_.get()) : status;
}

void MysqlMetadata::GiveBack() {
  if (connection_ != nullptr && !connection_->broken()) ReleaseAll(connection_.get());
  connection_.reset();
}

absl::StatusOr<NumbersPlace> MysqlMetadata::NumbersAt() {
  MutexLock lock(&mutex_);
  const auto connection = Session();
  if (!connection.ok()) return connection.status();
  auto rows = (*connection)->Select("asking for the database", "SELECT DATABASE()");
  if (!rows.ok()) return rows.status();
  rows->Next();
  return NumbersPlace{found_.m_id, std::string(rows->Bytes(0)), ServerLock(token_), ""};
}

// The row of state is locked from its update to COMMIT: takes come one after the other,
// and their numbers with them. Above the numbers of a lane are those of the lanes behind
// it in the same take.
absl::StatusOr<int64_t> MysqlMetadata::Take(absl::Span<const TakeWish> wishes) {
  int64_t total = 0;
  for (const TakeWish& wish : wishes) total += wish.n;
  std::string more;
  int64_t behind = total;
  for (const TakeWish& wish : wishes) {
    behind -= wish.n;
    absl::StrAppend(&more,
                    "UPDATE stg_m_backends SET alloc = (SELECT reserved FROM stg_m_state) - ",
                    behind, ", confirmed = GREATEST(confirmed, ", wish.confirmed,
                    ") WHERE name = ", Bytes(wish.name), "; ");
  }
  more += "SELECT reserved FROM stg_m_state WHERE id = 1; ";
  MutexLock lock(&mutex_);
  auto taken = Write(0, absl::StrCat("reserved = reserved + ", total, ", clean = 0"), more);
  if (!taken.ok()) return taken.status();
  Result& reserved = taken->results[0];
  reserved.Next();  // the update found the row
  return reserved.Int(0) - total + 1;
}

absl::StatusOr<Result> MysqlMetadata::ReadApart(const std::string& sql) {
  MutexLock lock(&read_mutex_);
  for (bool again = true;; again = false) {
    if (reader_ == nullptr || reader_->broken() || !reader_->LooksAlive()) {
      reader_.reset();
      auto connection = connector_.Connect(Role::kMetadata);
      if (!connection.ok()) return connection.status();
      reader_ = *std::move(connection);
      again = false;
    }
    auto rows = reader_->Select("reading the metadata store", sql);
    if (rows.ok() && rows->size() == 0) {
      return MakeStatus(Code::kCorrupt, site().where + " has no state row; restore a backup",
                        site().name);
    }
    if (rows.ok() || !again || !reader_->broken()) return rows;
  }
}

// One statement, so one moment.
absl::StatusOr<Numbers> MysqlMetadata::ReadNumbers() {
  KeepClaim();
  auto rows = ReadApart(
      absl::StrCat("SELECT s.epoch, s.reserved, s.m_id, b.name, b.alloc, b.confirmed, ",
                   lane_here_.empty() ? "NULL" : "(SELECT head FROM stg_lane WHERE id = 1)",
                   " FROM stg_m_state s LEFT JOIN stg_m_backends b ON TRUE WHERE s.id = 1"));
  if (!rows.ok()) return rows.status();
  Numbers numbers;
  while (rows->Next()) {
    if (rows->Bytes(2) != found_.m_id) {
      return MakeStatus(Code::kUnavailable,
                        absl::StrCat("the metadata store in ", site().where,
                                     " is another one than was opened; start again"),
                        site().name);
    }
    numbers.epoch = rows->Int(0);
    numbers.rev = rows->Int(1);
    if (rows->IsNull(3)) continue;
    Numbers::Lane& lane = numbers.lanes[std::string(rows->Bytes(3))];
    lane = {rows->Int(4), rows->Int(5)};
    if (rows->Bytes(3) == lane_here_ && !rows->IsNull(6)) lane.head = rows->Int(6);
  }
  return numbers;
}

absl::StatusOr<std::string> MysqlMetadata::ReadTopology() {
  auto rows = ReadApart("SELECT topo FROM stg_m_state WHERE id = 1");
  if (!rows.ok()) return rows.status();
  rows->Next();
  return std::string(rows->Bytes(0));
}

absl::StatusOr<bool> MysqlMetadata::SwapTopology(const std::string& before,
                                                 const std::string& after) {
  MutexLock lock(&mutex_);
  auto swapped =
      Write(0, "",
            absl::StrCat("SELECT topo = ", Bytes(before), " FROM stg_m_state WHERE id = 1; ",
                         "UPDATE stg_m_state SET topo = ", Bytes(after),
                         " WHERE id = 1 AND topo = ", Bytes(before), "; "));
  if (!swapped.ok()) return swapped.status();
  Result& same = swapped->results[0];
  return same.Next() && same.Int(0) == 1;
}

}  // namespace storage::mysql
