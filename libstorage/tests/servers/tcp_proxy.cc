#include "tests/servers/tcp_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace storage::servers {
namespace {

constexpr int kTickMs = 20;

struct sockaddr_in Local(int port) {
  struct sockaddr_in address {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

int ConnectTo(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = Local(port);
  if (connect(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) == 0) return fd;
  close(fd);
  return -1;
}

bool SendAll(int fd, const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t n = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

TcpProxy::TcpProxy(int server_port) : server_port_(server_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = Local(0);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<struct sockaddr*>(&address);
  if (bind(listener_, generic, size) == 0 && listen(listener_, 64) == 0 &&
      getsockname(listener_, generic, &size) == 0) {
    port_ = ntohs(address.sin_port);
  }
  acceptor_ = std::thread([this] { Accept(); });
}

TcpProxy::~TcpProxy() {
  stopping_ = true;
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  close(listener_);
}

void TcpProxy::Arm(Fault fault, std::string words) {
  std::lock_guard<std::mutex> lock(mutex_);
  fault_ = fault;
  words_ = std::move(words);
  fired_ = false;
}

void TcpProxy::SetOff(bool off) { off_ = off; }

void TcpProxy::Accept() {
  while (!stopping_) {
    struct pollfd fd = {listener_, POLLIN, 0};
    if (poll(&fd, 1, kTickMs) <= 0) continue;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client >= 0) threads_.emplace_back([this, client] { Serve(client); });
  }
}

bool TcpProxy::Pass(const std::string& seen, bool request, Fault* fault) {
  std::lock_guard<std::mutex> lock(mutex_);
  const bool by_request =
      fault_ == Fault::kLoseRequest || fault_ == Fault::kLoseAnswer || fault_ == Fault::kHoldAnswer;
  if (fault_ == Fault::kNone || request != by_request) return true;
  if (seen.find(words_) == std::string::npos) return true;
  *fault = std::exchange(fault_, Fault::kNone);
  fired_ = true;
  return *fault == Fault::kLoseAnswer || *fault == Fault::kHoldAnswer;
}

void TcpProxy::Serve(int client) {
  const int server = off_ ? -1 : ConnectTo(server_port_);
  const int no_delay = 1;
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof(no_delay));
  setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof(no_delay));
  Fault fault = Fault::kNone;
  const auto silent = [&] { return fault == Fault::kHoldReply || fault == Fault::kHoldAnswer; };
  for (bool open = server >= 0; open && !stopping_ && !off_;) {
    struct pollfd fds[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    if (poll(fds, 2, kTickMs) <= 0) continue;
    for (int side = 0; side < 2 && open; ++side) {
      if (fds[side].revents == 0) continue;
      char buffer[65536];
      const ssize_t n = recv(fds[side].fd, buffer, sizeof(buffer), 0);
      if (n <= 0) {
        open = silent() && side == 1;
        continue;
      }
      const std::string bytes(buffer, static_cast<size_t>(n));
      if (fault == Fault::kNone && Pass(bytes, side == 0, &fault)) {
        open = SendAll(fds[1 - side].fd, bytes);
      } else if (!silent()) {
        open = false;
      }
    }
  }
  close(client);
  if (server >= 0) close(server);
}

}  // namespace storage::servers
