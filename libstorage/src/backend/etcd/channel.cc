#include "src/backend/etcd/channel.h"

#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <fstream>
#include <mutex>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace storage::etcd {
namespace {

constexpr char kSystemRoots[] = "/etc/ssl/certs/ca-certificates.crt";
// etcd ends connections that are pinged more often than every 5 s.
constexpr int kKeepaliveMs = 10000;
constexpr int kKeepaliveTimeoutMs = 2000;
constexpr int kConnectMs = 2000;

absl::StatusOr<std::string> ReadFile(const std::string& path, const char* what,
                                     const std::string& backend) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;  // an iterator over the file would throw when it cannot be read
  text << file.rdbuf();
  if (file && text && !text.str().empty()) return text.str();
  return MakeStatus(Code::kInvalid,
                    absl::StrCat(what, " of backendTLS, ", path, ", is empty or cannot be read"),
                    backend);
}

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);
  // A write that is sent again by gRPC itself would be compared with its own effect.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // not from the environment
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return arguments;
}

// Encrypted, and whatever certificate the server shows is good enough.
std::shared_ptr<grpc::ChannelCredentials> Unverified(const grpc::SslCredentialsOptions& ssl) {
  namespace tls = grpc::experimental;
  tls::TlsChannelCredentialsOptions options;
  std::vector<tls::IdentityKeyCertPair> identity;
  if (!ssl.pem_cert_chain.empty()) identity.push_back({ssl.pem_private_key, ssl.pem_cert_chain});
  if (!identity.empty()) {
    options.set_certificate_provider(
        std::make_shared<tls::StaticDataCertificateProvider>(std::string(), identity));
    options.watch_identity_key_cert_pairs();
  }
  options.set_certificate_verifier(std::make_shared<tls::NoOpCertificateVerifier>());
  options.set_verify_server_certs(false);
  options.set_check_call_host(false);
  return tls::TlsCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const EtcdOptions& options) {
  const BackendTls& tls = options.tls;
  grpc::SslCredentialsOptions ssl;
  if (absl::Status files = CheckTlsFiles(tls, options.name); !files.ok()) return files;
  if (!tls.cert_file.empty()) {
    absl::StatusOr<std::string> certificate = ReadFile(tls.cert_file, "certFile", options.name);
    if (!certificate.ok()) return certificate.status();
    absl::StatusOr<std::string> key = ReadFile(tls.key_file, "keyFile", options.name);
    if (!key.ok()) return key.status();
    ssl.pem_cert_chain = *std::move(certificate);
    ssl.pem_private_key = *std::move(key);
  }
  if (tls.skip_verify) return Unverified(ssl);
  absl::StatusOr<std::string> roots =
      ReadFile(tls.ca_file.empty() ? kSystemRoots : tls.ca_file, "caFile", options.name);
  if (!roots.ok()) return roots.status();
  ssl.pem_root_certs = *std::move(roots);
  return grpc::SslCredentials(ssl);
}

bool TakePrefix(std::string_view prefix, std::string_view* text) {
  if (!text->starts_with(prefix)) return false;
  text->remove_prefix(prefix.size());
  return true;
}

// gRPC would write to standard error. For the whole process: it has one log.
void SilenceGrpc() {
  static std::once_flag once;
  std::call_once(once, [] { gpr_set_log_function([](gpr_log_func_args*) {}); });
}

Member Connect(const std::string& address,
               const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  const std::shared_ptr<grpc::Channel> channel =
      grpc::CreateCustomChannel(address, credentials, Arguments());
  return {address,
          channel,
          pb::KV::NewStub(channel),
          pb::Maintenance::NewStub(channel),
          pb::Auth::NewStub(channel),
          pb::Watch::NewStub(channel),
          pb::Lease::NewStub(channel),
          credentials};
}

}  // namespace

Member Reconnected(const Member& member) { return Connect(member.address, member.credentials); }

absl::StatusOr<std::vector<Member>> MakeMembers(const EtcdOptions& options) {
  SilenceGrpc();
  std::vector<Member> members;
  std::shared_ptr<grpc::ChannelCredentials> secure;
  for (std::string_view rest = options.endpoints; !rest.empty();) {
    const size_t comma = rest.find(',');
    std::string_view address = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
    const bool https = TakePrefix("https://", &address);
    if ((!https && !TakePrefix("http://", &address)) || address.empty()) {
      return MakeStatus(Code::kInvalid,
                        "an etcd endpoint is http://host:port or https://host:port, further "
                        "members after commas",
                        options.name);
    }
    if (address.back() == '/') address.remove_suffix(1);
    if (https && secure == nullptr) {
      auto made = Credentials(options);
      if (!made.ok()) return made.status();
      secure = *std::move(made);
    }
    members.push_back(
        Connect(std::string(address), https ? secure : grpc::InsecureChannelCredentials()));
  }
  if (members.empty()) return MakeStatus(Code::kInvalid, "no etcd endpoint", options.name);
  return members;
}

}  // namespace storage::etcd
