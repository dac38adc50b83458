#include "src/backend/mysql/options.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

namespace storage::mysql {
namespace {

using Take = absl::Status (*)(const std::string& value, Settings* settings);

absl::Status Invalid(const std::string& message) { return MakeStatus(Code::kInvalid, message); }

absl::Status TakeBool(const std::string& value, bool* out) {
  for (const char* yes : {"1", "true", "TRUE", "True"}) {
    if (value == yes) return *out = true, absl::OkStatus();
  }
  for (const char* no : {"0", "false", "FALSE", "False"}) {
    if (value == no) return *out = false, absl::OkStatus();
  }
  return Invalid("must be true or false");
}

// A Go duration, rounded up to seconds; 0 leaves the default.
absl::Status TakeSeconds(const std::string& value, unsigned* out) {
  absl::Duration duration;
  if (!absl::ParseDuration(value, &duration) || duration < absl::ZeroDuration() ||
      duration > absl::Hours(24)) {
    return Invalid("must be a duration such as 500ms, 2s or 1m30s");
  }
  const int64_t seconds = absl::ToInt64Seconds(absl::Ceil(duration, absl::Seconds(1)));
  if (seconds > 0) *out = static_cast<unsigned>(seconds);
  return absl::OkStatus();
}

absl::Status TakeTls(const std::string& value, Settings* settings) {
  bool on = false;
  if (value == "preferred") {
    settings->tls = TlsMode::kPreferred;
  } else if (value == "skip-verify") {
    settings->tls = TlsMode::kSkipVerify;
  } else if (TakeBool(value, &on).ok()) {
    settings->tls = on ? TlsMode::kVerify : TlsMode::kOff;
  } else {
    return Invalid(
        "names a configuration that a Go program registers; write true, skip-verify, preferred or "
        "false, and the files into backendTLS of the rule");
  }
  return absl::OkStatus();
}

absl::Status TakePacket(const std::string& value, Settings* settings) {
  if (absl::SimpleAtoi(value, &settings->max_packet) &&
      (settings->max_packet == 0 || settings->max_packet >= 65536)) {
    return absl::OkStatus();
  }
  return Invalid("must be a number of bytes, 65536 or more, or 0 for the server's own limit");
}

absl::Status TakeAttributes(const std::string& value, Settings* settings) {
  for (const absl::string_view pair : absl::StrSplit(value, ',', absl::SkipEmpty())) {
    const std::vector<std::string> parts = absl::StrSplit(pair, absl::MaxSplits(':', 1));
    if (parts.size() != 2 || parts[0].empty()) return Invalid("must be key:value,key:value");
    settings->attributes[parts[0]] = parts[1];
  }
  return absl::OkStatus();
}

absl::Status TakeServerKey(const std::string& value, Settings* settings) {
  if (value.empty() || value[0] != '/') {
    return Invalid(
        "names a key that a Go program registers; write the path of a PEM file, from /, instead");
  }
  settings->server_key_file = value;
  return absl::OkStatus();
}

absl::Status TakeOldPasswords(const std::string& value, Settings*) {
  bool allowed = false;
  absl::Status read = TakeBool(value, &allowed);
  if (!read.ok() || !allowed) return read;
  return Invalid(
      "is refused: hashes of before MySQL 4.1 are not safe; give the user a new password and leave "
      "the option out");
}

struct Option {
  const char* name;
  Take take;            // null: accepted without effect
  bool logged = false;  // taken, but with no effect worth having: logged once
};

absl::Status AnyBool(const std::string& value, Settings*) {
  bool ignored = false;
  return TakeBool(value, &ignored);
}

// Everything that go-sql-driver/mysql 1.9 knows. docs/format-mysql.md says why.
constexpr Option kOptions[] = {
    {"allowAllFiles", &AnyBool, true},
    {"allowCleartextPasswords",
     [](const std::string& v, Settings* s) { return TakeBool(v, &s->cleartext_passwords); }},
    {"allowFallbackToPlaintext",
     [](const std::string& v, Settings* s) {
       bool on = false;
       absl::Status read = TakeBool(v, &on);
       if (on && s->tls == TlsMode::kOff) s->tls = TlsMode::kPreferred;
       return read;
     }},
    {"allowNativePasswords",
     [](const std::string& v, Settings* s) { return TakeBool(v, &s->native_passwords); }},
    {"allowOldPasswords", &TakeOldPasswords},
    {"charset", nullptr, true},
    {"checkConnLiveness",
     [](const std::string& v, Settings* s) { return TakeBool(v, &s->check_liveness); }},
    {"clientFoundRows", &AnyBool, true},
    {"collation", nullptr, true},
    {"columnsWithAlias", &AnyBool, true},
    {"compress", [](const std::string& v, Settings* s) { return TakeBool(v, &s->compress); }},
    {"connectionAttributes", &TakeAttributes},
    {"interpolateParams", &AnyBool, true},
    {"loc", nullptr, true},
    {"maxAllowedPacket", &TakePacket},
    {"multiStatements", &AnyBool, true},
    {"parseTime", &AnyBool, true},
    {"readTimeout", [](const std::string& v, Settings* s) { return TakeSeconds(v, &s->read_s); }},
    {"rejectReadOnly", &AnyBool, true},
    {"serverPubKey", &TakeServerKey},
    {"strict", &AnyBool, true},
    {"timeTruncate", nullptr, true},
    {"timeout", [](const std::string& v, Settings* s) { return TakeSeconds(v, &s->connect_s); }},
    {"tls", &TakeTls},
    {"writeTimeout", [](const std::string& v, Settings* s) { return TakeSeconds(v, &s->write_s); }},
};

// System variables that are ours to set, with the values that the protocol needs.
constexpr const char* kOurVariables[] = {"autocommit",
                                         "character_set_client",
                                         "character_set_connection",
                                         "character_set_results",
                                         "collation_connection",
                                         "idle_transaction_timeout",
                                         "innodb_lock_wait_timeout",
                                         "lock_wait_timeout",
                                         "max_execution_time",
                                         "max_statement_time",
                                         "net_read_timeout",
                                         "net_write_timeout",
                                         "sql_mode",
                                         "time_zone",
                                         "transaction_isolation",
                                         "tx_isolation",
                                         "wait_timeout",
                                         "wsrep_sync_wait"};

// Variables that take a law away.
constexpr const char* kRefusedVariables[] = {
    "unique_checks",    "foreign_key_checks",    "sql_log_bin",
    "wsrep_on",         "transaction_read_only", "tx_read_only",
    "sql_safe_updates", "sql_select_limit",      "innodb_snapshot_isolation"};

template <typename Names>
bool Has(const Names& names, const std::string& name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// A number, a word, or text between single quotes without any quote inside.
bool IsPlainValue(const std::string& value) {
  if (value.size() >= 2 && value.front() == '\'' && value.back() == '\'') {
    return value.find_first_of("'\\;", 1) == value.size() - 1;
  }
  return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
  });
}

absl::Status TakeVariable(const std::string& written, const std::string& value,
                          Settings* settings) {
  const std::string name = absl::AsciiStrToLower(written);
  if (Has(kRefusedVariables, name)) {
    return Invalid("is refused: with it the database could lose or hide data; leave it out");
  }
  if (Has(kOurVariables, name)) {
    settings->without_effect.push_back(absl::StrCat(written, "=", value));
    return absl::OkStatus();
  }
  // What is almost one of the driver's own options is a typing error.
  for (const Option& option : kOptions) {
    if (absl::AsciiStrToLower(option.name) == name) {
      return Invalid(absl::StrCat("is no option; did you mean ", option.name, "?"));
    }
  }
  const bool is_name = std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
  });
  if (!is_name || name.empty() || !IsPlainValue(value)) {
    return Invalid(
        "is no option of the driver, and no system variable with a number, a word or 'text' as its "
        "value; leave it out");
  }
  settings->variables.emplace_back(name, value);
  return absl::OkStatus();
}

absl::Status TakeOption(const std::string& name, const std::string& value, Settings* settings) {
  for (const Option& option : kOptions) {
    if (name != option.name) continue;
    if (option.logged) settings->without_effect.push_back(absl::StrCat(name, "=", value));
    return option.take == nullptr ? absl::OkStatus() : option.take(value, settings);
  }
  return TakeVariable(name, value, settings);
}

}  // namespace

absl::StatusOr<Settings> ParseOptions(const MysqlOptions& options) {
  Settings settings;
  for (const auto& [name, value] : options.options) {
    const absl::Status taken = TakeOption(name, value, &settings);
    if (taken.ok()) continue;
    return MakeStatus(
        Code::kInvalid,
        absl::StrCat("the option ", name, " of the mysql endpoint ", std::string(taken.message())),
        options.name);
  }
  const BackendTls& tls = options.tls;
  if (absl::Status files = CheckTlsFiles(tls, options.name); !files.ok()) return files;
  if (!tls.ca_file.empty() || !tls.cert_file.empty()) settings.tls = TlsMode::kVerify;
  if (tls.skip_verify) settings.tls = TlsMode::kSkipVerify;
  return settings;
}

}  // namespace storage::mysql
