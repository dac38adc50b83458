// Database servers that a test starts for itself: in a private directory, on a
// port of their own, killed at the end whatever happens to the test.
//
// Threads: one at a time. Start from the thread that lives as long as the test
// (PR_SET_PDEATHSIG is bound to the thread that forked).
#ifndef LIBSTORAGE_TESTS_SERVERS_PROCESS_H_
#define LIBSTORAGE_TESTS_SERVERS_PROCESS_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "src/base/status.h"

namespace storage::servers {

struct ProcessSpec {
  std::vector<std::string> argv;  // argv[0] is a path
  std::string user;               // root becomes this user; otherwise without effect
  std::string directory = "/";    // working directory
  std::string log;                // stdout and stderr are appended to it
  std::vector<std::string>
      environment;  // "NAME=value", beside PATH and LC_ALL=C; nothing is inherited
};

// A private directory below /dev/shm (syncs cost nothing there), else /tmp,
// owned by a user; removed at the end.
class ServerDir {
 public:
  explicit ServerDir(const std::string& user);
  ~ServerDir();
  ServerDir(const ServerDir&) = delete;
  ServerDir& operator=(const ServerDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A server and the processes that it forks.
class Process {
 public:
  static absl::StatusOr<std::unique_ptr<Process>> Start(const ProcessSpec& spec);
  ~Process();  // Kill()
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // SIGSTOP and SIGCONT to the whole tree; when Pause returns nothing of it runs.
  void Pause();
  void Resume();
  void Kill();  // SIGKILL to the whole tree; returns when all of it is gone
  // Sends the signal to the first process and waits for its end; kills it when
  // it takes longer. Returns true when it ended by itself.
  bool Stop(int signal, absl::Duration limit);
  bool Running();
  pid_t pid() const { return pid_; }      // 0 once it ended
  int status() const { return status_; }  // of wait(), once it ended

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  bool Reap(bool wait);
  pid_t pid_;  // 0 = reaped
  int status_ = 0;
};

// Runs a program to its end (limit: then it is killed). INTERNAL with the end of
// the log when it fails, is missing or takes too long.
absl::Status RunToEnd(const ProcessSpec& spec, absl::Duration limit);

// Asks until the condition holds; false when the time is up.
bool WaitFor(const std::function<bool()>& condition, absl::Duration limit);

// A TCP port of 127.0.0.1 that nobody listens on now.
int FreePort();

// The last lines of a file, for messages.
std::string TailOf(const std::string& path);

}  // namespace storage::servers

#endif  // LIBSTORAGE_TESTS_SERVERS_PROCESS_H_
