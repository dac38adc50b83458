#include "src/backend/postgres/errors.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace storage::postgres {
namespace {

struct Mapping {
  std::string_view state;  // whole, or the first characters of a class
  Code code;
  const char* remedy;  // "" = the server's text says it all
};

// The first match wins: single states stand before their class.
constexpr Mapping kMappings[] = {
    {"40", Code::kBusy, ""},
    {"55P03", Code::kBusy, "another session holds the lock; see pg_stat_activity"},
    {"55006", Code::kBusy, "another session uses the object; see pg_stat_activity"},
    {"53100", Code::kNoSpace, "free space on the disk of the database server"},
    {"53300", Code::kUnavailable,
     "raise max_connections of the server, or lower connectionPool.maxOpen"},
    {"53", Code::kUnavailable, "the server is out of resources; see its log"},
    {"25006", Code::kReadOnly,
     "name the primary in the endpoint, or end default_transaction_read_only"},
    {"25P03", Code::kUnavailable, "the session was idle in its transaction for too long"},
    {"57014", Code::kUnavailable, "the server took too long; see its load and its locks"},
    {"57P04", Code::kInvalid, "the database was dropped; restore it or correct the endpoint"},
    {"57", Code::kUnavailable, ""},
    {"08", Code::kUnavailable, ""},
    {"28", Code::kInvalid,
     "check the user and the password of the endpoint, certFile of backendTLS, and pg_hba.conf"},
    {"3D000", Code::kInvalid, "create it with CREATE DATABASE, or correct the endpoint"},
    {"42501", Code::kInvalid,
     "GRANT CREATE ON DATABASE to this user, or make it the owner of the schemas libstorage and "
     "libstorage_meta"},
    {"3F000", Code::kUnavailable, "the schema was dropped; restore a backup"},
    {"42P01", Code::kUnavailable, "a table was dropped or renamed; restore a backup"},
    {"0A000", Code::kUnavailable, "another program changed the tables; restart"},
    {"54", Code::kTooLarge, ""},
    {"58", Code::kUnavailable, "look for disk errors in the log of the database server"},
    {"XX001", Code::kCorrupt, "the database is damaged; restore a backup"},
    {"XX002", Code::kCorrupt, "an index is damaged; REINDEX, or restore a backup"},
};

const Mapping* Find(std::string_view state) {
  for (const Mapping& mapping : kMappings) {
    if (!state.empty() && state.starts_with(mapping.state)) return &mapping;
  }
  return nullptr;
}

std::string Text(std::string_view state, std::string_view what, std::string_view detail,
                 const Site& site, const char* remedy) {
  std::string text(what);
  absl::StrAppend(&text, " in ", site.where, ": ");
  text.append(detail);
  if (!state.empty()) absl::StrAppend(&text, " (SQLSTATE ", std::string(state), ")");
  if (remedy[0] != '\0') absl::StrAppend(&text, "; ", remedy);
  return text;
}

}  // namespace

void Log(const Site& site, LogLevel level, const std::string& message) {
  if (site.logger == nullptr) return;
  site.logger->Log(level, absl::StrCat(site.name, ": ", message));
}

int32_t PackSqlState(std::string_view state) {
  int32_t packed = 0;
  for (size_t i = 0; i < state.size() && i < 5; ++i) {
    packed |= ((state[i] - '0') & 0x3f) << (6 * i);
  }
  return packed;
}

absl::Status FromSqlState(std::string_view state, std::string_view what, std::string_view detail,
                          const Site& site) {
  const Mapping* const mapping = Find(state);
  Code code = state.empty() ? Code::kUnavailable : Code::kInternal;
  if (mapping != nullptr) code = mapping->code;
  return MakeStatus(code,
                    Text(state, what, detail, site, mapping == nullptr ? "" : mapping->remedy),
                    site.name, PackSqlState(state));
}

absl::Status OutcomeUnknown(std::string_view state, std::string_view detail, const Site& site) {
  absl::Status status =
      MakeStatus(Code::kOutcomeUnknown, Text(state, "committing", detail, site, ""), site.name,
                 PackSqlState(state));
  const Mapping* const mapping = Find(state);
  if (mapping != nullptr) SetCause(&status, mapping->code);
  return status;
}

absl::Status CheckServerVersion(int version, const Site& site) {
  constexpr int kOldest = 120000;  // plan_cache_mode
  if (version == 0 || version >= kOldest) return absl::OkStatus();
  const std::string name = version >= 100000
                               ? absl::StrCat(version / 10000)
                               : absl::StrCat(version / 10000, ".", version / 100 % 100);
  return Refuse(
      site, absl::StrCat("is PostgreSQL ", name, ", which is too old: use PostgreSQL 12 or newer"));
}

absl::Status Refuse(const Site& site, const std::string& why) {
  return MakeStatus(Code::kInvalid, absl::StrCat(site.where, " ", why), site.name);
}

}  // namespace storage::postgres
