#include "src/backend/sqlite/schema.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"

namespace storage::sqlite {
namespace {

constexpr int64_t kWriterCacheKib = 8000;
constexpr int64_t kReaderCacheKib = 2000;
// A log that a long snapshot made longer is cut when it starts over.
constexpr int64_t kMaxLogBytes = 40 << 20;

// Small columns first: a row whose value overflows its page is still decided
// on by the first page alone.
constexpr char kObjectsSchema[] = R"sql(
CREATE TABLE lane(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  m_id TEXT NOT NULL, epoch INTEGER NOT NULL, gen INTEGER NOT NULL,
  head INTEGER NOT NULL, ver INTEGER NOT NULL, floor INTEGER NOT NULL CHECK (floor <= head),
  seq INTEGER NOT NULL, seq_bytes INTEGER NOT NULL);
INSERT INTO lane VALUES(1, '', 0, 0, 0, 0, 0, 0, 0);
CREATE TABLE objects(
  create_rev INTEGER PRIMARY KEY,
  mod_rev INTEGER NOT NULL,
  expire_ms INTEGER,
  key BLOB NOT NULL,
  attrs BLOB NOT NULL,
  value BLOB NOT NULL);
CREATE UNIQUE INDEX objects_key ON objects(key);
CREATE INDEX objects_expiry ON objects(expire_ms) WHERE expire_ms IS NOT NULL;
CREATE TABLE events(
  rev INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  token INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  seq_bytes INTEGER NOT NULL,
  prev_mod INTEGER,
  prev_create INTEGER,
  prev_expire_ms INTEGER,
  key BLOB NOT NULL,
  prev_attrs BLOB,
  prev BLOB);
CREATE INDEX events_next ON events(prev_mod) WHERE prev_mod IS NOT NULL;
CREATE INDEX events_gone ON events(key, prev_create) WHERE kind >= 3;
CREATE TABLE kinds(
  collection BLOB PRIMARY KEY,
  objects INTEGER NOT NULL,
  bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
)sql";

constexpr char kMetadataSchema[] = R"sql(
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE backends(
  name TEXT PRIMARY KEY,
  identity TEXT NOT NULL,
  confirmed INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE clock(unix_s INTEGER PRIMARY KEY, rev INTEGER NOT NULL);
)sql";

struct Format {
  const char* what;
  int64_t application_id;  // four letters in the file's header
  int64_t version;
  const char* create;
};

constexpr Format kFormats[] = {
    {"objects", 0x53544f42, 1, kObjectsSchema},    // "STOB"
    {"metadata", 0x53544d45, 1, kMetadataSchema},  // "STME"
};

const Format& FormatOf(FileKind kind) { return kFormats[static_cast<int>(kind)]; }

struct Found {
  int64_t application_id = 0;
  int64_t version = 0;
  std::string other_table;  // of a file without our id
  bool empty() const { return application_id == 0 && other_table.empty(); }
};

absl::StatusOr<Found> Look(Connection* connection) {
  Found found;
  const auto id = connection->QueryInt("PRAGMA application_id");
  if (!id.ok()) return id.status();
  const auto version = connection->QueryInt("PRAGMA user_version");
  if (!version.ok()) return version.status();
  const auto table = connection->QueryText("SELECT name FROM sqlite_schema LIMIT 1");
  if (!table.ok()) return table.status();
  found.application_id = *id;
  found.version = *version;
  if (*id == 0) found.other_table = *table;
  return found;
}

absl::Status Refuse(const Site& site, const std::string& why) {
  return MakeStatus(Code::kInvalid, absl::StrCat(site.path, " ", why), site.name);
}

absl::Status CheckFound(const Site& site, const Found& found, const Format& format) {
  if (!found.other_table.empty()) {
    return Refuse(site, absl::StrCat("belongs to another program (it has '", found.other_table,
                                     "'); name another file"));
  }
  for (const Format& other : kFormats) {
    if (found.application_id == other.application_id && &other != &format) {
      return Refuse(site, absl::StrCat("is a libstorage file of ", other.what, ", but one of ",
                                       format.what, " is needed; name another file"));
    }
  }
  if (found.application_id != format.application_id) {
    return Refuse(site, absl::StrCat("belongs to another program (application id ",
                                     found.application_id, "); name another file"));
  }
  if (found.version > format.version) {
    return Refuse(site, absl::StrCat("has schema version ", found.version,
                                     ", but this build knows versions up to ", format.version,
                                     "; use the newer build that wrote it, or restore a backup"));
  }
  return absl::OkStatus();
}

absl::Status Create(Connection* connection, const Format& format) {
  const std::string sql =
      absl::StrCat("BEGIN IMMEDIATE;", format.create, "INSERT INTO meta VALUES('identity', '",
                   RandomIdentity(), "'),('created', strftime('%Y-%m-%dT%H:%M:%SZ'));",
                   "PRAGMA application_id=", format.application_id,
                   ";PRAGMA user_version=", format.version, ";COMMIT;");
  absl::Status status = connection->Exec(sql);
  if (status.ok()) return status;
  if (connection->in_transaction()) connection->Exec("ROLLBACK").IgnoreError();
  return MakeStatus(CodeOf(status),
                    absl::StrCat("cannot create the tables in ", connection->site().path, ": ",
                                 connection->message()),
                    connection->site().name, DriverCodeOf(status));
}

absl::Status SetWriterPragmas(Connection* connection, const Settings& settings) {
  const auto mode = connection->QueryText("PRAGMA journal_mode=WAL");
  if (!mode.ok()) return mode.status();
  if (*mode != "wal") {
    return Refuse(connection->site(), absl::StrCat("cannot have a write-ahead log (its journal "
                                                   "mode stays ",
                                                   *mode, "): it needs a local file system"));
  }
  const int64_t cache = settings.cache_size != 0 ? settings.cache_size : -kWriterCacheKib;
  return connection->Exec(absl::StrCat(
      "PRAGMA synchronous=", static_cast<int>(settings.synchronous), ";PRAGMA cache_size=", cache,
      ";PRAGMA secure_delete=", settings.secure_delete, ";PRAGMA journal_size_limit=", kMaxLogBytes,
      ";PRAGMA wal_autocheckpoint=0;PRAGMA temp_store=MEMORY;PRAGMA cell_size_check=ON"));
}

// mkdir -p; every directory that was made is synced through its parent.
absl::Status MakeDirectories(const std::string& directory, const Site& site) {
  for (size_t slash = directory.find('/', 1);; slash = directory.find('/', slash + 1)) {
    const std::string part = directory.substr(0, slash);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return FromErrno(errno, "cannot create the directory", part, site);
    }
    if (slash == std::string::npos) return absl::OkStatus();
  }
}

void SyncDirectory(const std::string& directory) {
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);  // file systems without it have nothing to promise either
  close(fd);
}

}  // namespace

