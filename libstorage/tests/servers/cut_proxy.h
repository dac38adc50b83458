// A proxy between a client and a server on 127.0.0.1 that loses a request, or the
// reply to it, at the first request with certain bytes. The connection then falls
// silent until Cut. Knows no protocol.
// Threads: any.
#ifndef LIBSTORAGE_TESTS_SERVERS_CUT_PROXY_H_
#define LIBSTORAGE_TESTS_SERVERS_CUT_PROXY_H_

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace storage::servers {

class CutProxy {
 public:
  enum class Lose { kNothing, kRequest, kReply };

  explicit CutProxy(int server_port);
  ~CutProxy();
  CutProxy(const CutProxy&) = delete;
  CutProxy& operator=(const CutProxy&) = delete;

  int port() const { return port_; }
  void Arm(Lose lose, std::string words);  // once
  bool fired() const { return fired_; }
  void Cut();  // closes the connections that fell silent

 private:
  void Accept();
  void Serve(int client);
  Lose Hit(const std::string& request);

  const int server_port_;
  int port_ = 0;
  int listener_ = -1;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> fired_{false};
  std::atomic<int> cuts_{0};
  std::mutex mutex_;
  Lose lose_ = Lose::kNothing;
  std::string words_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace storage::servers

#endif  // LIBSTORAGE_TESTS_SERVERS_CUT_PROXY_H_
