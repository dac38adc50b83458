#include "src/backend/mysql/schema.h"

#include <iterator>
#include <map>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "src/backend/checks.h"

namespace storage::mysql {
namespace {

// Marks a table as ours; what has the name and not the comment belongs to somebody else.
constexpr char kComment[] = "libstorage";

#define TABLE_END " ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COMMENT='libstorage'"

struct Table {
  const char* name;
  const char* create;
  const char* columns;  // as Describe() writes them
  const char* indexes;
};

constexpr Table kObjectTables[] = {
    {"stg_meta",
     "CREATE TABLE IF NOT EXISTS stg_meta(name VARBINARY(64) NOT NULL, value LONGBLOB NOT NULL, "
     "PRIMARY KEY(name))" TABLE_END,
     "name varbinary(64), value longblob", "PRIMARY(name)"},
    {"stg_lane",
     "CREATE TABLE IF NOT EXISTS stg_lane(id TINYINT NOT NULL, m_id VARBINARY(64) NOT NULL, "
     "epoch BIGINT NOT NULL, gen BIGINT NOT NULL, head BIGINT NOT NULL, ver BIGINT NOT NULL, "
     "floor BIGINT NOT NULL, seq BIGINT NOT NULL, seq_bytes BIGINT NOT NULL, PRIMARY KEY(id), "
     "CONSTRAINT stg_lane_floor CHECK (floor <= head))" TABLE_END,
     "id tinyint, m_id varbinary(64), epoch bigint, gen bigint, head bigint, ver bigint, "
     "floor bigint, seq bigint, seq_bytes bigint",
     "PRIMARY(id)"},
    {"stg_objects",
     "CREATE TABLE IF NOT EXISTS stg_objects(create_rev BIGINT NOT NULL, mod_rev BIGINT NOT NULL, "
     "expire_ms BIGINT NULL, k VARBINARY(1024) NOT NULL, attrs LONGBLOB NOT NULL, "
     "value LONGBLOB NOT NULL, PRIMARY KEY(create_rev), UNIQUE KEY objects_key(k), "
     "KEY objects_expiry(expire_ms))" TABLE_END,
     "create_rev bigint, mod_rev bigint, expire_ms bigint null, k varbinary(1024), "
     "attrs longblob, value longblob",
     "PRIMARY(create_rev) objects_expiry(expire_ms) objects_key(k)"},
    {"stg_events",
     "CREATE TABLE IF NOT EXISTS stg_events(rev BIGINT NOT NULL, kind TINYINT NOT NULL, "
     "token BIGINT NOT NULL, seq BIGINT NOT NULL, seq_bytes BIGINT NOT NULL, prev_mod BIGINT NULL, "
     "prev_create BIGINT NULL, prev_expire_ms BIGINT NULL, k VARBINARY(1024) NOT NULL, "
     "prev_attrs LONGBLOB NULL, prev LONGBLOB NULL, PRIMARY KEY(rev), "
     "KEY events_key(k, rev, kind, prev_create))" TABLE_END,
     "rev bigint, kind tinyint, token bigint, seq bigint, seq_bytes bigint, prev_mod bigint null, "
     "prev_create bigint null, prev_expire_ms bigint null, k varbinary(1024), "
     "prev_attrs longblob null, prev longblob null",
     "PRIMARY(rev) events_key(k,rev,kind,prev_create)"},
    {"stg_kinds",
     "CREATE TABLE IF NOT EXISTS stg_kinds(collection VARBINARY(1024) NOT NULL, "
     "objects BIGINT NOT NULL, bytes BIGINT NOT NULL, PRIMARY KEY(collection))" TABLE_END,
     "collection varbinary(1024), objects bigint, bytes bigint", "PRIMARY(collection)"},
};

constexpr Table kMetadataTables[] = {
    {"stg_m_state",
     "CREATE TABLE IF NOT EXISTS stg_m_state(id TINYINT NOT NULL, version BIGINT NOT NULL, "
     "m_id VARBINARY(64) NOT NULL, epoch BIGINT NOT NULL, reserved BIGINT NOT NULL, "
     "clean TINYINT NOT NULL, topo_version BIGINT NOT NULL, topo LONGBLOB NOT NULL, "
     "holder VARBINARY(512) NOT NULL, PRIMARY KEY(id))" TABLE_END,
     "id tinyint, version bigint, m_id varbinary(64), epoch bigint, reserved bigint, "
     "clean tinyint, topo_version bigint, topo longblob, holder varbinary(512)",
     "PRIMARY(id)"},
    {"stg_m_backends",
     "CREATE TABLE IF NOT EXISTS stg_m_backends(name VARBINARY(255) NOT NULL, "
     "identity VARBINARY(255) NOT NULL, confirmed BIGINT NOT NULL, "
     "alloc BIGINT NOT NULL DEFAULT 0, PRIMARY KEY(name))" TABLE_END,
     "name varbinary(255), identity varbinary(255), confirmed bigint, alloc bigint",
     "PRIMARY(name)"},
    {"stg_m_servers",
     "CREATE TABLE IF NOT EXISTS stg_m_servers(token VARBINARY(64) NOT NULL, "
     "description VARBINARY(512) NOT NULL, PRIMARY KEY(token))" TABLE_END,
     "token varbinary(64), description varbinary(512)", "PRIMARY(token)"},
    {"stg_m_clock",
     "CREATE TABLE IF NOT EXISTS stg_m_clock(unix_s BIGINT NOT NULL, rev BIGINT NOT NULL, "
     "PRIMARY KEY(unix_s))" TABLE_END,
     "unix_s bigint, rev bigint", "PRIMARY(unix_s)"},
};

#undef TABLE_END

int64_t VersionOf(Tables tables) {
  return tables == Tables::kObjects ? kObjectsVersion : kMetadataVersion;
}

absl::Span<const Table> TablesOf(Tables tables) {
  if (tables == Tables::kObjects) return kObjectTables;
  return kMetadataTables;
}

absl::Status Refuse(const Connection& connection, const std::string& message) {
  return MakeStatus(Code::kInvalid, absl::StrCat(connection.site().where, ": ", message),
                    connection.site().name);
}

struct Found {
  std::string engine, comment, columns, indexes;
};

// "name type(length) [null]" of a row of information_schema.COLUMNS. The display
// width of numbers is left out: MySQL 8 has none.
std::string Describe(const Result& row) {
  std::string text = absl::StrCat(std::string(row.Bytes(1)), " ", std::string(row.Bytes(2)));
  if (text.ends_with("char") || text.ends_with("varbinary")) {
    absl::StrAppend(&text, "(", std::string(row.Bytes(3)), ")");
  }
  if (!row.Bytes(5).empty()) absl::StrAppend(&text, " collate ", std::string(row.Bytes(5)));
  if (row.Bytes(4) == "YES") text += " null";
  return text;
}

// What the server has of our names.
absl::StatusOr<std::map<std::string, Found>> Look(Connection* connection, Tables tables) {
  std::string names;
  for (const Table& table : TablesOf(tables)) {
    absl::StrAppend(&names, names.empty() ? "'" : ",'", table.name, "'");
  }
  const std::string where =
      absl::StrCat(" WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN (", names, ")");
  auto outcome = connection->Run(
      "reading the schema",
      absl::StrCat("SELECT TABLE_NAME, ENGINE, TABLE_COMMENT FROM information_schema.TABLES", where,
                   "; SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, "
                   "IS_NULLABLE, COLLATION_NAME FROM information_schema.COLUMNS",
                   where, " ORDER BY TABLE_NAME, ORDINAL_POSITION",
                   "; SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME "
                   "FROM information_schema.STATISTICS",
                   where, " ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"));
  if (!outcome.ok()) return outcome.status();
  std::map<std::string, Found> found;
  Result& names_of = outcome->results[0];
  while (names_of.Next()) {
    Found& table = found[std::string(names_of.Bytes(0))];
    table.engine = std::string(names_of.Bytes(1));
    table.comment = std::string(names_of.Bytes(2));
  }
  Result& columns = outcome->results[1];
  while (columns.Next()) {
    std::string& text = found[std::string(columns.Bytes(0))].columns;
    absl::StrAppend(&text, text.empty() ? "" : ", ", Describe(columns));
  }
  Result& rows = outcome->results[2];
  std::map<std::string, std::map<std::string, std::string>> indexes;  // in order of their bytes
  while (rows.Next()) {
    std::string& text = indexes[std::string(rows.Bytes(0))][std::string(rows.Bytes(1))];
    absl::StrAppend(&text, text.empty() ? "" : ",", std::string(rows.Bytes(2)));
  }
  for (const auto& [table, columns_of] : indexes) {
    std::string& text = found[table].indexes;
    for (const auto& [index, parts] : columns_of) {
      absl::StrAppend(&text, text.empty() ? "" : " ", index, "(", parts, ")");
    }
  }
  return found;
}

absl::Status CheckTable(const Connection& connection, const Table& table, const Found& found) {
  if (found.comment != kComment) {
    return Refuse(connection, absl::StrCat("the table ", table.name,
                                           " was not made by libstorage; name another database, or "
                                           "rename the table"));
  }
  if (found.engine != "InnoDB") {
    return Refuse(connection, absl::StrCat("the table ", table.name, " is kept by ", found.engine,
                                           "; run ALTER TABLE ", table.name, " ENGINE=InnoDB"));
  }
  if (found.columns != table.columns) {
    return Refuse(connection,
                  absl::StrCat("the columns of ", table.name, " are (", found.columns, "), not (",
                               table.columns,
                               "): somebody changed them; keys must be compared byte by byte. Undo "
                               "the change or restore a backup"));
  }
  if (found.indexes != table.indexes) {
    return Refuse(connection, absl::StrCat("the indexes of ", table.name, " are ", found.indexes,
                                           ", not ", table.indexes, "; undo the change"));
  }
  return absl::OkStatus();
}

// The version row is the last thing to be written: it says that all is there.
absl::StatusOr<int64_t> Version(Connection* connection, Tables tables) {
  auto rows = connection->Select("reading the schema version",
                                 tables == Tables::kObjects
                                     ? "SELECT value FROM stg_meta WHERE name = 'version'"
                                     : "SELECT version FROM stg_m_state WHERE id = 1");
  if (!rows.ok()) return rows.status();
  return rows->Next() ? rows->Int(0) : 0;
}

absl::Status CheckVersion(Connection* connection, Tables tables, int64_t* version) {
  const auto found = Version(connection, tables);
  if (!found.ok()) return found.status();
  *version = *found;
  if (*found <= VersionOf(tables)) return absl::OkStatus();
  return Refuse(*connection,
                absl::StrCat("the tables have schema version ", *found,
                             ", but this build knows versions up to ", VersionOf(tables),
                             "; use the newer build that wrote them, or restore a "
                             "backup"));
}

std::string FirstRows(Tables tables) {
  if (tables == Tables::kMetadata) {
    return absl::StrCat("INSERT IGNORE INTO stg_m_state VALUES(1, ", kMetadataVersion, ", ",
                        Bytes(RandomIdentity()), ", 0, 0, 0, 0, '', '')");
  }
  return absl::StrCat(
      "START TRANSACTION; INSERT IGNORE INTO stg_lane VALUES(1, '', 0, 0, 0, 0, 0, 0, 0);"
      "INSERT IGNORE INTO stg_meta VALUES('identity', ",
      Bytes(RandomIdentity()), "), ('created', UTC_TIMESTAMP()), ('version', ", kObjectsVersion,
      "); COMMIT");
}

// From version 1, a step that may be done again: two servers may come here, or one that
// was killed before it wrote the version.
absl::Status Upgrade(Connection* connection, Tables tables, int64_t version,
                     std::map<std::string, Found>* found) {
  if (tables != Tables::kMetadata || version != 1) return absl::OkStatus();
  auto upgraded =
      connection->Run("upgrading the tables",
                      "ALTER TABLE stg_m_backends ADD COLUMN alloc BIGINT NOT NULL DEFAULT 0");
  if (!upgraded.ok()) return upgraded.status();
  auto now = Look(connection, tables);
  if (!now.ok()) return now.status();
  *found = *std::move(now);
  return absl::OkStatus();
}

absl::Status WriteVersion(Connection* connection, Tables tables, int64_t version) {
  if (tables != Tables::kMetadata || version != 1) return absl::OkStatus();
  return connection
      ->Run("upgrading the tables", absl::StrCat("UPDATE stg_m_state SET version = ",
                                                 kMetadataVersion, " WHERE id = 1 AND version = 1"))
      .status();
}

absl::Status CreateTables(Connection* connection, Tables tables, int64_t version) {
  auto found = Look(connection, tables);
  if (!found.ok()) return found.status();
  absl::Status upgraded = Upgrade(connection, tables, version, &*found);
  if (!upgraded.ok()) return upgraded;
  for (const Table& table : TablesOf(tables)) {
    const auto it = found->find(table.name);
    if (it != found->end()) {
      // Half made by a server that was killed, or foreign.
      if (absl::Status ours = CheckTable(*connection, table, it->second); !ours.ok()) return ours;
      continue;
    }
    auto created = connection->Run(absl::StrCat("creating ", table.name), table.create);
    if (!created.ok()) return created.status();
  }
  absl::Status status = connection->Run("writing the first rows", FirstRows(tables)).status();
  return status.ok() ? WriteVersion(connection, tables, version) : status;
}

// Two servers that start at once: one creates, the other waits.
absl::Status CreateUnderLock(Connection* connection, Tables tables, int64_t version) {
  auto locked = connection->Select("locking the schema",
                                   "SELECT GET_LOCK(CONCAT('stg.schema.', SHA1(DATABASE())), 20)");
  if (!locked.ok()) return locked.status();
  if (!locked->Next() || locked->Int(0) != 1) {
    return MakeStatus(Code::kUnavailable,
                      absl::StrCat("another process has been creating the tables in ",
                                   connection->site().where, " for 20 s; start again"),
                      connection->site().name);
  }
  const absl::Status created = CreateTables(connection, tables, version);
  auto released = connection->Select(
      "unlocking the schema", "SELECT RELEASE_LOCK(CONCAT('stg.schema.', SHA1(DATABASE())))");
  return created.ok() ? released.status() : created;
}

}  // namespace

absl::Status PrepareTables(Connection* connection, Tables tables) {
  auto found = Look(connection, tables);
  if (!found.ok()) return found.status();
  const absl::Span<const Table> wanted = TablesOf(tables);
  int64_t version = 0;
  for (const Table& table : wanted) {  // before anything of a newer version is complained of
    const auto it = found->find(table.name);
    if (it == found->end() || it->second.comment != kComment) continue;
    if (table.name != wanted[0].name) continue;
    absl::Status known = CheckVersion(connection, tables, &version);
    if (!known.ok()) return known;
  }
  if (version < VersionOf(tables)) {
    absl::Status created = CreateUnderLock(connection, tables, version);
    if (!created.ok()) return created;
  }
  // The version is written last: what was half made, by another server that started
  // at the same time, at the first look is whole now.
  found = Look(connection, tables);
  if (!found.ok()) return found.status();
  for (const Table& table : wanted) {
    const auto it = found->find(table.name);
    if (it == found->end()) {
      return MakeStatus(Code::kCorrupt,
                        absl::StrCat(connection->site().where, ": the table ", table.name,
                                     " is gone; restore a backup"),
                        connection->site().name);
    }
    absl::Status legal = CheckTable(*connection, table, it->second);
    if (!legal.ok()) return legal;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> HasTables(Connection* connection, Tables tables) {
  const auto found = Look(connection, tables);
  if (!found.ok()) return found.status();
  const auto first = found->find(TablesOf(tables)[0].name);
  if (first == found->end() || first->second.comment != kComment) return false;
  int64_t version = 0;
  absl::Status known = CheckVersion(connection, tables, &version);
  if (!known.ok()) return known;
  return version > 0;
}

absl::StatusOr<std::string> ReadMeta(Connection* connection, const std::string& name) {
  auto rows = connection->Select("reading stg_meta",
                                 "SELECT value FROM stg_meta WHERE name = " + Bytes(name));
  if (!rows.ok()) return rows.status();
  return rows->Next() ? std::string(rows->Bytes(0)) : std::string();
}

std::string WriteMetaSql(const std::string& name, const std::string& value) {
  return absl::StrCat("INSERT INTO stg_meta VALUES(", Bytes(name), ", ", Bytes(value),
                      ") ON DUPLICATE KEY UPDATE value = VALUES(value)");
}

absl::Status ReadLane(Result* rows, const Site& site, LaneRow* lane) {
  if (!rows->Next()) {
    return MakeStatus(Code::kCorrupt, site.where + " has no lane row; restore a backup", site.name);
  }
  lane->m_id = std::string(rows->Bytes(0));
  lane->epoch = rows->Int(1);
  lane->gen = rows->Int(2);
  lane->head = rows->Int(3);
  lane->ver = rows->Int(4);
  lane->floor = rows->Int(5);
  lane->seq = rows->Int(6);
  lane->seq_bytes = rows->Int(7);
  return absl::OkStatus();
}

}  // namespace storage::mysql