absl::Status CreateFile(const Site& site) {
  const size_t slash = site.path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : site.path.substr(0, slash);
  if (slash != std::string::npos && slash > 0) {
    absl::Status made = MakeDirectories(directory, site);
    if (!made.ok()) return made;
  }
  struct stat info {};
  const bool there = stat(site.path.c_str(), &info) == 0;
  if (there && !S_ISREG(info.st_mode)) return Refuse(site, "is no file; name a file");
  if (!there && lstat(site.path.c_str(), &info) == 0 && S_ISLNK(info.st_mode)) {
    return Refuse(site,
                  "is a symbolic link to a file that is not there; mount its disk, correct the "
                  "link, or remove it");
  }
  const int fd = open(site.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    // An existing file is not opened here: closing any descriptor of it would
    // drop the locks that SQLite holds in this process.
    if (errno == EEXIST) return absl::OkStatus();
    return FromErrno(errno, "cannot create", site.path, site);
  }
  close(fd);
  for (std::string up = directory;;) {
    SyncDirectory(up.empty() ? "/" : up);
    if (up.empty() || up == ".") break;
    const size_t parent = up.rfind('/');
    up = parent == std::string::npos ? "." : up.substr(0, parent);
  }
  return absl::OkStatus();
}

absl::Status CheckFile(Connection* connection, FileKind kind) {
  const auto found = Look(connection);
  if (!found.ok()) return found.status();
  const Format& format = FormatOf(kind);
  const Site& site = connection->site();
  if (found->empty()) {
    return Refuse(site, "is empty: no server has used it yet; name the file of a server");
  }
  absl::Status legal = CheckFound(site, *found, format);
  if (!legal.ok()) return legal;
  if (found->version < format.version) {
    return Refuse(site, absl::StrCat("has schema version ", found->version, ", this build reads ",
                                     format.version, "; start the server once to upgrade it"));
  }
  return absl::OkStatus();
}

absl::Status PrepareFile(Connection* connection, FileKind kind, const Settings& settings) {
  const auto found = Look(connection);
  if (!found.ok()) return found.status();
  const Format& format = FormatOf(kind);
  if (!found->empty()) {
    absl::Status legal = CheckFound(connection->site(), *found, format);
    if (!legal.ok()) return legal;
  } else {
    // Before the first page is written; without effect on what exists.
    absl::Status shape = connection->Exec("PRAGMA page_size=4096;PRAGMA auto_vacuum=INCREMENTAL");
    if (!shape.ok()) return shape;
  }
  absl::Status status = SetWriterPragmas(connection, settings);
  if (status.ok() && found->empty()) status = Create(connection, format);
  // Version 1 is the first: an upgrade from N to N + 1 goes here.
  return status;
}

absl::Status SetReaderPragmas(Connection* connection, const Settings& settings) {
  const int64_t cache = settings.cache_size != 0 ? settings.cache_size : -kReaderCacheKib;
  return connection->Exec(absl::StrCat("PRAGMA query_only=ON;PRAGMA wal_autocheckpoint=0;",
                                       "PRAGMA temp_store=MEMORY;PRAGMA cell_size_check=ON;",
                                       "PRAGMA cache_size=", cache));
}

absl::StatusOr<std::string> ReadMeta(Connection* connection, const std::string& name) {
  Statement statement(connection, "SELECT value FROM meta WHERE name = ?1");
  Query query(&statement);
  query.BindText(1, name);
  const std::string value(query.Step() ? query.Blob(0) : std::string_view());
  absl::Status status = query.status("reading the table meta");
  if (!status.ok()) return status;
  return value;
}

absl::Status WriteMeta(Connection* connection, const std::string& name, const std::string& value) {
  Statement statement(connection, "REPLACE INTO meta VALUES(?1, ?2)");
  Query query(&statement);
  return query.BindText(1, name).BindText(2, value).Run("writing the table meta");
}

void ReadLane(const Query& query, LaneRow* lane) {
  lane->m_id = std::string(query.Blob(0));
  lane->epoch = query.Int(1);
  lane->gen = query.Int(2);
  lane->head = query.Int(3);
  lane->ver = query.Int(4);
  lane->floor = query.Int(5);
  lane->seq = query.Int(6);
  lane->seq_bytes = query.Int(7);
}

}  // namespace storage::sqlite
