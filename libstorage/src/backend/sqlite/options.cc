#include "src/backend/sqlite/options.h"

#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace storage::sqlite {
namespace {

enum class Action {
  kIgnore,  // accepted without effect
  kBusy,    // milliseconds
  kSync,
  kJournal,  // only WAL
  kSecure,
  kCache,
  kLocking,    // only NORMAL
  kMode,       // only rwc and rw
  kOnlyFalse,  // accepted when it asks for nothing
  kRefuse,
};

struct Rule {
  const char* name;
  Action action;
  const char* remedy;  // of a refusal
};

constexpr char kEncrypted[] = "this build cannot read encrypted files; remove it";
constexpr char kUsers[] = "this build has no user authentication for SQLite; remove it";

constexpr Rule kRules[] = {
    {"_auth", Action::kRefuse, kUsers},
    {"_auth_crypt", Action::kRefuse, kUsers},
    {"_auth_pass", Action::kRefuse, kUsers},
    {"_auth_salt", Action::kRefuse, kUsers},
    {"_auth_user", Action::kRefuse, kUsers},
    {"_auto_vacuum", Action::kIgnore, ""},  // always incremental
    {"_busy_timeout", Action::kBusy, ""},
    {"_cache_size", Action::kCache, ""},
    {"_case_sensitive_like", Action::kIgnore, ""},
    {"_cslike", Action::kIgnore, ""},
    {"_defer_fk", Action::kIgnore, ""},
    {"_defer_foreign_keys", Action::kIgnore, ""},
    {"_fk", Action::kIgnore, ""},
    {"_foreign_keys", Action::kIgnore, ""},
    {"_ignore_check_constraints", Action::kIgnore, ""},
    {"_journal", Action::kJournal, ""},
    {"_journal_mode", Action::kJournal, ""},
    {"_key", Action::kRefuse, kEncrypted},
    {"_loc", Action::kIgnore, ""},
    {"_locking", Action::kLocking, ""},
    {"_locking_mode", Action::kLocking, ""},
    {"_mutex", Action::kIgnore, ""},
    {"_pragma_key", Action::kRefuse, kEncrypted},
    {"_query_only", Action::kOnlyFalse, "the API server writes; remove it"},
    {"_recursive_triggers", Action::kIgnore, ""},
    {"_rt", Action::kIgnore, ""},
    {"_secure_delete", Action::kSecure, ""},
    {"_stmt_cache_size", Action::kIgnore, ""},
    {"_sync", Action::kSync, ""},
    {"_synchronous", Action::kSync, ""},
    {"_timeout", Action::kBusy, ""},
    {"_txlock", Action::kIgnore, ""},
    {"_vacuum", Action::kIgnore, ""},
    {"_writable_schema", Action::kOnlyFalse, "the schema belongs to libstorage; remove it"},
    {"cache", Action::kIgnore, ""},
    {"immutable", Action::kOnlyFalse, "the API server writes; remove it"},
    {"mode", Action::kMode, ""},
    {"nolock", Action::kOnlyFalse, "without locks two processes destroy the file; remove it"},
    {"psow", Action::kIgnore, ""},
    {"vfs", Action::kRefuse, "only SQLite's own file access is supported; remove it"},
};

const Rule* FindRule(const std::string& name) {
  for (const Rule& rule : kRules) {
    if (name == rule.name) return &rule;
  }
  return nullptr;
}

class Parser {
 public:
  explicit Parser(const SqliteOptions& options) : options_(options) {}

  absl::StatusOr<Settings> Parse() {
    if (options_.secure_delete) settings_.secure_delete = "ON";
    for (const auto& [name, value] : options_.options) {
      const Rule* const rule = FindRule(name);
      absl::Status status = rule == nullptr ? Unknown(name) : Take(*rule, value);
      if (!status.ok()) return status;
    }
    return std::move(settings_);
  }

 private:
  // The value may be a password behind a name that was written wrong.
  absl::Status Unknown(const std::string& name) const {
    return MakeStatus(
        Code::kInvalid,
        absl::StrCat("sqlite option ", name, " of ", options_.path, ": unknown option; remove it"),
        options_.name);
  }

