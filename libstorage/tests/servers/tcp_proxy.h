// A proxy between a client and a server on 127.0.0.1, which can lose messages at a
// chosen moment. Protocol-agnostic: it looks for bytes.
// Threads: any.
#ifndef LIBSTORAGE_TESTS_SERVERS_TCP_PROXY_H_
#define LIBSTORAGE_TESTS_SERVERS_TCP_PROXY_H_

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace storage::servers {

class TcpProxy {
 public:
  enum class Fault {
    kNone,
    kLoseRequest,  // the request with the words never arrives; both ends are closed
    kLoseReply,    // it arrives, and the reply with the words is lost; both ends are closed
    kHoldReply,    // the same, but nobody is told: the connection just falls silent
    kLoseAnswer,   // the request with the words arrives, whatever is answered is lost; both
                   // ends are closed. For replies that say nothing of what they answer
    kHoldAnswer,   // the same, but nobody is told
  };

  explicit TcpProxy(int server_port);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  int port() const { return port_; }
  // Once, to the next connection where the words pass by: in a request, or in a
  // reply for kLoseReply and kHoldReply.
  void Arm(Fault fault, std::string words);
  bool fired() const { return fired_.load(); }
  // Closes what is open, and refuses new connections while off.
  void SetOff(bool off);

 private:
  void Accept();
  void Serve(int client);
  // True: the bytes may pass.
  bool Pass(const std::string& seen, bool request, Fault* fault);

  const int server_port_;
  int port_ = 0;
  int listener_ = -1;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> off_{false};
  std::atomic<bool> fired_{false};
  std::mutex mutex_;
  Fault fault_ = Fault::kNone;
  std::string words_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace storage::servers

#endif  // LIBSTORAGE_TESTS_SERVERS_TCP_PROXY_H_
