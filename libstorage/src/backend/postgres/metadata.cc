#include "src/backend/postgres/metadata.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "src/backend/postgres/claim.h"
#include "src/backend/postgres/schema.h"

namespace storage {
namespace postgres {
namespace {

constexpr Statement kBegin = {"begin", "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"};
constexpr Statement kCommit = {"commit", "COMMIT"};

constexpr char kNoRow[] = "22012";
constexpr Statement kOurs = {"ours", STG_META_OURS("epoch = epoch", "epoch")};
constexpr Statement kStart = {"start", STG_META_OURS("epoch = epoch + 1, clean = false", "epoch")};
constexpr Statement kReserve = {
    "reserve", STG_META_OURS("reserved = greatest(reserved, $3), clean = false", "epoch")};
constexpr Statement kFinish = {"finish", STG_META_OURS("reserved = $3, clean = true", "epoch")};
constexpr Statement kFinishShared = {"finish_shared",
                                     STG_META_OURS("clean = (reserved = $3)", "epoch")};
constexpr Statement kTopology = {"topology",
                                 STG_META_OURS("topo_version = $3, topo = $4", "epoch")};

constexpr Statement kMark = {"mark",
                             "INSERT INTO libstorage_meta.backends AS b "
                             "VALUES($1, $2, $3, 0) "
                             "ON CONFLICT (name) DO UPDATE SET confirmed = CASE WHEN b.identity = "
                             "excluded.identity THEN greatest(b.confirmed, excluded.confirmed) "
                             "ELSE excluded.confirmed END, identity = excluded.identity"};
constexpr Statement kTime = {"time",
                             "INSERT INTO libstorage_meta.clock VALUES($1, $2) "
                             "ON CONFLICT (unix_s) DO UPDATE SET rev = excluded.rev"};
constexpr Statement kForget = {"forget", "DELETE FROM libstorage_meta.clock WHERE unix_s < $1"};
constexpr Statement kRevisionAt = {
    "revision_at", "SELECT coalesce(max(rev), 0) FROM libstorage_meta.clock WHERE unix_s <= $1"};
constexpr Statement kPing = {"ping", "SELECT epoch FROM libstorage_meta.state WHERE id = 1"};

}  // namespace

absl::Status PostgresMetadata::Open() {
  MutexLock lock(&mutex_);
  auto connection = dialer_.Dial();
  if (!connection.ok()) return connection.status();
  connection_ = *std::move(connection);
  absl::Status status = PrepareSchema(connection_.get(), SchemaKind::kMetadata);
  bool only = true;
  if (status.ok()) {
    status =
        several_ ? ClaimShared(connection_.get(), token_, &only) : Claim(connection_.get(), token_);
  }
  joined_ = !only;
  if (several_) stage_ = Stage::kStarting;
  if (status.ok()) status = LoadState();
  if (status.ok() && connection_->relaxed()) {
    Log(site_, LogLevel::kWarning,
        site_.where +
            " runs with fsync=off or synchronous_commit=off (the latter is set to on "
            "for the metadata store): a crash of the server may lose revisions");
  }
  return status;
}

absl::Status PostgresMetadata::Peek() {
  MutexLock lock(&mutex_);
  auto connection = dialer_.Dial();
  if (!connection.ok()) return connection.status();
  connection_ = *std::move(connection);
  const auto there = HasSchema(connection_.get(), SchemaKind::kMetadata);
  if (!there.ok()) return there.status();
  return *there ? LoadState() : absl::OkStatus();
}

// The session holds the claim: a new one has to take it again.
absl::Status PostgresMetadata::Hold() {
  if (connection_ != nullptr && connection_->StillThere()) return absl::OkStatus();
  connection_.reset();
  auto connection = dialer_.Dial();
  if (!connection.ok()) return connection.status();
  absl::Status claimed = ClaimAgain(connection->get());
  if (claimed.ok()) connection_ = *std::move(connection);
  return NotBusy(claimed);
}

absl::Status PostgresMetadata::ClaimAgain(Connection* connection) {
  if (!several_) return Claim(connection, token_);
  absl::Status may = MayClaimAgain(absl::StrCat("the connection to ", site_.where), site_.name);
  return may.ok() ? ReclaimShared(connection) : may;
}

absl::Status PostgresMetadata::LoadState() {
  connection_->QueueOnce(
      "SELECT m_id, epoch, reserved, clean::int::int8, topo_version, topo "
      "FROM libstorage_meta.state WHERE id = 1");
  connection_->QueueOnce("SELECT name, identity, confirmed FROM libstorage_meta.backends");
  std::vector<Result> results;
  absl::Status status = connection_->Finish("reading the metadata", kPatienceMs, &results);
  if (!status.ok()) return status;
  const Result& state = results[0];
  if (state.rows() != 1) {
    return MakeStatus(Code::kCorrupt,
                      site_.where +
                          " has lost its row in libstorage_meta.state; restore a backup, "
                          "or drop the schema libstorage_meta to start a new history",
                      site_.name);
  }
  found_.m_id = state.Text(0, 0);
  found_.epoch = epoch_ = state.Int(0, 1);
  found_.reserved = state.Int(0, 2);
  found_.clean = state.Int(0, 3) != 0;
  found_.topo_version = state.Int(0, 4);
  found_.topo = state.Text(0, 5);
  // Made and started are two transactions; a store that was never started has
  // handed out nothing and is as good as new.
  found_.existed = found_.epoch > 0;
  found_.backends.clear();
  for (int row = 0; row < results[1].rows(); ++row) {
    found_.backends[results[1].Text(row, 0)] =
        BackendMark{results[1].Text(row, 1), results[1].Int(row, 2)};
  }
  return status;
}

// A COMMIT without an answer is an outage here: whoever reserves hands nothing out
// then, and every value may be written again.
absl::Status PostgresMetadata::Write(const Statement& guard, const Params& own,
                                     absl::FunctionRef<void()> body) {
  for (bool again = true;; again = false) {
    absl::Status connected = Hold();
    if (!connected.ok()) return connected;
    Params params;
    params.Text(found_.m_id).Int(epoch_).Append(own);
    connection_->Queue(kBegin);
    connection_->Queue(guard, params);
    body();
    connection_->Queue(kCommit);
    std::vector<Result> results;
    absl::Status status = connection_->Finish("writing the metadata", kPatienceMs, &results);
    if (status.ok()) answer_ = results[1].Int(0, 1);
    const Connection::Failure& failed = connection_->failed();
    // The server was restarted meanwhile. All but a start may be written twice.
    const bool stale = connection_->broken() && !connection_->timed_out();
    if (!status.ok() && again && stale && &guard != &kStart) continue;
    if (!status.ok()) connection_->Abandon();
    return failed.state != kNoRow || status.ok() ? status : TakenOver();
  }
}

absl::Status PostgresMetadata::TakenOver() const {
  return MakeStatus(Code::kUnavailable,
                    absl::StrCat("another process took the metadata store in ", site_.where,
                                 " over (ours is epoch ", epoch_, "); stop one of the two"),
                    site_.name);
}

absl::StatusOr<int64_t> PostgresMetadata::Read(const Statement& statement, const Params& params) {
  for (bool again = true;; again = false) {
    absl::Status connected = Hold();
    if (!connected.ok()) return connected;
    connection_->Queue(statement, params);
    std::vector<Result> results;
    absl::Status status = connection_->Finish("reading the metadata", kPatienceMs, &results);
    if (status.ok()) return results[0].rows() > 0 ? results[0].Int(0, 0) : 0;
    if (!again || !connection_->broken() || connection_->timed_out()) return status;
  }
}

void PostgresMetadata::QueueMarks(const Marks& marks) {
  for (const auto& [name, mark] : marks) {
    Params params;
    params.Text(name).Text(mark.identity).Int(mark.confirmed);
    connection_->Queue(kMark, params);
  }
}

absl::StatusOr<int64_t> PostgresMetadata::Start() {
  MutexLock lock(&mutex_);
  absl::Status status = Write(kStart, Params(), [] {});
  if (!status.ok()) return status;
  epoch_ = answer_;
  return epoch_;
}

absl::Status PostgresMetadata::Reserve(int64_t upto, const Marks& marks) {
  MutexLock lock(&mutex_);
  return Write(kReserve, Params().Int(upto),
               [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { QueueMarks(marks); });
}

absl::Status PostgresMetadata::SetTopology(int64_t version, const std::string& topo) {
  MutexLock lock(&mutex_);
  return Write(kTopology, Params().Int(version).Text(topo), [] {});
}

absl::Status PostgresMetadata::MarkTime(int64_t unix_s, int64_t rev) {
  MutexLock lock(&mutex_);
  return Write(kOurs, Params(), [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    connection_->Queue(kTime, Params().Int(unix_s).Int(rev));
  });
}

absl::StatusOr<int64_t> PostgresMetadata::RevisionAt(int64_t unix_s) {
  MutexLock lock(&mutex_);
  return Read(kRevisionAt, Params().Int(unix_s));
}

absl::Status PostgresMetadata::ForgetBefore(int64_t unix_s) {
  MutexLock lock(&mutex_);
  return Write(kOurs, Params(), [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    connection_->Queue(kForget, Params().Int(unix_s));
  });
}

absl::Status PostgresMetadata::Finish(int64_t rev, const Marks& marks) {
  MutexLock lock(&mutex_);
  return Write(several_ ? kFinishShared : kFinish, Params().Int(rev),
               [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { QueueMarks(marks); });
}

absl::Status PostgresMetadata::Ping() {
  MutexLock lock(&mutex_);
  return Read(kPing, Params()).status();
}

}  // namespace postgres

absl::StatusOr<std::unique_ptr<MetadataStore>> OpenPostgresMetadata(const PostgresOptions& options,
                                                                    bool several) {
  auto info = postgres::ParseConnInfo(options);
  if (!info.ok()) return info.status();
  auto store = std::make_unique<postgres::PostgresMetadata>(options, *std::move(info), several);
  absl::Status opened = store->Open();
  if (!opened.ok()) return opened;
  return store;
}

absl::StatusOr<MetaState> PeekPostgresMetadata(const PostgresOptions& options) {
  auto info = postgres::ParseConnInfo(options);
  if (!info.ok()) return info.status();
  postgres::PostgresMetadata store(options, *std::move(info), false);
  if (absl::Status peeked = store.Peek(); !peeked.ok()) return peeked;
  return store.found();
}

}  // namespace storage
