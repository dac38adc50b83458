#include "tests/servers/cut_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace storage::servers {
namespace {

constexpr int kTickMs = 10;

int Local(int port, struct sockaddr_in* address) {
  *address = {};
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address->sin_port = htons(static_cast<uint16_t>(port));
  return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
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

CutProxy::CutProxy(int server_port) : server_port_(server_port) {
  struct sockaddr_in address;
  listener_ = Local(0, &address);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<struct sockaddr*>(&address);
  if (bind(listener_, generic, size) == 0 && listen(listener_, 64) == 0 &&
      getsockname(listener_, generic, &size) == 0) {
    port_ = ntohs(address.sin_port);
  }
  acceptor_ = std::thread([this] { Accept(); });
}

CutProxy::~CutProxy() {
  stopping_ = true;
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  close(listener_);
}

void CutProxy::Arm(Lose lose, std::string words) {
  std::lock_guard<std::mutex> lock(mutex_);
  lose_ = lose;
  words_ = std::move(words);
  fired_ = false;
}

void CutProxy::Cut() { ++cuts_; }

void CutProxy::Accept() {
  while (!stopping_) {
    struct pollfd fd = {listener_, POLLIN, 0};
    if (poll(&fd, 1, kTickMs) <= 0) continue;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client >= 0) threads_.emplace_back([this, client] { Serve(client); });
  }
}

CutProxy::Lose CutProxy::Hit(const std::string& request) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (lose_ == Lose::kNothing || request.find(words_) == std::string::npos) return Lose::kNothing;
  fired_ = true;
  return std::exchange(lose_, Lose::kNothing);
}

void CutProxy::Serve(int client) {
  struct sockaddr_in address;
  const int server = Local(server_port_, &address);
  bool open = connect(server, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) == 0;
  bool silent = false;
  int cuts = 0;
  while (open && !stopping_ && !(silent && cuts_ > cuts)) {
    struct pollfd fds[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    if (poll(fds, 2, kTickMs) <= 0) continue;
    for (int side = 0; side < 2 && open; ++side) {
      if (fds[side].revents == 0) continue;
      char buffer[65536];
      const ssize_t n = recv(fds[side].fd, buffer, sizeof(buffer), 0);
      open = n > 0;
      if (!open || silent) continue;
      const std::string bytes(buffer, static_cast<size_t>(n));
      const Lose lose = side == 0 ? Hit(bytes) : Lose::kNothing;
      if (lose != Lose::kNothing) {
        silent = true;
        cuts = cuts_;
      }
      if (lose != Lose::kRequest) open = SendAll(fds[1 - side].fd, bytes);
    }
  }
  close(client);
  close(server);
}

}  // namespace storage::servers
