#include "control.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <sstream>
#include <system_error>
#include <thread>

namespace dropfs {
namespace {

// Most crashes lose something and keep something; some lose or keep nearly all.
int DrawPercent(uint64_t seed) {
  static constexpr int kChoices[] = {0, 10, 50, 50, 90, 99};
  return kChoices[Random(~seed).Below(std::size(kChoices))];
}

std::string Describe(const Server& server) {
  const Volume& volume = *server.volume;
  std::ostringstream out;
  out << "{\"frozen\":" << (volume.frozen() ? "true" : "false") << ",\"changes\":" << server.changes
      << ",\"syncs\":" << volume.syncs() << ",\"nodes\":" << volume.nodes()
      << ",\"used\":" << volume.used() << ",\"limit\":" << volume.limit();
  if (const auto& c = server.crashed) {
    out << ",\"keep_percent\":" << server.armed_percent << ",\"sectors_kept\":" << c->sectors_kept
        << ",\"sectors_lost\":" << c->sectors_lost << ",\"files_torn\":" << c->files_torn
        << ",\"sizes_lost\":" << c->sizes_lost << ",\"entries_kept\":" << c->entries_kept
        << ",\"entries_lost\":" << c->entries_lost;
  }
  out << "}";
  return out.str();
}

std::string Error(const std::string& message) { return "{\"error\":\"" + message + "\"}"; }

// crash and arm, after the count: SEED [KEEP_PERCENT].
bool ParseCrash(std::istringstream& in, Server* server) {
  int percent = -1;
  if (!(in >> server->armed_seed)) return false;
  if (!(in >> percent)) percent = DrawPercent(server->armed_seed);
  server->armed_percent = percent;
  return percent <= 100;
}

std::string Run(const std::string& line, Server* server) {
  std::istringstream in(line);
  std::string verb;
  in >> verb;
  std::unique_lock lock(server->volume->mutex());
  if (verb == "wait") {
    server->crash_happened.wait(lock, [&] { return server->volume->frozen(); });
    return Describe(*server);
  }
  if (verb == "stats") return Describe(*server);
  if (server->volume->frozen()) return Error("the power is off");
  int64_t number = 0;
  if (verb == "crash") {
    if (!ParseCrash(in, server)) return Error("usage: crash SEED [KEEP_PERCENT]");
    server->Crash(server->armed_seed, server->armed_percent);
  } else if (verb == "arm") {
    if (!(in >> number) || number < 1 || !ParseCrash(in, server)) {
      return Error("usage: arm N SEED [KEEP_PERCENT]");
    }
    server->countdown = number;
  } else if (verb == "limit") {
    if (!(in >> number) || number < 0) return Error("usage: limit BYTES");
    server->volume->SetLimit(number);
  } else if (verb == "sync") {
    server->volume->SyncAll();
  } else {
    return Error("unknown command: " + verb);
  }
  return Describe(*server);
}

void Answer(Fd connection, Server* server) {
  std::string line;
  char c = 0;
  while (line.size() < 256 && recv(connection.get(), &c, 1, 0) == 1 && c != '\n') line += c;
  std::string answer;
  try {
    answer = Run(line, server);
  } catch (const std::exception& e) {
    answer = Error(e.what());
  }
  answer += '\n';
  // The client may have gone; nothing to do about it.
  (void)!send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
}

}  // namespace

void StartControl(const std::string& path, Server* server) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    throw std::system_error(ENAMETOOLONG, std::generic_category(), path);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  unlink(path.c_str());
  Fd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_fd.valid() ||
      bind(socket_fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(socket_fd.get(), 8) != 0) {
    throw std::system_error(errno, std::generic_category(), path);
  }
  std::thread([listener = std::move(socket_fd), server] {
    for (;;) {
      Fd connection(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!connection.valid()) continue;
      std::thread(Answer, std::move(connection), server).detach();
    }
  }).detach();
}

}  // namespace dropfs
