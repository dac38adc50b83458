// Endpoints of databases with a server: etcd, MySQL, PostgreSQL; and when two
// endpoints are the same database.
#include <algorithm>
#include <filesystem>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "src/topology/diagnostics.h"
#include "src/topology/endpoint_parts.h"
#include "src/topology/topology.h"

namespace storage {
namespace {

constexpr char kEtcdForm[] = "http://host:2379, further members after a comma";
constexpr char kMysqlForm[] = "mysql://user:password@tcp(host:3306)/database?option=value";
constexpr char kPostgresForm[] = "postgres://user:password@host:5432/database?option=value";

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  while (true) {
    size_t at = text.find(separator);
    out.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

absl::Status MysqlError(const char* what) {
  return EndpointError(absl::StrCat("the mysql endpoint ", what, "; write ", kMysqlForm));
}

absl::Status PostgresError(const char* what) {
  return EndpointError(absl::StrCat("the postgres endpoint ", what, "; write ", kPostgresForm,
                                    ", in the password \"@\" as %40, \"/\" as %2F, \":\" as %3A"));
}

// tcp(host:port), unix(/path), or nothing. *out = normal form.
bool ParseMysqlAddress(std::string_view text, std::string* out) {
  if (text.empty() || text == "tcp") {
    *out = "tcp(127.0.0.1:3306)";  // the Go driver's default
    return true;
  }
  size_t open = text.find('(');
  if (open == std::string_view::npos || text.back() != ')') return false;
  std::string_view protocol = text.substr(0, open);
  std::string_view address = text.substr(open + 1, text.size() - open - 2);
  if (protocol == "unix") {
    *out = std::string(text);
    return address.size() > 1 && address[0] == '/' &&
           address.find_first_of("@()") == std::string_view::npos;
  }
  std::string host, port;
  if (protocol != "tcp" || !SplitHostPort(address, &host, &port)) return false;
  *out = absl::StrCat("tcp(", absl::AsciiStrToLower(host), ":", port.empty() ? "3306" : port, ")");
  return true;
}

// The options that libpq knows; an unknown one fails there as well, but later.
const std::vector<std::string>& PostgresOptions() {
  static const std::vector<std::string>* const options =
      new std::vector<std::string>{"application_name",
                                   "channel_binding",
                                   "client_encoding",
                                   "connect_timeout",
                                   "dbname",
                                   "fallback_application_name",
                                   "gssencmode",
                                   "gsslib",
                                   "host",
                                   "hostaddr",
                                   "keepalives",
                                   "keepalives_count",
                                   "keepalives_idle",
                                   "keepalives_interval",
                                   "krbsrvname",
                                   "load_balance_hosts",
                                   "options",
                                   "passfile",
                                   "password",
                                   "port",
                                   "replication",
                                   "require_auth",
                                   "requirepeer",
                                   "service",
                                   "ssl",
                                   "ssl_max_protocol_version",
                                   "ssl_min_protocol_version",
                                   "sslcert",
                                   "sslcertmode",
                                   "sslcompression",
                                   "sslcrl",
                                   "sslcrldir",
                                   "sslkey",
                                   "sslmode",
                                   "sslnegotiation",
                                   "sslpassword",
                                   "sslrootcert",
                                   "sslsni",
                                   "target_session_attrs",
                                   "tcp_user_timeout",
                                   "user"};
  return *options;
}

absl::Status CheckPostgresOptions(const Endpoint& endpoint) {
  for (const auto& [name, value] : endpoint.options) {
    const std::vector<std::string>& known = PostgresOptions();
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    std::string nearest = Nearest(name, known);
    return EndpointError(
        absl::StrCat("the postgres endpoint has an option after \"?\" that libpq does not know",
                     nearest.empty() ? "; see its manual, \"Parameter Key Words\""
                                     : absl::StrCat("; did you mean \"", nearest, "\"?")));
  }
  return absl::OkStatus();
}

// host[:port],host[:port]; normal form into *out.
bool ParsePostgresHosts(std::string_view text, std::string* out) {
  std::vector<std::string> hosts;
  for (std::string_view item : Split(text, ',')) {
    std::string decoded, host, port;
    if (!PercentDecode(item, &decoded)) return false;
    if (!decoded.empty() && decoded[0] == '/') {  // a directory of sockets
      if (decoded.find('@') != std::string::npos) return false;
      hosts.push_back(decoded);
      continue;
    }
    if (!SplitHostPort(decoded, &host, &port)) return false;
    hosts.push_back(absl::StrCat(absl::AsciiStrToLower(host), ":", port.empty() ? "5432" : port));
  }
  *out = absl::StrJoin(hosts, ",");
  return true;
}

// "user:password@" with the password replaced; "" when there is none.
std::string RedactUser(std::string_view user, bool has_user, bool has_password) {
  if (!has_user) return "";
  return absl::StrCat(std::string(user), has_password ? ":***@" : "@");
}

}  // namespace

absl::Status ParseEtcd(Endpoint* endpoint) {
  endpoint->kind = EndpointKind::kEtcd;
  std::vector<std::string> members;
  std::string first_scheme;
  int number = 0;
  for (std::string_view member : Split(endpoint->text, ',')) {
    ++number;
    size_t end = member.find("://");
    std::string scheme(member.substr(0, end == std::string_view::npos ? 0 : end));
    std::string host, port;
    if (end != std::string_view::npos) member.remove_prefix(end + 3);
    if (!member.empty() && member.back() == '/') member.remove_suffix(1);
    if ((scheme != "http" && scheme != "https") || !SplitHostPort(member, &host, &port) ||
        port.empty()) {
      return EndpointError(absl::StrCat("member ", number,
                                        " of the etcd endpoint is not scheme://host:port (no user, "
                                        "password or path); write ",
                                        kEtcdForm));
    }
    if (first_scheme.empty()) first_scheme = scheme;
    if (scheme != first_scheme) {
      return EndpointError(
          "the etcd endpoint mixes http:// and https://; write the same scheme for every member");
    }
    members.push_back(absl::StrCat(absl::AsciiStrToLower(host), ":", port));
  }
  std::sort(members.begin(), members.end());
  endpoint->path = absl::StrJoin(members, ",");
  endpoint->redacted = endpoint->text;
  return absl::OkStatus();
}

// As the Go driver splits it: the last '/' ends the address, in what is before
// it the last '@' ends the credentials, and their first ':' begins the
// password. So a password may hold every one of these characters.
absl::Status ParseMysql(std::string_view rest, Endpoint* endpoint) {
  endpoint->kind = EndpointKind::kMysql;
  size_t slash = rest.rfind('/');
  if (slash == std::string_view::npos) {
    return MysqlError("has no \"/\" before the database name");
  }
  std::string_view before = rest.substr(0, slash);
  std::string_view after = rest.substr(slash + 1);
  size_t at = before.rfind('@');
  bool has_user = at != std::string_view::npos;
  std::string_view user = has_user ? before.substr(0, at) : std::string_view();
  std::string_view written = has_user ? before.substr(at + 1) : before;
  std::string address;
  if (!ParseMysqlAddress(written, &address)) {
    return MysqlError(
        "has no address of the form tcp(host:port) or unix(/socket) before the last "
        "\"/\" (a \"/\" in an option is written %2F)");
  }
  size_t colon = user.find(':');
  endpoint->has_password = colon != std::string_view::npos && colon + 1 < user.size();
  size_t question = after.find('?');
  std::string_view database = after.substr(0, question);
  if (database.find_first_of("@():") != std::string_view::npos) {
    return MysqlError("has a database name with \"@\", \":\" or brackets in it");
  }
  std::string options;
  if (question != std::string_view::npos) {
    absl::Status status = ParseOptions(after.substr(question + 1), kMysqlForm, endpoint, &options);
    if (!status.ok()) return status;
  }
  endpoint->path = absl::StrCat(address, "/", std::string(database));
  endpoint->redacted = absl::StrCat(
      "mysql://", RedactUser(user.substr(0, colon), has_user, colon != std::string_view::npos),
      std::string(written), "/", std::string(database), options);
  return absl::OkStatus();
}

// As libpq splits it: credentials end at the first '@' if no '/' comes before
// it. What libpq would take for a host although it is the rest of a password
// ("p@ss", "p/ss") is refused here, so that it is never printed as a host.
absl::Status ParsePostgres(std::string_view rest, Endpoint* endpoint) {
  endpoint->kind = EndpointKind::kPostgres;
  size_t at = rest.find_first_of("@/");
  bool has_user = at != std::string_view::npos && rest[at] == '@';
  std::string_view user = has_user ? rest.substr(0, at) : std::string_view();
  if (has_user) rest.remove_prefix(at + 1);
  size_t question = rest.find('?');
  std::string_view before = rest.substr(0, question);
  size_t slash = before.find('/');
  std::string_view hosts = before.substr(0, slash);
  std::string_view database =
      slash == std::string_view::npos ? std::string_view() : before.substr(slash + 1);
  std::string decoded, hosts_normal;
  if (!hosts.empty() && !ParsePostgresHosts(hosts, &hosts_normal)) {
    return PostgresError("has no host:port after the user and the password");
  }
  if (database.find_first_of("@:/") != std::string_view::npos ||
      !PercentDecode(database, &decoded)) {
    return PostgresError("has a database name with \"@\", \":\", \"/\" or a single \"%\" in it");
  }
  size_t colon = user.find(':');
  if (user.substr(0, colon).find('?') != std::string_view::npos) {
    return PostgresError("has a \"?\" in the user name, or an \"@\" in an option");
  }
  if (!PercentDecode(user, &decoded)) {
    return PostgresError("has a \"%\" without two hexadecimal digits in the user or password");
  }
  endpoint->has_password = colon != std::string_view::npos && colon + 1 < user.size();
  std::string options;
  if (question != std::string_view::npos) {
    absl::Status status =
        ParseOptions(rest.substr(question + 1), kPostgresForm, endpoint, &options);
    if (!status.ok()) return status;
    if (status = CheckPostgresOptions(*endpoint); !status.ok()) return status;
  }
  endpoint->path = absl::StrCat(hosts_normal, "/", std::string(database));
  endpoint->redacted = absl::StrCat(
      "postgres://", RedactUser(user.substr(0, colon), has_user, colon != std::string_view::npos),
      std::string(before), options);
  return absl::OkStatus();
}

std::string EndpointIdentity(const Endpoint& endpoint) {
  switch (endpoint.kind) {
    case EndpointKind::kEtcd:
      return absl::StrCat("etcd ", endpoint.path);
    case EndpointKind::kMysql:
      return absl::StrCat("mysql ", endpoint.path);
    case EndpointKind::kPostgres:
      return absl::StrCat("postgres ", endpoint.path);
    case EndpointKind::kMemory:
      return absl::StrCat("memory ", endpoint.path);
    case EndpointKind::kSqlite:
      break;
  }
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(endpoint.path, error);
  if (error) path = endpoint.path;
  return absl::StrCat("sqlite ", path.lexically_normal().string());
}

}  // namespace storage
