#include "src/backend/sqlite/errors.h"

#include <sqlite3.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace storage::sqlite {
namespace {

struct Mapping {
  int rc;  // extended code, or a primary one for all of its extended codes
  Code code;
  const char* remedy;  // "" = SQLite's text says it all
};

// The first match wins: extended codes stand before their primary code.
constexpr Mapping kMappings[] = {
    {SQLITE_BUSY, Code::kBusy, "another program holds the file; close it or wait"},
    {SQLITE_LOCKED, Code::kBusy, "another program holds the file; close it or wait"},
    {SQLITE_PROTOCOL, Code::kBusy, "other programs open and close the file all the time"},
    {SQLITE_READONLY_DBMOVED, Code::kUnavailable,
     "the file was moved or replaced while it was open; restart"},
    {SQLITE_READONLY, Code::kReadOnly, "make the file and its directory writable for this user"},
    {SQLITE_IOERR_CORRUPTFS, Code::kCorrupt, "the file system reports damage; check the disk"},
    {SQLITE_IOERR_DATA, Code::kCorrupt, "a page checksum is wrong; restore a backup"},
    {SQLITE_IOERR, Code::kUnavailable, "look for disk errors in the kernel log"},
    {SQLITE_CORRUPT, Code::kCorrupt,
     "the file is damaged; run `sqlite3 FILE 'PRAGMA integrity_check'` and restore a backup"},
    {SQLITE_NOTADB, Code::kCorrupt,
     "this is no SQLite database, or its first page is damaged, or it is encrypted; restore a "
     "backup or name another file"},
    {SQLITE_FULL, Code::kNoSpace, "free space on its file system"},
    {SQLITE_CANTOPEN, Code::kUnavailable,
     "check that its directory exists and that this user may write there"},
    {SQLITE_PERM, Code::kReadOnly, "make the file and its directory writable for this user"},
    {SQLITE_AUTH, Code::kReadOnly, ""},
    {SQLITE_NOMEM, Code::kUnavailable, "the process is out of memory"},
    {SQLITE_TOOBIG, Code::kTooLarge, "SQLite stores at most 1,000,000,000 bytes in a row"},
    {SQLITE_INTERRUPT, Code::kCancelled, ""},
    {SQLITE_SCHEMA, Code::kUnavailable, "another program changed the schema; restart"},
};

// COMMIT answered with one of these: nothing was written. After an I/O error, a
// lack of memory or a full disk the commit frame may be there: the error may
// come from the sync or the index of the log, and half a frame is a valid one
// when the other half is what the log held before.
constexpr int kNotCommitted[] = {SQLITE_BUSY, SQLITE_LOCKED, SQLITE_CONSTRAINT, SQLITE_READONLY};

const Mapping* Find(int rc) {
  for (const Mapping& mapping : kMappings) {
    if (mapping.rc == rc || mapping.rc == (rc & 0xff)) return &mapping;
  }
  return nullptr;
}

std::string Text(int rc, std::string_view what, std::string_view detail, const Site& site,
                 const char* remedy) {
  std::string text(what);
  absl::StrAppend(&text, " in ", site.path, ": ");
  text.append(detail);
  absl::StrAppend(&text, " (SQLite code ", rc, ")");
  if (remedy[0] != '\0') absl::StrAppend(&text, "; ", remedy);
  return text;
}

}  // namespace

void Log(const Site& site, LogLevel level, const std::string& message) {
  if (site.logger == nullptr) return;
  site.logger->Log(level, absl::StrCat(site.name, ": ", message));
}

absl::Status FromSqlite(int rc, std::string_view what, std::string_view detail, const Site& site) {
  const Mapping* const mapping = Find(rc);
  const Code code = mapping == nullptr ? Code::kInternal : mapping->code;
  const char* const remedy = mapping == nullptr ? "" : mapping->remedy;
  return MakeStatus(code, Text(rc, what, detail, site, remedy), site.name, rc);
}

absl::Status FromCommit(int rc, std::string_view detail, const Site& site) {
  for (const int known : kNotCommitted) {
    if ((rc & 0xff) == known) return FromSqlite(rc, "committing", detail, site);
  }
  const Mapping* const mapping = Find(rc);
  absl::Status status =
      MakeStatus(Code::kOutcomeUnknown,
                 Text(rc, "committing", detail, site, mapping == nullptr ? "" : mapping->remedy),
                 site.name, rc);
  if ((rc & 0xff) == SQLITE_FULL) SetCause(&status, Code::kNoSpace);
  return status;
}

absl::Status FromErrno(int error, std::string_view what, const std::string& file,
                       const Site& site) {
  Code code = Code::kUnavailable;
  const char* remedy = "check the path and its file system";
  if (error == ENOSPC || error == EDQUOT) {
    code = Code::kNoSpace;
    remedy = "free space on its file system";
  } else if (error == EACCES || error == EPERM || error == EROFS) {
    code = Code::kReadOnly;
    remedy = "make the file and its directory readable and writable for this user";
  } else if (error == ENOTDIR || error == EISDIR || error == ENAMETOOLONG) {
    code = Code::kInvalid;
    remedy = "name a file in a directory that exists or can be made";
  }
  std::string text(what);
  absl::StrAppend(&text, " ", file, ": ", std::generic_category().message(error), "; ", remedy);
  return MakeStatus(code, text, site.name, error);
}

}  // namespace storage::sqlite
