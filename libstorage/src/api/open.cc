#include "src/api/open.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace storage {
namespace api {
namespace {

std::string Text(const char* text) { return text == nullptr ? std::string() : std::string(text); }

constexpr size_t kFirstSize = offsetof(stg_options, default_tls);  // of ABI 1.0

TlsSettings Tls(const stg_tls& in) {
  return {Text(in.ca_file), Text(in.cert_file), Text(in.key_file), in.skip_verify != 0};
}

absl::Status Validate(const stg_options& options) {
  // A caller built against a newer minor version may use what is not here.
  if (options.abi_major != STG_ABI_MAJOR || options.abi_minor > STG_ABI_MINOR) {
    return MakeStatus(
        Code::kInvalid,
        absl::StrCat("the caller was built for libstorage ABI ", options.abi_major, ".",
                     options.abi_minor, ", this library has ", STG_ABI_MAJOR, ".", STG_ABI_MINOR));
  }
  if ((options.flags & ~(STG_OPEN_RESTORED | STG_OPEN_ALLOW_MEMORY | STG_OPEN_POISON)) != 0) {
    return MakeStatus(Code::kInvalid, "unknown flags in stg_options");
  }
  if (options.history_ms < -1 || options.history_bytes < 0 || options.max_value_bytes < 0 ||
      options.slow_sql_ms < 0 || options.buffer_budget_bytes < 0 || options.ring_bytes < 0) {
    return MakeStatus(Code::kInvalid, "sizes and times in stg_options must not be negative");
  }
  return absl::OkStatus();
}

EngineOptions Convert(const stg_options& in) {
  EngineOptions out;
  out.topology_path = Text(in.topology_path);
  out.topology_text = Text(in.topology_text);
  out.default_endpoint = Text(in.default_endpoint);
  out.metadata_endpoint = Text(in.metadata_endpoint);
  if (in.history_ms >= 0) out.history_ms = in.history_ms;
  if (in.history_bytes > 0) out.history_bytes = in.history_bytes;
  if (in.max_value_bytes > 0) out.max_value_bytes = in.max_value_bytes;
  if (in.ring_bytes > 0) out.ring_bytes = in.ring_bytes;
  out.slow_sql_ms = in.slow_sql_ms;
  out.default_tls = Tls(in.default_tls);
  out.metadata_tls = Tls(in.metadata_tls);
  out.restored = (in.flags & STG_OPEN_RESTORED) != 0;
  out.allow_memory = (in.flags & STG_OPEN_ALLOW_MEMORY) != 0;
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<stg_engine>> OpenSession(const stg_options& given) {
  if (given.struct_size < kFirstSize) {
    return MakeStatus(Code::kInvalid, absl::StrCat("stg_options.struct_size is ", given.struct_size,
                                                   ", this library needs ", kFirstSize));
  }
  // What an older caller does not know is not there to be read.
  stg_options options = {};
  std::memcpy(&options, &given, std::min<size_t>(given.struct_size, sizeof(options)));
  if (absl::Status valid = Validate(options); !valid.ok()) return valid;
  auto session = std::make_unique<stg_engine>(options.buffer_budget_bytes,
                                              (options.flags & STG_OPEN_POISON) != 0);
  EngineOptions engine_options = Convert(options);
  engine_options.logger = session->log();
  auto engine = Engine::Open(engine_options);
  if (!engine.ok()) return engine.status();
  if (absl::Status started = session->Start(*std::move(engine)); !started.ok()) return started;
  return session;
}

absl::StatusOr<std::unique_ptr<stg_engine>> OpenSessionForTest(std::unique_ptr<Engine> engine,
                                                               int64_t budget_bytes) {
  auto session = std::make_unique<stg_engine>(budget_bytes, /*poison=*/false);
  if (absl::Status started = session->Start(std::move(engine)); !started.ok()) return started;
  return session;
}

}  // namespace api
}  // namespace storage
