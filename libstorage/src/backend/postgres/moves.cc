// Moves of a topology change: rows of objects as they are, no undo log.
#include <vector>

#include "src/backend/checks.h"
#include "src/backend/postgres/lane_txn.h"

namespace storage::postgres {
namespace {

constexpr Statement kImport = {
    "import",
    "INSERT INTO libstorage.objects(key, mod_rev, create_rev, expire_ms, attrs, value) "
    "SELECT m.key, m.rev, m.created, nullif(m.expire, 0), m.attrs, m.value "
    "FROM unnest($1, $2, $3, $4, $5, $6) AS m(key, rev, created, expire, attrs, value)"};
// A row that is not there divides by zero.
constexpr Statement kDiscard = {
    "discard",
    "WITH gone AS (DELETE FROM libstorage.objects o USING unnest($1, $2) AS m(key, created) "
    "WHERE o.key = m.key AND o.create_rev = m.created RETURNING 1) "
    "SELECT 1 / (count(*) = $3)::int FROM gone"};
constexpr Statement kMovedKinds = {
    "moved_kinds",
    "INSERT INTO libstorage.kinds AS k SELECT m.collection, sum(m.objects)::int8, "
    "sum(m.bytes)::int8 FROM unnest($1, $2, $3) AS m(collection, objects, bytes) "
    "GROUP BY m.collection ON CONFLICT (collection) DO UPDATE SET "
    "objects = k.objects + excluded.objects, bytes = k.bytes + excluded.bytes"};

using Views = std::vector<std::string_view>;
using Ints = std::vector<int64_t>;

size_t QueueKinds(Connection* connection, const Views& collections, const Ints& objects,
                  const Ints& bytes) {
  Params params;
  params.BytesArray(collections).Ints(objects).Ints(bytes);
  connection->Queue(kMovedKinds, params);
  return 1;
}

}  // namespace

absl::Status PostgresLaneTxn::Import(absl::Span<const MovedRow> rows) {
  if (stage_ != Stage::kOpen) return Misused("Import comes before the lane is decided");
  absl::Status legal = CheckImport(rows, lane_, session_->site().name);
  if (!legal.ok() || rows.empty()) return legal;
  moved_ = true;
  Views keys, attrs, values, collections;
  Ints mods, creates, expires, bytes;
  for (const auto& [collection, row] : rows) {
    collections.push_back(collection);
    keys.push_back(row.key);
    attrs.push_back(row.attrs);
    values.push_back(row.value);
    mods.push_back(row.meta.mod_rev);
    creates.push_back(row.meta.create_rev);
    expires.push_back(row.meta.expire_at_ms);
    bytes.push_back(static_cast<int64_t>(row.value.size()));
  }
  Params params;
  params.BytesArray(keys).Ints(mods).Ints(creates).Ints(expires).BytesArray(attrs).BytesArray(
      values);
  Connection* const connection = session_->connection();
  connection->Queue(kImport, params);
  queued_ += 1 + QueueKinds(connection, collections, Ints(rows.size(), 1), bytes);
  return legal;
}

absl::Status PostgresLaneTxn::Discard(absl::Span<const DiscardedRow> rows) {
  if (stage_ != Stage::kOpen) return Misused("Discard comes before the lane is decided");
  absl::Status legal = CheckDiscard(rows, lane_, session_->site().name);
  if (!legal.ok() || rows.empty()) return legal;
  moved_ = true;
  Views keys, collections;
  Ints creates, bytes;
  for (const DiscardedRow& row : rows) {
    collections.push_back(row.collection);
    keys.push_back(row.key);
    creates.push_back(row.create_rev);
    bytes.push_back(-row.bytes);
  }
  Params params;
  params.BytesArray(keys).Ints(creates).Int(static_cast<int64_t>(rows.size()));
  Connection* const connection = session_->connection();
  connection->Queue(kDiscard, params);
  queued_ += 1 + QueueKinds(connection, collections, Ints(rows.size(), -1), bytes);
  return legal;
}

}  // namespace storage::postgres
