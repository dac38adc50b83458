#include "tests/servers/etcd_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

#ifdef __SANITIZE_THREAD__
// For the tests that link gRPC only. Debian's gRPC, abseil and OpenSSL are built
// without ThreadSanitizer: their locks are not seen, neither is how gRPC's threads
// hand bytes and errors to the caller. No code of ours runs below a call into gRPC.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_suppressions() {
  return "race:libgrpc\nrace:libgpr\nrace:grpc::internal::\nrace:libabsl_\n"
         "race:libcrypto\nrace:libssl\n";
}
#endif

namespace storage::servers {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kStart = absl::Seconds(60);  // the machine may be busy

std::string Binary() {
  const char* const given = std::getenv("ETCD_BIN");
  if (given != nullptr) return given;
  const fs::path built = fs::path(STG_ROOT) / "out/tools/bin/etcd";
  if (fs::exists(built)) return built.string();
  const char* const path = std::getenv("PATH");
  for (std::string_view rest = path == nullptr ? "" : path; !rest.empty();) {
    const size_t colon = rest.find(':');
    const fs::path file = fs::path(std::string(rest.substr(0, colon))) / "etcd";
    if (fs::exists(file)) return file.string();
    rest = colon == std::string_view::npos ? "" : rest.substr(colon + 1);
  }
  return "";
}

std::string Local(int port) { return absl::StrCat("127.0.0.1:", port); }

// One request and its answer, "" on any failure.
std::string Http(int port, const std::string& request) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const struct timeval limit = {5, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  struct sockaddr_in address {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  std::string answer;
  if (connect(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) == 0 &&
      send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size())) {
    char buffer[65536];
    for (ssize_t n; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
      answer.append(buffer, static_cast<size_t>(n));
    }
  }
  close(fd);
  return answer;
}

std::string Base64(const std::string& bytes) { return absl::Base64Escape(bytes); }

// The strings that follow "name":" in a JSON text.
std::vector<std::string> Fields(const std::string& json, const std::string& name) {
  std::vector<std::string> found;
  const std::string words = absl::StrCat("\"", name, "\":\"");
  for (size_t at = json.find(words); at != std::string::npos; at = json.find(words, at)) {
    at += words.size();
    found.push_back(json.substr(at, json.find('"', at) - at));
  }
  return found;
}

std::string Decoded(const std::string& base64) {
  std::string bytes;
  return absl::Base64Unescape(base64, &bytes) ? bytes : "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<EtcdServer>> EtcdServer::Start(const EtcdSpec& spec) {
  std::unique_ptr<EtcdServer> server(new EtcdServer(spec));
  for (int i = 0; i < spec.members; ++i) {
    Member member;
    member.port = FreePort();
    member.peer_port = FreePort();
    member.health_port = FreePort();
    server->members_.push_back(std::move(member));
  }
  for (int i = 0; i < spec.members; ++i) {
    if (absl::Status status = server->Launch(i); !status.ok()) return status;
  }
  for (int i = 0; i < spec.members; ++i) {
    if (absl::Status status = server->WaitReady(i); !status.ok()) return status;
  }
  return server;
}

EtcdServer& EtcdServer::ForPlace(const std::string& place) {
  static std::map<std::string, std::unique_ptr<EtcdServer>> places;
  auto& mine = places[place];
  if (mine != nullptr) return *mine;
  for (auto it = places.begin(); it != places.end(); ++it) {
    if (it->second == nullptr || fs::exists(it->first)) continue;
    mine = std::move(it->second);
    places.erase(it);
    mine->Wipe();
    return *mine;
  }
  auto started = Start();
  if (!started.ok()) {
    std::fprintf(stderr, "%s\n", started.status().ToString().c_str());
    std::exit(1);
  }
  mine = *std::move(started);
  return *mine;
}

std::string EtcdServer::Endpoints() const {
  std::string text;
  for (const Member& member : members_) {
    absl::StrAppend(&text, text.empty() ? "" : ",", spec_.https ? "https://" : "http://",
                    Local(member.port));
  }
  return text;
}

absl::Status EtcdServer::Launch(int index) {
  Member& member = members_[static_cast<size_t>(index)];
  const std::string binary = Binary();
  if (binary.empty()) {
    return MakeStatus(Code::kInternal,
                      "no etcd: run build/kube/build.sh etcd, or set ETCD_BIN to a binary");
  }
  std::string cluster;
  for (size_t i = 0; i < members_.size(); ++i) {
    absl::StrAppend(&cluster, i == 0 ? "" : ",", "m", i, "=http://", Local(members_[i].peer_port));
  }
  const std::string client = absl::StrCat(spec_.https ? "https://" : "http://", Local(member.port));
  const std::string peer = absl::StrCat("http://", Local(member.peer_port));
  ProcessSpec spec;
  spec.argv = {binary,
               absl::StrCat("--name=m", index),
               absl::StrCat("--data-dir=", dir_.path(), "/m", index),
               absl::StrCat("--listen-client-urls=", client),
               absl::StrCat("--advertise-client-urls=", client),
               absl::StrCat("--listen-peer-urls=", peer),
               absl::StrCat("--initial-advertise-peer-urls=", peer),
               absl::StrCat("--listen-metrics-urls=http://", Local(member.health_port)),
               absl::StrCat("--initial-cluster=", cluster),
               "--heartbeat-interval=50",
               "--election-timeout=500",
               "--log-level=error"};
  spec.argv.insert(spec.argv.end(), spec_.arguments.begin(), spec_.arguments.end());
  spec.log = absl::StrCat(dir_.path(), "/m", index, ".log");
  auto process = Process::Start(spec);
  if (!process.ok()) return process.status();
  member.process = *std::move(process);
  return absl::OkStatus();
}

absl::Status EtcdServer::WaitReady(int index) {
  const Member& member = members_[static_cast<size_t>(index)];
  const auto healthy = [&] {
    const std::string answer =
        Http(member.health_port, "GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n");
    return answer.find("\"health\":\"true\"") != std::string::npos;
  };
  if (WaitFor([&] { return healthy() || !member.process->Running(); }, kStart) &&
      member.process->Running()) {
    return absl::OkStatus();
  }
  return MakeStatus(Code::kInternal,
                    absl::StrCat("etcd does not start: ",
                                 TailOf(absl::StrCat(dir_.path(), "/m", index, ".log"))));
}

absl::Status EtcdServer::Restart(int index) {
  if (absl::Status status = Launch(index); !status.ok()) return status;
  return WaitReady(index);
}

std::string EtcdServer::Post(const std::string& path, const std::string& json, int index) const {
  const std::string answer = Http(
      members_[static_cast<size_t>(index)].port,
      absl::StrCat("POST ", path, " HTTP/1.0\r\nHost: localhost\r\nContent-Length: ", json.size(),
                   "\r\n\r\n", json));
  const size_t body = answer.find("\r\n\r\n");
  return body == std::string::npos ? "" : answer.substr(body + 4);
}

int EtcdServer::Leader() {
  for (int i = 0; i < members(); ++i) {
    const std::string status = Post("/v3/maintenance/status", "{}", i);
    const auto leader = Fields(status, "leader");
    const auto self = Fields(status, "member_id");
    if (!leader.empty() && !self.empty() && leader[0] == self[0]) return i;
  }
  return -1;
}

void EtcdServer::Put(const std::string& key, const std::string& value, int64_t lease) {
  Post("/v3/kv/put", absl::StrCat("{\"key\":\"", Base64(key), "\",\"value\":\"", Base64(value),
                                  "\",\"lease\":\"", lease, "\"}"));
}

void EtcdServer::Delete(const std::string& key) {
  Post("/v3/kv/deleterange", absl::StrCat("{\"key\":\"", Base64(key), "\"}"));
}

void EtcdServer::Wipe() { Post("/v3/kv/deleterange", R"({"key":"AA==","range_end":"AA=="})"); }

std::string EtcdServer::Value(const std::string& key) {
  const auto values =
      Fields(Post("/v3/kv/range", absl::StrCat("{\"key\":\"", Base64(key), "\"}")), "value");
  return values.empty() ? "" : Decoded(values[0]);
}

std::vector<std::string> EtcdServer::Keys() {
  std::vector<std::string> keys;
  const std::string all =
      Post("/v3/kv/range", R"({"key":"AA==","range_end":"AA==","keys_only":true})");
  for (const std::string& key : Fields(all, "key")) keys.push_back(Decoded(key));
  return keys;
}

int64_t EtcdServer::Revision() {
  const auto found = Fields(Post("/v3/kv/range", R"({"key":"YQ=="})"), "revision");
  return found.empty() ? 0 : std::atoll(found[0].c_str());
}

void EtcdServer::Compact(int64_t revision) {
  Post("/v3/kv/compaction", absl::StrCat("{\"revision\":\"", revision, "\",\"physical\":true}"));
}

int64_t EtcdServer::Grant(int64_t ttl_s) {
  const auto ids = Fields(Post("/v3/lease/grant", absl::StrCat("{\"TTL\":\"", ttl_s, "\"}")), "ID");
  return ids.empty() ? 0 : std::atoll(ids[0].c_str());
}

void EtcdServer::RevokeLeases() {
  for (const std::string& id : Fields(Post("/v3/lease/leases", "{}"), "ID")) {
    Post("/v3/lease/revoke", absl::StrCat("{\"ID\":\"", id, "\"}"));
  }
}

}  // namespace storage::servers
