#include "src/engine/backends.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/backend/etcd/etcd.h"
#include "src/backend/memory/memory.h"
#include "src/backend/mysql/mysql_backend.h"
#include "src/backend/postgres/postgres.h"
#include "src/backend/sqlite/sqlite.h"

namespace storage {
namespace {

absl::Status NoMemory(const std::string& name) {
  return MakeStatus(Code::kInvalid,
                    "memory:// endpoints keep nothing and are for tests only; use sqlite://", name);
}

SqliteOptions ToSqlite(const std::string& name, const Endpoint& endpoint,
                       const EngineOptions& options) {
  SqliteOptions out;
  out.name = name;
  out.path = endpoint.path;
  out.options = endpoint.options;
  out.slow_sql_ms = options.slow_sql_ms;
  out.logger = options.logger;
  return out;
}

BackendTls ToTls(const TlsSettings& tls) {
  return {tls.ca_file, tls.cert_file, tls.key_file, tls.skip_verify};
}

// Whether the endpoint by itself wants TLS, and not just may use it.
bool AsksForTls(const Endpoint& endpoint) {
  const auto option = [&](const char* name) {
    const auto found = endpoint.options.find(name);
    return found == endpoint.options.end() ? std::string() : absl::AsciiStrToLower(found->second);
  };
  switch (endpoint.kind) {
    case EndpointKind::kEtcd:
      return absl::StartsWith(endpoint.text, "https://");
    case EndpointKind::kPostgres:
      return option("sslmode") == "require" || absl::StartsWith(option("sslmode"), "verify-");
    case EndpointKind::kMysql:
      return option("tls") == "true" || option("tls") == "1" || option("tls") == "skip-verify";
    default:
      return false;
  }
}

BackendTls MetadataTls(const Endpoint& endpoint, const EngineOptions& options) {
  BackendTls tls = ToTls(options.metadata_tls);
  const bool skip = tls.skip_verify;
  tls.skip_verify = false;  // it asks for no TLS where there is none
  if (!tls.any_file() && options.metadata_endpoint.empty()) tls = ToTls(options.default_tls);
  if (skip && (tls.any_file() || AsksForTls(endpoint))) tls.skip_verify = true;
  return tls;
}

PostgresOptions ToPostgres(const std::string& name, const Endpoint& endpoint, const BackendTls& tls,
                           const Rule* rule, const EngineOptions& options) {
  PostgresOptions out;
  out.name = name;
  out.conninfo = endpoint.text;
  out.tls = tls;
  if (rule != nullptr) {
    out.pool = {rule->pool.max_open, rule->pool.max_idle, rule->pool.max_life_time_ms,
                rule->pool.max_idle_life_time_ms};
  }
  out.slow_sql_ms = options.slow_sql_ms;
  out.logger = options.logger;
  return out;
}

absl::StatusOr<MysqlOptions> ToMysql(const std::string& name, const Endpoint& endpoint,
                                     const BackendTls& tls, const Rule* rule,
                                     const EngineOptions& options) {
  MysqlOptions out;
  out.name = name;
  absl::Status read = ReadMysqlDsn(endpoint.text, &out);
  if (!read.ok()) return read;
  out.options = endpoint.options;
  out.tls = tls;
  if (rule != nullptr) {
    out.pool = {rule->pool.max_idle, rule->pool.max_open, rule->pool.max_life_time_ms,
                rule->pool.max_idle_life_time_ms};
  }
  out.slow_sql_ms = options.slow_sql_ms;
  out.logger = options.logger;
  return out;
}

EtcdOptions ToEtcd(const std::string& name, const Endpoint& endpoint, const BackendTls& tls,
                   const EngineOptions& options) {
  EtcdOptions out;
  out.name = name;
  out.endpoints = endpoint.text;
  out.tls = tls;
  out.slow_ms = options.slow_sql_ms;
  out.logger = options.logger;
  return out;
}

}  // namespace

bool CanBeShared(EndpointKind kind) {
  return kind == EndpointKind::kPostgres || kind == EndpointKind::kMysql ||
         kind == EndpointKind::kEtcd;
}

const char* EndpointKindName(EndpointKind kind) {
  switch (kind) {
    case EndpointKind::kEtcd:
      return "etcd";
    case EndpointKind::kMysql:
      return "mysql";
    case EndpointKind::kPostgres:
      return "postgres";
    case EndpointKind::kSqlite:
      return "sqlite";
    case EndpointKind::kMemory:
      return "memory";
  }
  return "unknown";
}

absl::StatusOr<std::unique_ptr<Backend>> OpenBackend(const std::string& name,
                                                     const Endpoint& endpoint, const Rule* rule,
                                                     bool several, const EngineOptions& options) {
  const BackendTls tls = ToTls(rule == nullptr ? options.default_tls : rule->tls);
  switch (endpoint.kind) {
    case EndpointKind::kSqlite:
      return OpenSqliteBackend(ToSqlite(name, endpoint, options));
    case EndpointKind::kPostgres: {
      PostgresOptions postgres = ToPostgres(name, endpoint, tls, rule, options);
      postgres.notify = several;
      return OpenPostgresBackend(postgres);
    }
    case EndpointKind::kMysql: {
      const auto mysql = ToMysql(name, endpoint, tls, rule, options);
      return mysql.ok() ? OpenMysqlBackend(*mysql) : mysql.status();
    }
    case EndpointKind::kEtcd:
      return OpenEtcdBackend(ToEtcd(name, endpoint, tls, options));
    case EndpointKind::kMemory:
      break;
  }
  if (!options.allow_memory) return NoMemory(name);
  return NewMemoryBackend(name);
}

absl::StatusOr<std::unique_ptr<MetadataStore>> OpenMetadata(const Endpoint& endpoint, bool several,
                                                            const EngineOptions& options) {
  const std::string name = "metadata";
  const BackendTls tls = MetadataTls(endpoint, options);
  switch (endpoint.kind) {
    case EndpointKind::kSqlite:
      return OpenSqliteMetadata(ToSqlite(name, endpoint, options));
    case EndpointKind::kPostgres:
      return OpenPostgresMetadata(ToPostgres(name, endpoint, tls, nullptr, options), several);
    case EndpointKind::kMysql: {
      const auto mysql = ToMysql(name, endpoint, tls, nullptr, options);
      return mysql.ok() ? OpenMysqlMetadata(*mysql, several) : mysql.status();
    }
    case EndpointKind::kEtcd:
      return OpenEtcdMetadata(ToEtcd(name, endpoint, tls, options), several);
    case EndpointKind::kMemory:
      break;
  }
  if (!options.allow_memory) return NoMemory(name);
  return NewMemoryMetadata();
}

absl::StatusOr<MetaState> PeekMetadata(const Endpoint& endpoint, const EngineOptions& options) {
  const std::string name = "metadata";
  const BackendTls tls = MetadataTls(endpoint, options);
  switch (endpoint.kind) {
    case EndpointKind::kSqlite:
      return PeekSqliteMetadata(ToSqlite(name, endpoint, options));
    case EndpointKind::kPostgres:
      return PeekPostgresMetadata(ToPostgres(name, endpoint, tls, nullptr, options));
    case EndpointKind::kMysql: {
      const auto mysql = ToMysql(name, endpoint, tls, nullptr, options);
      return mysql.ok() ? PeekMysqlMetadata(*mysql) : mysql.status();
    }
    case EndpointKind::kEtcd:
      return PeekEtcdMetadata(ToEtcd(name, endpoint, tls, options));
    case EndpointKind::kMemory:
      break;
  }
  return NoMemory(name);  // no other process has it
}

absl::StatusOr<std::unique_ptr<Backend>> OpenForInspection(const std::string& name,
                                                           const std::string& path) {
  SqliteOptions options;
  options.name = name;
  options.path = path;
  options.read_only = true;
  return OpenSqliteBackend(options);
}

Endpoint DefaultMetadataEndpoint(const Endpoint& default_database) {
  if (CanBeShared(default_database.kind)) return default_database;  // it is on a server
  Endpoint out;
  out.kind = default_database.kind;
  out.path = absl::StrCat(default_database.path, ".meta");
  out.text = absl::StrCat(EndpointKindName(out.kind), "://", out.path);
  out.redacted = out.text;
  return out;
}

}  // namespace storage
