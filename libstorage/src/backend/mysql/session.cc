// How a connection is made and what its session is set to. docs/format-mysql.md
// has the table of settings.
#include <mysql.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "src/backend/mysql/connection.h"

namespace storage::mysql {
namespace {

// The lane's own time-outs end before the watch cache's 3 s, whatever the DSN says.
constexpr unsigned kLaneSeconds = 2;
constexpr int32_t kTlsError = 2026;

constexpr char kFacts[] =
    "SHOW SESSION VARIABLES WHERE Variable_name IN ('max_allowed_packet','innodb_page_size',"
    "'innodb_flush_log_at_trx_commit','innodb_flush_method','log_bin','sync_binlog',"
    "'binlog_format','wsrep_on','version')";

// MariaDB runs the comments marked M, MySQL 8 those with a bare version.
std::string SessionSql(const Settings& settings, Role role, unsigned read_s) {
  const int64_t statement_ms = int64_t{read_s} * 1000 - 200;
  std::string sql =
      "SET NAMES binary; SET SESSION sql_mode='STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,"
      "NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout=1, lock_wait_timeout=1";
  // Without autocommit a statement that finds its transaction gone commits nothing.
  absl::StrAppend(&sql, ", autocommit=", role == Role::kLane ? 0 : 1);
  if (role == Role::kLane) {
    absl::StrAppend(&sql,
                    ", net_read_timeout=2, net_write_timeout=2"
                    " /*M!100302 , wait_timeout=600, idle_transaction_timeout=2*/"
                    " /*!80000 , wait_timeout=2*/");
  } else if (role == Role::kMetadata) {
    absl::StrAppend(&sql, ", wait_timeout=31536000 /*M!100302 , idle_transaction_timeout=2*/");
  } else {
    absl::StrAppend(&sql, ", wait_timeout=600");
  }
  if (role != Role::kSetup) {
    absl::StrAppend(&sql, " /*M!100101 , max_statement_time=", statement_ms / 1000, ".",
                    statement_ms % 1000, "*/ /*!80000 , max_execution_time=", statement_ms, "*/");
  }
  for (const auto& [name, value] : settings.variables)
    absl::StrAppend(&sql, ", ", name, "=", value);
  const bool snapshot = role == Role::kRead;
  absl::StrAppend(&sql, "; SET SESSION TRANSACTION ISOLATION LEVEL ",
                  snapshot ? "REPEATABLE READ" : "READ COMMITTED", "; ", kFacts);
  return sql;
}

const char* OrNull(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

void SetTls(MYSQL* handle, const MysqlOptions& options, const Settings& settings) {
  if (settings.tls == TlsMode::kOff) return;
  // With a CA the library verifies whatever it is told of verifying.
  const bool verified = settings.tls == TlsMode::kVerify;
  mysql_ssl_set(handle, OrNull(options.tls.key_file), OrNull(options.tls.cert_file),
                verified ? OrNull(options.tls.ca_file) : nullptr, nullptr, nullptr);
  // It only asks for TLS: of a server that has none, this library (3.3) says nothing.
  my_bool enforce = 1;
  my_bool verify = verified;
  mysql_optionsv(handle, MYSQL_OPT_SSL_ENFORCE, &enforce);
  mysql_optionsv(handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
}

}  // namespace

void Connection::Configure(const MysqlOptions& options, const Settings& settings, Role role) {
  unsigned read_s = settings.read_s;
  unsigned write_s = settings.write_s;
  unsigned connect_s = settings.connect_s;
  if (role == Role::kLane || role == Role::kMetadata) {
    read_s = std::min(read_s, kLaneSeconds);
    write_s = std::min(write_s, kLaneSeconds);
    connect_s = std::min(connect_s, kLaneSeconds);
  }
  if (role == Role::kSetup) read_s = std::max(read_s, 30U);  // creates tables
  mysql_optionsv(handle_, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
  mysql_optionsv(handle_, MYSQL_OPT_READ_TIMEOUT, &read_s);
  mysql_optionsv(handle_, MYSQL_OPT_WRITE_TIMEOUT, &write_s);
  mysql_optionsv(handle_, MYSQL_SET_CHARSET_NAME, "binary");
  unsigned local_infile = 0;  // a server must not read this machine's files
  mysql_optionsv(handle_, MYSQL_OPT_LOCAL_INFILE, &local_infile);
  unsigned protocol = options.socket.empty() ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;
  mysql_optionsv(handle_, MYSQL_OPT_PROTOCOL, &protocol);
  SetTls(handle_, options, settings);
  if (settings.compress) mysql_optionsv(handle_, MYSQL_OPT_COMPRESS, nullptr);
  my_bool cleartext = settings.cleartext_passwords;
  if (cleartext) mysql_optionsv(handle_, MYSQL_ENABLE_CLEARTEXT_PLUGIN, &cleartext);
  if (!settings.native_passwords || !settings.cleartext_passwords) {
    std::string plugins =
        "caching_sha2_password,sha256_password,client_ed25519,dialog,auth_gssapi_client";
    if (settings.native_passwords) plugins += ",mysql_native_password";
    if (settings.cleartext_passwords) plugins += ",mysql_clear_password";
    mysql_optionsv(handle_, MARIADB_OPT_RESTRICTED_AUTH, plugins.c_str());
  }
  if (!settings.server_key_file.empty()) {
    mysql_optionsv(handle_, MYSQL_SERVER_PUBLIC_KEY, settings.server_key_file.c_str());
  }
  mysql_optionsv(handle_, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "libstorage");
  for (const auto& [key, value] : settings.attributes) {
    mysql_optionsv(handle_, MYSQL_OPT_CONNECT_ATTR_ADD, key.c_str(), value.c_str());
  }
}

absl::Status Connection::Connect(const MysqlOptions& options, TlsMode tls) {
  const bool socket = !options.socket.empty();
  if (mysql_real_connect(handle_, socket ? nullptr : options.host.c_str(), options.user.c_str(),
                         options.password.c_str(), options.database.c_str(),
                         static_cast<unsigned>(options.port), OrNull(options.socket),
                         CLIENT_MULTI_STATEMENTS) != nullptr) {
    tls_ = mysql_get_ssl_cipher(handle_) != nullptr;
    if (tls_ || tls == TlsMode::kOff || tls == TlsMode::kPreferred) return absl::OkStatus();
    return FromMysql(kTlsError, "connecting", "the server does not offer TLS", *site_);
  }
  broken_ = true;
  const unsigned number = mysql_errno(handle_);
  std::string detail = mysql_error(handle_);
  // A server that does not like our certificate may just end the connection.
  const bool unreachable = number == 2002 || number == 2003 || number == 2005;
  if (tls != TlsMode::kOff && IsClientError(number) && !unreachable) {
    detail += TlsRemedy(options.tls);
  }
  return FromMysql(number, "connecting", detail, *site_);
}

absl::Status Connection::SetUp(const Settings& settings, Role role) {
  const bool capped = role == Role::kLane || role == Role::kMetadata;
  const unsigned read_s = capped ? std::min(settings.read_s, kLaneSeconds) : settings.read_s;
  auto found = Select("setting a session up", SessionSql(settings, role, read_s));
  if (!found.ok()) return found.status();
  while (found->Next()) {
    facts_[std::string(found->Bytes(0))] = absl::AsciiStrToLower(std::string(found->Bytes(1)));
  }
  if (!absl::SimpleAtoi(Fact("max_allowed_packet"), &max_packet_)) max_packet_ = 1 << 20;
  if (settings.max_packet > 0) max_packet_ = std::min(max_packet_, settings.max_packet);
  if (Fact("wsrep_on") != "on" && Fact("wsrep_on") != "1") return absl::OkStatus();
  // Galera: wait until what other nodes committed has arrived here.
  return Run("setting a session up", "SET SESSION wsrep_sync_wait=7").status();
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const Site* site,
                                                             const MysqlOptions& options,
                                                             const Settings& settings, Role role) {
  static std::once_flag once;
  std::call_once(once, [] { mysql_server_init(0, nullptr, nullptr); });
  MYSQL* const handle = mysql_init(nullptr);
  if (handle == nullptr) {
    return MakeStatus(Code::kUnavailable, "the process is out of memory", site->name);
  }
  std::unique_ptr<Connection> connection(new Connection(site, handle));
  connection->Configure(options, settings, role);
  absl::Status status = connection->Connect(options, settings.tls);
  if (settings.tls == TlsMode::kPreferred && DriverCodeOf(status) == kTlsError) {
    Settings plain = settings;
    plain.tls = TlsMode::kOff;
    return Open(site, options, plain, role);
  }
  if (status.ok()) status = connection->SetUp(settings, role);
  if (!status.ok()) return status;
  return connection;
}

}  // namespace storage::mysql
