// The optional fields beside `endpoint`.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/topology/rule_parser.h"

namespace storage {
namespace {

constexpr int64_t kMaxCount = int64_t{1} << 40;

void ParseTls(const Fields& rule_fields, Rule* rule, DiagnosticList* out) {
  Fields fields(rule_fields.Value("backendTLS"), rule_fields.ValueMark("backendTLS"),
                "\"backendTLS\"", {"caFile", "certFile", "keyFile", "skipVerify"},
                "backendTLS: {caFile: /path/ca.crt}", out);
  if (!fields.ok()) return;
  rule->tls.ca_file = fields.Text("caFile", "/path/ca.crt").value_or("");
  rule->tls.cert_file = fields.Text("certFile", "/path/client.crt").value_or("");
  rule->tls.key_file = fields.Text("keyFile", "/path/client.key").value_or("");
  rule->tls.skip_verify = fields.Bool("skipVerify").value_or(false);
  if (fields.Has("certFile") != fields.Has("keyFile")) {
    const char* given = fields.Has("certFile") ? "certFile" : "keyFile";
    out->Error(fields.KeyMark(given), "certFile and keyFile belong together; write both");
  }
}

void ParsePool(const Fields& rule_fields, Rule* rule, DiagnosticList* out) {
  Fields fields(rule_fields.Value("connectionPool"), rule_fields.ValueMark("connectionPool"),
                "\"connectionPool\"", {"maxIdle", "maxOpen", "maxLifeTime", "maxIdleLifeTime"},
                "connectionPool: {maxIdle: 5, maxOpen: 90}", out);
  if (!fields.ok()) return;
  // -1 keeps no idle connection, as in kine.
  rule->pool.max_idle = fields.Int("maxIdle", -1, 100000).value_or(0);
  rule->pool.max_open = fields.Int("maxOpen", 0, 100000).value_or(0);
  rule->pool.max_life_time_ms = fields.DurationMs("maxLifeTime").value_or(0);
  rule->pool.max_idle_life_time_ms = fields.DurationMs("maxIdleLifeTime").value_or(0);
}

void ParseCompact(const Fields& fields, Rule* rule) {
  rule->compact.interval_ms = fields.DurationMs("compactInterval");
  rule->compact.timeout_ms = fields.DurationMs("compactTimeout");
  rule->compact.min_retain = fields.Int("compactMinRetain", 0, kMaxCount);
  rule->compact.batch_size = fields.Int("compactBatchSize", 1, 1000000);
  // Per cent, as kine's --compact-interval-jitter.
  std::optional<int64_t> jitter = fields.Int("compactIntervalJitter", 0, 99);
  if (jitter.has_value()) rule->compact.interval_jitter = static_cast<double>(*jitter) / 100;
}

// Settings of a connection have nothing to act on where there is no connection.
void WarnUnused(const Fields& fields, const Rule& rule, DiagnosticList* out) {
  bool embedded =
      rule.endpoint.kind == EndpointKind::kSqlite || rule.endpoint.kind == EndpointKind::kMemory;
  for (const char* name : {"backendTLS", "connectionPool"}) {
    if (embedded && fields.Has(name)) {
      out->Warning(fields.KeyMark(name),
                   absl::StrCat("\"", name, "\" has no effect on an embedded database; remove it"));
    }
  }
  if (fields.Has("backendTLS") && rule.endpoint.kind == EndpointKind::kEtcd &&
      absl::StartsWith(rule.endpoint.text, "http://")) {
    out->Warning(fields.KeyMark("backendTLS"),
                 "\"backendTLS\" has no effect on an http:// endpoint; write https://");
  }
}

}  // namespace

const std::vector<std::string>& SettingNames() {
  static const std::vector<std::string>* const names = new std::vector<std::string>{
      "backendTLS",     "connectionPool",   "compactInterval", "compactIntervalJitter",
      "compactTimeout", "compactMinRetain", "compactBatchSize"};
  return *names;
}

void ParseSettings(const Fields& fields, Rule* rule, DiagnosticList* out) {
  if (fields.Has("backendTLS")) ParseTls(fields, rule, out);
  if (fields.Has("connectionPool")) ParsePool(fields, rule, out);
  ParseCompact(fields, rule);
  if (!rule->endpoint.text.empty()) WarnUnused(fields, *rule, out);
}

}  // namespace storage
