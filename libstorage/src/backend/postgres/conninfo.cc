#include "src/backend/postgres/conninfo.h"

#include <libpq-fe.h>

#include <map>

#include "absl/strings/str_cat.h"

namespace storage::postgres {
namespace {

using Values = std::map<std::string, std::string>;

// A root certificate that is not there is none, where libpq need not verify.
constexpr char kNoFile[] = "/dev/null/none";

absl::Status Invalid(const PostgresOptions& options, const std::string& why) {
  return MakeStatus(Code::kInvalid, absl::StrCat("the postgres endpoint ", why), options.name);
}

// "host:port" of each host; a directory of sockets stands as it is.
std::string Hosts(const Values& values) {
  const auto get = [&](const char* name) {
    const auto it = values.find(name);
    return it == values.end() ? std::string() : it->second;
  };
  std::string hosts = get("host").empty() ? get("hostaddr") : get("host");
  if (hosts.empty()) hosts = "localhost";
  std::string ports = get("port");
  std::string text;
  while (true) {
    const size_t comma = hosts.find(',');
    const size_t end = ports.find(',');
    const std::string port = ports.substr(0, end);
    absl::StrAppend(&text, text.empty() ? "" : ",", hosts.substr(0, comma), ":",
                    port.empty() ? "5432" : port);
    if (comma == std::string::npos) return text;
    hosts.erase(0, comma + 1);
    if (end != std::string::npos) ports.erase(0, end + 1);  // a single port is for all hosts
  }
}

absl::Status ApplyTls(const PostgresOptions& options, Values* values) {
  const BackendTls& tls = options.tls;
  if (!tls.any_file() && !tls.skip_verify) return absl::OkStatus();
  std::string& mode = (*values)["sslmode"];
  if (mode == "disable" || mode == "allow" || mode == "prefer") {
    return Invalid(options, absl::StrCat("says sslmode=", mode,
                                         ", but backendTLS asks for TLS; remove one of the two"));
  }
  if (mode.empty()) mode = tls.skip_verify ? "require" : "verify-full";
  if (tls.skip_verify && mode != "require") {
    return Invalid(options, absl::StrCat("says sslmode=", mode,
                                         ", but backendTLS.skipVerify (of the metadata store: "
                                         "REVISION_MAPPER_SKIP_VERIFY) is true; remove one"));
  }
  // With a root certificate, also the one in ~/.postgresql, libpq verifies what only
  // "require" asks for.
  if (tls.skip_verify) {
    (*values)["sslrootcert"] = kNoFile;
  } else if (!tls.ca_file.empty()) {
    (*values)["sslrootcert"] = tls.ca_file;
  }
  if (tls.ca_file.empty() && mode == "verify-full" && values->count("sslrootcert") == 0) {
    return Invalid(options, "needs backendTLS.caFile (or sslrootcert) to verify the server");
  }
  if (!tls.cert_file.empty()) (*values)["sslcert"] = tls.cert_file;
  if (!tls.key_file.empty()) (*values)["sslkey"] = tls.key_file;
  return CheckTlsFiles(tls, options.name);
}

// libpq goes on without a certificate whose file is missing.
absl::Status CheckFiles(const PostgresOptions& options, Values* values) {
  const std::string& root = (*values)["sslrootcert"];
  absl::Status status = absl::OkStatus();
  if (root != kNoFile && root != "system") {
    status = CheckTlsFile("sslrootcert of the endpoint", root, options.name);
  }
  if (!status.ok()) return status;
  return CheckTlsFile("sslcert of the endpoint", (*values)["sslcert"], options.name);
}

std::string RemedyOf(const PostgresOptions& options, Values* values) {
  BackendTls used;
  used.skip_verify = options.tls.skip_verify;
  used.ca_file = (*values)["sslrootcert"];
  used.cert_file = (*values)["sslcert"];
  used.key_file = (*values)["sslkey"];
  return TlsRemedy(used);
}

}  // namespace

absl::StatusOr<ConnInfo> ParseConnInfo(const PostgresOptions& options) {
  char* error = nullptr;
  PQconninfoOption* const parsed = PQconninfoParse(options.conninfo.c_str(), &error);
  if (error != nullptr) PQfreemem(error);  // it may repeat a part of the password
  if (parsed == nullptr) {
    return Invalid(options,
                   "cannot be read by libpq; write "
                   "postgres://user:password@host:5432/database?option=value, with special "
                   "characters as %XX");
  }
  Values values;
  for (const PQconninfoOption* option = parsed; option->keyword != nullptr; ++option) {
    if (option->val != nullptr && option->val[0] != '\0') values[option->keyword] = option->val;
  }
  PQconninfoFree(parsed);
  if (values["user"].empty()) return Invalid(options, "names no user; write user:password@host");
  if (values["dbname"].empty()) return Invalid(options, "names no database; write host/database");
  if (values.count("replication") > 0) return Invalid(options, "must not say replication");
  if (absl::Status tls = ApplyTls(options, &values); !tls.ok()) return tls;
  if (absl::Status files = CheckFiles(options, &values); !files.ok()) return files;
  ConnInfo info;
  info.tls_remedy = RemedyOf(options, &values);
  info.where = absl::StrCat(Hosts(values), "/", values["dbname"]);
  if (values["host"].empty() && values["hostaddr"].empty()) values["host"] = "localhost";
  // What the endpoint says wins over all of these.
  const bool several = info.where.find(',') != std::string::npos;
  if (several) values.emplace("target_session_attrs", "read-write");
  values.emplace("application_name", absl::StrCat("libstorage/", options.name));
  values.emplace("gssencmode", "disable");
  values.emplace("connect_timeout", "2");
  values.emplace("tcp_user_timeout", std::to_string(several ? kLockMs / 2 : kPatienceMs));
  values.emplace("keepalives_idle", "5");
  values.emplace("keepalives_interval", "2");
  values.emplace("keepalives_count", "3");
  values["client_encoding"] = "UTF8";
  for (auto& [name, value] : values) {
    if (!value.empty()) info.values.emplace_back(name, value);
  }
  return info;
}

}  // namespace storage::postgres
