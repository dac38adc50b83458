#include "src/backend/mysql/lane_session.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"

namespace storage::mysql {
namespace {

constexpr char kRelaxed[] = "relaxed";  // in stg_meta
constexpr size_t kSlack = 4096;         // of a packet, for what frames our statements
// More does not make anything faster, and the server keeps a buffer of this size.
constexpr size_t kMaxBudget = 16 << 20;

}  // namespace

void UnknownTokens::Add(int64_t token, int64_t head) {
  MutexLock lock(&mutex_);
  heads_[token] = head;
}

int64_t UnknownTokens::HeadBefore(int64_t token) {
  MutexLock lock(&mutex_);
  const auto it = heads_.find(token);
  return it == heads_.end() ? 0 : it->second;
}

// Either may be relaxed by itself: InnoDB's log, or the binary log, by which
// recovery decides what of the former was committed.
std::string RelaxedBecause(const Connection& connection) {
  if (connection.Fact("innodb_flush_log_at_trx_commit") != "1" &&
      connection.Fact("innodb_flush_log_at_trx_commit") != "3") {
    return "innodb_flush_log_at_trx_commit is not 1";
  }
  if (connection.Fact("innodb_flush_method") == "nosync") return "innodb_flush_method is nosync";
  if (connection.Fact("log_bin") == "on" && connection.Fact("sync_binlog") != "1") {
    return "the binary log is on and sync_binlog is not 1";
  }
  return "";
}

absl::StatusOr<Connection*> LaneSession::Get() {
  if (connection_ != nullptr && (connection_->broken() || !connection_->LooksAlive())) Drop();
  if (connection_ == nullptr) {
    auto connection = connector_->Connect(Role::kLane);
    if (!connection.ok()) return connection.status();
    connection_ = *std::move(connection);
    absl::Status checked = CheckDurability();
    if (!checked.ok()) {
      Drop();
      return checked;
    }
  }
  return connection_.get();
}

absl::StatusOr<Outcome> LaneSession::Begin(std::string_view what, const std::string& sql) {
  for (int attempt = 0;; ++attempt) {
    const bool fresh = connection_ == nullptr;
    const auto connection = Get();
    if (!connection.ok()) return connection.status();
    const auto begin = std::chrono::steady_clock::now();
    auto outcome = (*connection)->Run(what, sql);
    if (outcome.ok()) return outcome;
    const bool quickly = std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(500);
    if ((*connection)->broken() && !fresh && quickly && attempt == 0) continue;
    Rollback();
    return outcome.status();
  }
}

void LaneSession::Rollback() {
  if (connection_ == nullptr) return;
  if (connection_->broken() || !connection_->Run("rolling back", "ROLLBACK").ok()) Drop();
}

size_t LaneSession::budget() const {
  const auto packet = static_cast<size_t>(connection_->max_packet());
  return std::min(packet > 2 * kSlack ? packet - kSlack : packet / 2, kMaxBudget);
}

absl::Status LaneSession::CheckDurability() {
  const std::string why = RelaxedBecause(*connection_);
  const auto remembered = ReadMeta(connection_.get(), kRelaxed);
  if (!remembered.ok()) return remembered.status();
  if (!remembered->empty()) durable_ = false;
  if (why.empty() || !remembered->empty()) {
    return connection_->Run("ending a read", "ROLLBACK").status();
  }
  durable_ = false;
  Log(site(), LogLevel::kWarning,
      absl::StrCat("the server may lose acknowledged writes when its machine fails (", why,
                   "): every unclean start begins a new history"));
  absl::Status written =
      connection_->Run("remembering relaxed settings", WriteMetaSql(kRelaxed, "on") + "; COMMIT")
          .status();
  // A server that takes no writes has none to lose.
  if (CodeOf(written) == Code::kReadOnly) return absl::OkStatus();
  return written;
}

// A copy of the schema or of the server has the same store in it, but not the lock that
// its session holds. Whose user may not read it takes its numbers by the store's session.
absl::StatusOr<bool> LaneSession::ShareNumbers(const NumbersPlace& place) {
  const auto connection = Get();
  if (!connection.ok()) return connection.status();
  auto rows = (*connection)
                  ->Select("looking for the metadata store",
                           absl::StrCat("SELECT COUNT(*) FROM stg_m_state WHERE id = 1 AND m_id = ",
                                        Bytes(place.m_id), " AND DATABASE() = ", Bytes(place.place),
                                        " AND IS_USED_LOCK(", Bytes(place.mark), ") IS NOT NULL"));
  Rollback();
  if (!rows.ok()) return connection_ == nullptr ? absl::StatusOr<bool>(rows.status()) : false;
  if (!rows->Next() || rows->Int(0) != 1) return false;
  lane_in_numbers_ = place.lane;
  return true;
}

std::string LaneSession::EndRelaxedSql() const {
  const bool strict = connection_ != nullptr && RelaxedBecause(*connection_).empty();
  return strict && !durable() ? absl::StrCat("DELETE FROM stg_meta WHERE name = '", kRelaxed, "'")
                              : std::string();
}

}  // namespace storage::mysql