  absl::Status Refuse(const std::string& name, const std::string& value,
                      const std::string& remedy) const {
    return MakeStatus(
        Code::kInvalid,
        absl::StrCat("sqlite option ", name, "=", value, " of ", options_.path, ": ", remedy),
        options_.name);
  }

  absl::Status Take(const Rule& rule, const std::string& value) {
    const std::string lower = absl::AsciiStrToLower(value);
    switch (rule.action) {
      case Action::kRefuse:
        // The value may be a password.
        return Refuse(rule.name, "...", rule.remedy);
      case Action::kBusy:
        return TakeBusy(rule, value);
      case Action::kSync:
        return TakeSync(rule, value, lower);
      case Action::kSecure:
        return TakeSecure(rule, value, lower);
      case Action::kCache:
        return TakeCache(rule, value);
      case Action::kJournal:
        if (lower == "wal") return absl::OkStatus();
        return Refuse(rule.name, value, "only WAL is supported; write WAL or remove it");
      case Action::kLocking:
        if (lower == "normal") return Ignore(rule, value);
        return Refuse(rule.name, value,
                      "readers have connections of their own; write NORMAL or remove it (the "
                      "file is locked for one writing process anyway)");
      case Action::kMode:
        if (lower == "rwc" || lower == "rw") return Ignore(rule, value);
        return Refuse(rule.name, value, "objects are kept in a file and written; write rwc");
      case Action::kOnlyFalse:
        if (IsFalse(lower)) return Ignore(rule, value);
        return Refuse(rule.name, value, rule.remedy);
      case Action::kIgnore:
        break;
    }
    return Ignore(rule, value);
  }

  absl::Status Ignore(const Rule& rule, const std::string& value) {
    settings_.without_effect.push_back(absl::StrCat(rule.name, "=", value));
    return absl::OkStatus();
  }

  absl::Status TakeBusy(const Rule& rule, const std::string& value) {
    if (absl::SimpleAtoi(value, &settings_.busy_ms) && settings_.busy_ms >= 0) {
      return absl::OkStatus();
    }
    return Refuse(rule.name, value, "write a number of milliseconds, such as 30000");
  }

  absl::Status TakeCache(const Rule& rule, const std::string& value) {
    if (absl::SimpleAtoi(value, &settings_.cache_size)) return absl::OkStatus();
    return Refuse(rule.name, value, "write pages, or KiB as a negative number, such as -16000");
  }

  absl::Status TakeSync(const Rule& rule, const std::string& value, const std::string& lower) {
    constexpr const char* kNames[] = {"off", "normal", "full", "extra"};
    for (int level = 0; level < static_cast<int>(std::size(kNames)); ++level) {
      if (lower != kNames[level] && lower != std::to_string(level)) continue;
      settings_.synchronous = static_cast<Synchronous>(level);
      return absl::OkStatus();
    }
    return Refuse(rule.name, value, "write OFF, NORMAL, FULL or EXTRA");
  }

  absl::Status TakeSecure(const Rule& rule, const std::string& value, const std::string& lower) {
    const bool on = lower == "1" || lower == "on" || lower == "true" || lower == "yes";
    if (lower != "default" && !on && !IsFalse(lower) && lower != "fast") {
      return Refuse(rule.name, value, "write ON, OFF or FAST");
    }
    // What the caller decided (a file with encrypted kinds) is not weakened by a DSN.
    if (options_.secure_delete) return absl::OkStatus();
    settings_.secure_delete = on ? "ON" : lower == "fast" ? "FAST" : "OFF";
    return absl::OkStatus();
  }

  static bool IsFalse(const std::string& lower) {
    return lower == "0" || lower == "off" || lower == "false" || lower == "no";
  }

  const SqliteOptions& options_;
  Settings settings_;
};

}  // namespace

absl::StatusOr<Settings> ParseOptions(const SqliteOptions& options) {
  return Parser(options).Parse();
}

}  // namespace storage::sqlite
