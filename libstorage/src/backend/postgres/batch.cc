#include "src/backend/postgres/batch.h"

#include <vector>

namespace storage::postgres {
namespace {

// The old values go from one table to the other inside the server.
constexpr Statement kEvents = {
    "events",
    "INSERT INTO libstorage.events(rev, kind, token, seq, seq_bytes, prev_mod, prev_create, "
    "prev_expire_ms, key, prev_attrs, prev) "
    "SELECT m.rev, m.kind, $4, $5 + m.ord, $6 + (coalesce(sum(octet_length(o.value)) "
    "OVER (ORDER BY m.ord), 0))::int8, o.mod_rev, o.create_rev, o.expire_ms, m.key, o.attrs, "
    "o.value FROM unnest($1, $2, $3) WITH ORDINALITY AS m(rev, kind, key, ord) "
    "LEFT JOIN libstorage.objects o ON o.key = m.key"};
constexpr Statement kRemove = {"remove", "DELETE FROM libstorage.objects WHERE key = ANY($1)"};
constexpr Statement kCreate = {
    "create",
    "INSERT INTO libstorage.objects(key, mod_rev, create_rev, expire_ms, attrs, value) "
    "SELECT m.key, m.rev, m.rev, nullif(m.expire, 0), m.attrs, m.value "
    "FROM unnest($1, $2, $3, $4, $5) AS m(key, rev, expire, attrs, value)"};
constexpr Statement kUpdate = {
    "update",
    "UPDATE libstorage.objects o SET mod_rev = m.rev, expire_ms = nullif(m.expire, 0), "
    "attrs = m.attrs, value = m.value "
    "FROM unnest($1, $2, $3, $4, $5) AS m(key, rev, expire, attrs, value) WHERE o.key = m.key"};
// After the events: they say how long the old values were.
constexpr Statement kKinds = {
    "kinds",
    "INSERT INTO libstorage.kinds AS k SELECT m.collection, sum(m.objects)::int8, "
    "sum(m.bytes - coalesce(octet_length(e.prev), 0))::int8 "
    "FROM unnest($1, $2, $3, $4) AS m(collection, rev, objects, bytes) "
    "JOIN libstorage.events e ON e.rev = m.rev GROUP BY m.collection "
    "ON CONFLICT (collection) DO UPDATE SET objects = k.objects + excluded.objects, "
    "bytes = k.bytes + excluded.bytes"};

using Views = std::vector<std::string_view>;
using Ints = std::vector<int64_t>;

struct Written {
  Views keys, attrs, values;
  Ints revs, expires;

  void Add(const Mutation& m) {
    keys.push_back(m.key);
    revs.push_back(m.rev);
    expires.push_back(m.expire_at_ms);
    attrs.push_back(m.attrs);
    values.push_back(m.value);
  }
  size_t Queue(Connection* connection, const Statement& statement) const {
    if (keys.empty()) return 0;
    Params params;
    params.BytesArray(keys).Ints(revs).Ints(expires).BytesArray(attrs).BytesArray(values);
    connection->Queue(statement, params);
    return 1;
  }
};

int64_t Delta(ChangeKind kind) {
  if (kind == ChangeKind::kCreate) return 1;
  return kind == ChangeKind::kUpdate ? 0 : -1;
}

}  // namespace

size_t QueueBatch(Connection* connection, const LaneRow& lane, absl::Span<const Mutation> mutations,
                  int64_t token) {
  if (mutations.empty()) return 0;
  Views keys, removed, collections;
  Ints revs, kinds, deltas, bytes;
  Written created, updated;
  for (const Mutation& m : mutations) {
    keys.push_back(m.key);
    collections.push_back(m.collection);
    revs.push_back(m.rev);
    kinds.push_back(static_cast<int64_t>(m.kind));
    deltas.push_back(Delta(m.kind));
    const bool gone = deltas.back() < 0;
    bytes.push_back(gone ? 0 : static_cast<int64_t>(m.value.size()));
    if (gone) {
      removed.push_back(m.key);
    } else {
      (m.kind == ChangeKind::kCreate ? created : updated).Add(m);
    }
  }
  Params events;
  events.Ints(revs).Ints(kinds).BytesArray(keys).Int(token).Int(lane.seq).Int(lane.seq_bytes);
  connection->Queue(kEvents, events);
  size_t queued = 1;
  if (!removed.empty()) {
    Params remove;
    remove.BytesArray(removed);
    connection->Queue(kRemove, remove);
    ++queued;
  }
  queued += created.Queue(connection, kCreate);
  queued += updated.Queue(connection, kUpdate);
  Params counts;
  counts.BytesArray(collections).Ints(revs).Ints(deltas).Ints(bytes);
  connection->Queue(kKinds, counts);
  return queued + 1;
}

}  // namespace storage::postgres
