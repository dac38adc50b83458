#include "src/backend/postgres/schema.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"

namespace storage::postgres {
namespace {

// Rows that change with each commit get room in their pages, so that new versions
// stay beside the old ones and no index is touched.
constexpr const char* kObjectsTables[] = {
    "CREATE TABLE libstorage.lane(id int8 PRIMARY KEY CHECK (id = 1), m_id text NOT NULL, "
    "epoch int8 NOT NULL, gen int8 NOT NULL, head int8 NOT NULL, ver int8 NOT NULL, "
    "floor int8 NOT NULL CHECK (floor <= head), seq int8 NOT NULL, seq_bytes int8 NOT NULL) "
    "WITH (fillfactor = 10)",
    "INSERT INTO libstorage.lane VALUES(1, '', 0, 0, 0, 0, 0, 0, 0)",
    "CREATE TABLE libstorage.objects(key bytea PRIMARY KEY, mod_rev int8 NOT NULL, "
    "create_rev int8 NOT NULL, expire_ms int8, attrs bytea NOT NULL, value bytea NOT NULL) "
    "WITH (fillfactor = 85)",
    "CREATE INDEX objects_expiry ON libstorage.objects(expire_ms, create_rev) "
    "WHERE expire_ms IS NOT NULL",
    "CREATE TABLE libstorage.events(rev int8 PRIMARY KEY, kind int8 NOT NULL, "
    "token int8 NOT NULL, seq int8 NOT NULL, seq_bytes int8 NOT NULL, prev_mod int8, "
    "prev_create int8, prev_expire_ms int8, key bytea NOT NULL, prev_attrs bytea, prev bytea, "
    "CONSTRAINT changes_have_a_before CHECK ((kind = 1) = (prev_mod IS NULL)))",
    "CREATE INDEX events_key ON libstorage.events(key, rev, kind)",
    "CREATE TABLE libstorage.kinds(collection bytea PRIMARY KEY, objects int8 NOT NULL, "
    "bytes int8 NOT NULL) WITH (fillfactor = 20)",
};

constexpr const char* kMetadataTables[] = {
    "CREATE TABLE libstorage_meta.state(id int8 PRIMARY KEY CHECK (id = 1), m_id text NOT NULL, "
    "epoch int8 NOT NULL, reserved int8 NOT NULL, clean bool NOT NULL, "
    "topo_version int8 NOT NULL, topo text NOT NULL) WITH (fillfactor = 10)",
    "CREATE TABLE libstorage_meta.backends(name text PRIMARY KEY, identity text NOT NULL, "
    "confirmed int8 NOT NULL, alloc int8 NOT NULL DEFAULT 0) WITH (fillfactor = 20)",
    "CREATE TABLE libstorage_meta.clock(unix_s int8 PRIMARY KEY, rev int8 NOT NULL)",
    "CREATE TABLE libstorage_meta.holder(id int8 PRIMARY KEY CHECK (id = 1), "
    "token text NOT NULL, description text NOT NULL, session int8 NOT NULL)",
    "INSERT INTO libstorage_meta.holder VALUES(1, '', '', 0)",
};

// From version 1 to 2: what each lane was handed out, for several servers at once. A
// server of version 1 that still runs writes rows without it, and goes on.
constexpr const char* kMetadataTo2[] = {
    "ALTER TABLE libstorage_meta.backends ADD COLUMN alloc int8 NOT NULL DEFAULT 0",
};

struct Format {
  const char* schema;
  const char* what;
  int64_t lock;     // of the whole database, while the schema is made
  int64_t version;  // what this build makes
};

constexpr Format kFormats[] = {{"libstorage", "objects", 0x53544f4200000001, 1},
                               {"libstorage_meta", "metadata", 0x53544d4500000001, 2}};

struct Found {
  bool schema = false;
  bool meta = false;     // a table meta with our columns
  std::string relation;  // one in the schema; "" = it is empty
};

absl::StatusOr<Found> Look(Connection* connection, const Format& format) {
  Params params;
  params.Text(format.schema);
  connection->QueueOnce(
      "SELECT count(*)::int8, coalesce(min(c.relname::text), '') FROM pg_namespace n "
      "LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r','p','v','m','f') "
      "WHERE n.nspname = $1",
      params);
  connection->QueueOnce(
      "SELECT count(*)::int8 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
      "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND "
      "c.relname = 'meta' AND a.attname IN ('name', 'value') AND a.atttypid = 'text'::regtype",
      params);
  std::vector<Result> results;
  absl::Status status = connection->Finish("looking for our tables", kPatienceMs, &results);
  if (!status.ok()) return status;
  Found found;
  found.schema = results[0].Int(0, 0) > 0;
  found.relation = results[0].Text(0, 1);
  found.meta = results[1].Int(0, 0) == 2;
  return found;
}

absl::Status Foreign(const Site& site, const Format& format, const std::string& relation) {
  return Refuse(site, absl::StrCat("has a schema ", format.schema, " of another program (with ",
                                   relation, " in it); name another database"));
}

// The version of what is there.
absl::StatusOr<int64_t> ReadVersion(Connection* connection, const Format& format) {
  const Site& site = connection->site();
  connection->QueueOnce(absl::StrCat("SELECT name, value FROM ", format.schema,
                                     ".meta WHERE name IN "
                                     "('format', 'version') ORDER BY name")
                            .c_str());
  std::vector<Result> results;
  absl::Status status = connection->Finish("reading the table meta", kPatienceMs, &results);
  if (!status.ok()) return status;
  const Result& rows = results[0];
  int64_t version = 0;
  if (rows.rows() != 2 || rows.Bytes(0, 1) != format.what ||
      !absl::SimpleAtoi(rows.Text(1, 1), &version)) {
    return Foreign(site, format, "a table meta");
  }
  if (version <= format.version) return version;
  return Refuse(site, absl::StrCat("has schema version ", version, " (", format.schema,
                                   "), but this build knows versions up to ", format.version,
                                   "; use the newer build that wrote it, or restore a backup"));
}

void QueueTables(Connection* connection, const Format& format, SchemaKind kind) {
  connection->QueueOnce(absl::StrCat("CREATE TABLE ", format.schema,
                                     ".meta(name text PRIMARY KEY, value text NOT NULL)")
                            .c_str());
  if (kind == SchemaKind::kObjects) {
    for (const char* const sql : kObjectsTables) connection->QueueOnce(sql);
  } else {
    for (const char* const sql : kMetadataTables) connection->QueueOnce(sql);
  }
  const std::string identity = RandomIdentity();
  if (kind == SchemaKind::kMetadata) {
    Params params;
    params.Text(identity);
    connection->QueueOnce("INSERT INTO libstorage_meta.state VALUES(1, $1, 0, 0, false, 0, '')",
                          params);
  }
  const std::string version = std::to_string(format.version);
  Params params;
  params.Text(identity).Text(format.what).Text(version);
  connection->QueueOnce(absl::StrCat("INSERT INTO ", format.schema,
                                     ".meta VALUES('identity', $1), ('format', $2), "
                                     "('version', $3), ('created', now()::text)")
                            .c_str(),
                        params);
}

// Begins a transaction in which nobody else makes or changes the schema.
absl::Status Lock(Connection* connection, const Format& format) {
  Params lock;
  lock.Int(format.lock);
  connection->QueueOnce("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
  connection->QueueOnce("SELECT pg_advisory_xact_lock($1)", lock);
  return connection->Finish("waiting for the schema");
}

// Under the lock somebody else may have made it meanwhile.
absl::Status Create(Connection* connection, const Format& format, SchemaKind kind) {
  absl::Status status = Lock(connection, format);
  if (!status.ok()) return status;
  const auto found = Look(connection, format);
  if (!found.ok()) return found.status();
  if (found->relation.empty()) {
    // An administrator may have made it empty, for a user who may not.
    if (!found->schema) {
      connection->QueueOnce(absl::StrCat("CREATE SCHEMA ", format.schema).c_str());
    }
    QueueTables(connection, format, kind);
  }
  connection->QueueOnce("COMMIT");
  return connection->Finish("creating the tables", kPatienceMs);
}

// One transaction from the version found to this build's.
absl::Status Upgrade(Connection* connection, const Format& format) {
  absl::Status status = Lock(connection, format);
  if (!status.ok()) return status;
  const auto version = ReadVersion(connection, format);
  if (!version.ok()) return version.status();
  const std::string upgraded = std::to_string(format.version);
  if (*version < 2 && format.version >= 2) {
    for (const char* const sql : kMetadataTo2) connection->QueueOnce(sql);
  }
  Params params;
  params.Text(upgraded);
  const std::string sql =
      absl::StrCat("UPDATE ", format.schema, ".meta SET value = $1 WHERE name = 'version'");
  connection->QueueOnce(sql.c_str(), params);
  connection->QueueOnce("COMMIT");
  return connection->Finish("upgrading the tables", kPatienceMs);
}

}  // namespace

absl::Status PrepareSchema(Connection* connection, SchemaKind kind) {
  const Format& format = kFormats[static_cast<int>(kind)];
  auto found = Look(connection, format);
  if (!found.ok()) return found.status();
  if (found->relation.empty()) {
    absl::Status created = Create(connection, format, kind);
    if (!created.ok()) {
      connection->Abandon();
      return created;
    }
    found = Look(connection, format);
    if (!found.ok()) return found.status();
  }
  if (!found->meta) return Foreign(connection->site(), format, found->relation);
  const auto version = ReadVersion(connection, format);
  if (!version.ok() || *version == format.version) return version.status();
  absl::Status upgraded = Upgrade(connection, format);
  if (!upgraded.ok()) connection->Abandon();
  return upgraded;
}

absl::StatusOr<bool> HasSchema(Connection* connection, SchemaKind kind) {
  const Format& format = kFormats[static_cast<int>(kind)];
  const auto found = Look(connection, format);
  if (!found.ok()) return found.status();
  if (found->relation.empty()) return false;
  if (!found->meta) return Foreign(connection->site(), format, found->relation);
  const auto version = ReadVersion(connection, format);
  if (!version.ok()) return version.status();
  return true;
}

absl::StatusOr<std::string> ReadIdentity(Connection* connection) {
  static constexpr Statement kIdentity = {
      "identity", "SELECT value FROM libstorage.meta WHERE name = 'identity'"};
  connection->Queue(kIdentity);
  std::vector<Result> results;
  absl::Status status = connection->Finish("reading the identity", kPatienceMs, &results);
  if (!status.ok()) return status;
  if (results[0].rows() != 1) {
    return MakeStatus(Code::kCorrupt,
                      connection->site().where + " has lost its identity; restore a backup",
                      connection->site().name);
  }
  return absl::StrCat(results[0].Text(0, 0), "/", connection->database_id());
}

LaneRow ReadLane(const Result& result) {
  LaneRow lane;
  lane.m_id = result.Text(0, 0);
  lane.epoch = result.Int(0, 1);
  lane.gen = result.Int(0, 2);
  lane.head = result.Int(0, 3);
  lane.ver = result.Int(0, 4);
  lane.floor = result.Int(0, 5);
  lane.seq = result.Int(0, 6);
  lane.seq_bytes = result.Int(0, 7);
  return lane;
}

absl::Status NoLaneRow(const Site& site) {
  return MakeStatus(Code::kCorrupt, site.where + " has no lane row; restore a backup", site.name);
}

}  // namespace storage::postgres
