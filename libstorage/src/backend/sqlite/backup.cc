#include "src/backend/sqlite/backup.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/backend/sqlite/connection.h"
#include "src/backend/sqlite/lock.h"
#include "src/backend/sqlite/schema.h"
#include "src/backend/sqlite/writer.h"

namespace storage {
namespace sqlite {
namespace {

constexpr int kStepPages = 1024;
constexpr int64_t kBusyMs = 5000;

absl::Status SyncPath(const std::string& path, const Site& site) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FromErrno(errno, "cannot open", path, site);
  const int rc = fsync(fd);
  const int error = errno;
  close(fd);
  return rc == 0 ? absl::OkStatus() : FromErrno(error, "cannot sync", path, site);
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Either kind of file, and nothing else.
absl::Status CheckOurs(Connection* connection) {
  absl::Status objects = CheckFile(connection, FileKind::kObjects);
  if (objects.ok() || CheckFile(connection, FileKind::kMetadata).ok()) return absl::OkStatus();
  return objects;
}

absl::Status CopyPages(Connection* source, Connection* destination,
                       const BackupProgress& progress) {
  sqlite3_backup* const backup =
      sqlite3_backup_init(destination->db(), "main", source->db(), "main");
  if (backup == nullptr) {
    return destination->Error(sqlite3_extended_errcode(destination->db()), "starting the copy");
  }
  int rc = SQLITE_OK;
  bool stopped = false;
  while (rc == SQLITE_OK && !stopped) {
    rc = sqlite3_backup_step(backup, kStepPages);
    const int64_t total = sqlite3_backup_pagecount(backup);
    stopped = progress && !progress(total - sqlite3_backup_remaining(backup), total);
  }
  const int finished = sqlite3_backup_finish(backup);
  if (rc != SQLITE_DONE && stopped) {
    return MakeStatus(Code::kCancelled, "the copy was stopped", source->site().name);
  }
  return destination->Error(finished, "copying");
}

absl::Status Copy(const Site& from, const Site& to, const BackupProgress& progress) {
  auto source = Connection::Open(&from, Connection::Mode::kReadOnly, kBusyMs);
  if (!source.ok()) return source.status();
  absl::Status status = CheckOurs(source->get());
  if (!status.ok()) return status;
  // An open query holds one read transaction over all steps: without it every
  // write of the server would start the copy from the beginning.
  Statement hold(source->get(), "SELECT name FROM meta");
  Query held(&hold);
  if (!held.Step()) return held.status("reading the table meta");
  status = CreateFile(to);
  if (!status.ok()) return status;
  auto destination = Connection::Open(&to, Connection::Mode::kReadWrite, kBusyMs);
  if (!destination.ok()) return destination.status();
  // Synced once, at the end.
  status = (*destination)->Exec("PRAGMA synchronous=OFF;PRAGMA journal_mode=OFF");
  if (!status.ok()) return status;
  return CopyPages(source->get(), destination->get(), progress);
}

struct Kind {
  int64_t objects = 0;
  int64_t bytes = 0;
};

// Each key counts for the longest collection that it begins with.
absl::Status RecountKinds(Connection* connection) {
  std::map<std::string, Kind> kinds;
  Statement collections(connection, "SELECT collection FROM kinds");
  Query names(&collections);
  while (names.Step()) kinds[std::string(names.Blob(0))];
  absl::Status status = names.status("reading the counts");
  if (!status.ok()) return status;
  Statement rows(connection,
                 "SELECT key, length(value) FROM objects INDEXED BY objects_key "
                 "ORDER BY key");
  Query row(&rows);
  while (row.Step()) {
    const std::string_view key = row.Blob(0);
    for (size_t length = key.size(); length > 0; --length) {
      const auto it = kinds.find(std::string(key.substr(0, length)));
      if (it == kinds.end()) continue;
      it->second.objects += 1;
      it->second.bytes += row.Int(1);
      break;
    }
  }
  status = row.status("counting objects");
  if (!status.ok()) return status;
  Statement update(connection, "UPDATE kinds SET objects = ?2, bytes = ?3 WHERE collection = ?1");
  for (const auto& [name, kind] : kinds) {
    Query query(&update);
    status = query.BindBlob(1, name).Bind(2, kind.objects).Bind(3, kind.bytes).Run("counting");
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// What changed after rev goes; what it replaced and was there at rev comes back.
absl::Status Rewind(Connection* connection, int64_t rev) {
  const std::string at = std::to_string(rev);
  const std::string steps[] = {
      "DELETE FROM objects WHERE mod_rev > " + at,
      "INSERT INTO objects SELECT prev_create, prev_mod, prev_expire_ms, key, prev_attrs, prev "
      "FROM events WHERE rev > " +
          at + " AND prev_mod <= " + at,
      "DELETE FROM events WHERE rev > " + at,
      "UPDATE lane SET head = " + at +
          ", ver = ver + 1, "
          "seq = ifnull((SELECT seq FROM events ORDER BY rev DESC LIMIT 1), seq), "
          "seq_bytes = ifnull((SELECT seq_bytes FROM events ORDER BY rev DESC LIMIT 1), "
          "seq_bytes)"};
  for (const std::string& sql : steps) {
    absl::Status status = connection->Exec(sql);
    if (!status.ok()) return status;
  }
  return RecountKinds(connection);
}

absl::StatusOr<RevisionSpan> ReadSpan(Connection* connection) {
  const auto floor = connection->QueryInt("SELECT floor FROM lane WHERE id = 1");
  if (!floor.ok()) return floor.status();
  const auto head = connection->QueryInt("SELECT head FROM lane WHERE id = 1");
  if (!head.ok()) return head.status();
  return RevisionSpan{*floor, *head};
}

}  // namespace
}  // namespace sqlite

absl::Status BackupSqlite(const std::string& source, const std::string& destination,
                          const BackupProgress& progress) {
  const std::string partial = destination + ".partial";
  const sqlite::Site from{"", source};
  const sqlite::Site to{"", partial};
  if (access(destination.c_str(), F_OK) == 0) {
    return MakeStatus(Code::kInvalid, destination + " exists; name a new file");
  }
  unlink(partial.c_str());
  absl::Status status = sqlite::Copy(from, to, progress);
  if (status.ok()) status = sqlite::SyncPath(partial, to);
  if (status.ok() && rename(partial.c_str(), destination.c_str()) != 0) {
    status = sqlite::FromErrno(errno, "cannot create", destination, to);
  }
  if (!status.ok()) {
    unlink(partial.c_str());
    return status;
  }
  return sqlite::SyncPath(sqlite::DirectoryOf(destination), to);
}

absl::StatusOr<RevisionSpan> SqliteRevisions(const std::string& path) {
  const sqlite::Site site{"", path};
  auto connection =
      sqlite::Connection::Open(&site, sqlite::Connection::Mode::kReadOnly, sqlite::kBusyMs);
  if (!connection.ok()) return connection.status();
  absl::Status legal = CheckFile(connection->get(), sqlite::FileKind::kObjects);
  if (!legal.ok()) return legal;
  return sqlite::ReadSpan(connection->get());
}

absl::Status RewindSqlite(const std::string& path, int64_t rev) {
  const sqlite::Site site{"", path};
  const auto exists = sqlite::IdentifyFile(site);
  if (!exists.ok()) return exists.status();
  auto lock = sqlite::FileLock::Acquire(site);
  if (!lock.ok()) return lock.status();
  auto connection =
      sqlite::Connection::Open(&site, sqlite::Connection::Mode::kCreate, sqlite::kBusyMs);
  if (!connection.ok()) return connection.status();
  absl::Status status = CheckFile(connection->get(), sqlite::FileKind::kObjects);
  if (status.ok()) status = (*connection)->Exec("BEGIN IMMEDIATE");
  if (!status.ok()) return status;
  const auto span = sqlite::ReadSpan(connection->get());
  if (!span.ok()) return span.status();
  if (rev < span->floor || rev > span->head) {
    return MakeStatus(Code::kInvalid, absl::StrCat(path, " can show revisions ", span->floor,
                                                   " to ", span->head, ", not ", rev));
  }
  status = sqlite::Rewind(connection->get(), rev);
  if (status.ok()) status = (*connection)->Exec("COMMIT");
  return status;  // closing it makes it one file again
}

}  // namespace storage
