#include "tests/servers/process.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <random>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace storage::servers {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(5);

absl::Status Failed(std::string message) { return MakeStatus(Code::kInternal, std::move(message)); }

struct Account {
  bool change = false;
  uid_t uid = 0;
  gid_t gid = 0;
};

absl::StatusOr<Account> AccountOf(const std::string& user) {
  Account account;
  if (user.empty() || geteuid() != 0) return account;
  const struct passwd* const entry = getpwnam(user.c_str());
  if (entry == nullptr) return Failed(absl::StrCat("there is no user ", user));
  account = {true, entry->pw_uid, entry->pw_gid};
  return account;
}

// "" when the process is gone, also when it goes while its file is read: an iterator over
// the stream would throw then.
std::string ReadProc(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text, '\0');
  return text;
}

// All processes with their parents.
std::vector<std::pair<pid_t, pid_t>> AllProcesses() {
  std::vector<std::pair<pid_t, pid_t>> found;
  DIR* const proc = opendir("/proc");
  if (proc == nullptr) return found;
  while (const struct dirent* entry = readdir(proc)) {
    const pid_t pid = static_cast<pid_t>(atoi(entry->d_name));
    if (pid <= 0) continue;
    const std::string text = ReadProc(absl::StrCat("/proc/", pid, "/stat"));
    const size_t name_end = text.rfind(')');
    if (name_end == std::string::npos || name_end + 4 >= text.size()) continue;
    found.emplace_back(pid, static_cast<pid_t>(atoi(text.c_str() + name_end + 4)));
  }
  closedir(proc);
  return found;
}

// The process and everything below it.
std::vector<pid_t> TreeOf(pid_t root) {
  const auto all = AllProcesses();
  std::vector<pid_t> tree = {root};
  for (size_t i = 0; i < tree.size(); ++i) {
    for (const auto& [pid, parent] : all) {
      if (parent == tree[i]) tree.push_back(pid);
    }
  }
  return tree;
}

// Parents first, again until no new one came: a stopped parent forks no more.
void SignalTree(pid_t root, int signal, std::vector<pid_t>* reached) {
  for (size_t before = SIZE_MAX; before != reached->size();) {
    before = reached->size();
    for (const pid_t pid : TreeOf(root)) {
      if (std::find(reached->begin(), reached->end(), pid) != reached->end()) continue;
      kill(pid, signal);
      reached->push_back(pid);
    }
  }
}

// Gone, or a zombie that some init has yet to reap.
bool Gone(pid_t pid) {
  const std::string text = ReadProc(absl::StrCat("/proc/", pid, "/stat"));
  const size_t name_end = text.rfind(')');
  return name_end == std::string::npos || text.compare(name_end, 3, ") Z") == 0;
}

// No thread of it runs any more: stopped, traced, or gone. A process is stopped by
// one of its own threads, and until that gets a core the others go on.
bool Still(pid_t pid) {
  std::error_code error;
  std::filesystem::directory_iterator tasks(absl::StrCat("/proc/", pid, "/task"), error), end;
  for (; !error && tasks != end; tasks.increment(error)) {
    const std::string text = ReadProc(tasks->path() / "stat");
    const size_t name_end = text.rfind(')');
    if (name_end == std::string::npos || name_end + 2 >= text.size()) continue;
    if (std::string_view("TtZX").find(text[name_end + 2]) == std::string_view::npos) return false;
  }
  return true;
}

// In the forked child: only calls that are safe there.
[[noreturn]] void Become(const Account& account, pid_t parent, int log, const char* directory,
                         char* const* argv, char* const* environment) {
  if (account.change &&
      (setgroups(1, &account.gid) != 0 || setgid(account.gid) != 0 || setuid(account.uid) != 0)) {
    _exit(126);
  }
  // After the change of user, which would clear it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(125);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = open("/dev/null", O_RDONLY);
  if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) _exit(124);
  if (close_range(3, ~0U, 0) != 0 || chdir(directory) != 0) _exit(123);
  execve(argv[0], argv, environment);
  _exit(127);
}

std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

ServerDir::ServerDir(const std::string& user) {
  const bool memory = access("/dev/shm", W_OK) == 0;
  std::string pattern = memory ? "/dev/shm/stg-XXXXXX" : "/tmp/stg-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) return;
  path_ = pattern;
  const auto account = AccountOf(user);
  if (account.ok() && account->change && chown(path_.c_str(), account->uid, account->gid) != 0) {
    path_.clear();
  }
}

ServerDir::~ServerDir() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

absl::StatusOr<std::unique_ptr<Process>> Process::Start(const ProcessSpec& spec) {
  const auto account = AccountOf(spec.user);
  if (!account.ok()) return account.status();
  if (access(spec.argv[0].c_str(), X_OK) != 0) {
    return Failed(absl::StrCat("missing: ", spec.argv[0], "; run build/deps.sh"));
  }
  const int log = open(spec.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) return Failed(absl::StrCat("cannot write ", spec.log));
  std::vector<std::string> arguments = spec.argv;
  std::vector<std::string> environment = spec.environment;
  environment.emplace_back("PATH=/usr/sbin:/usr/bin:/sbin:/bin");
  environment.emplace_back("LC_ALL=C");
  const std::vector<char*> argv = Pointers(&arguments);
  const std::vector<char*> envp = Pointers(&environment);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    Become(*account, parent, log, spec.directory.c_str(), argv.data(), envp.data());
  }
  close(log);
  if (pid < 0) return Failed(absl::StrCat("fork: ", strerror(errno)));
  return std::unique_ptr<Process>(new Process(pid));
}

Process::~Process() { Kill(); }

bool Process::Reap(bool wait) {
  if (pid_ == 0) return true;
  const pid_t got = waitpid(pid_, &status_, wait ? 0 : WNOHANG);
  if (got == pid_ || (got < 0 && errno == ECHILD)) pid_ = 0;
  return pid_ == 0;
}

bool Process::Running() { return !Reap(false); }

void Process::Pause() {
  if (pid_ == 0) return;
  std::vector<pid_t> reached;
  SignalTree(pid_, SIGSTOP, &reached);
  WaitFor([&] { return std::all_of(reached.begin(), reached.end(), Still); }, absl::Seconds(30));
}

void Process::Resume() {
  if (pid_ == 0) return;
  std::vector<pid_t> reached;
  SignalTree(pid_, SIGCONT, &reached);
}

void Process::Kill() {
  if (pid_ == 0) return;
  std::vector<pid_t> reached;
  SignalTree(pid_, SIGSTOP, &reached);  // so that the tree holds still
  for (const pid_t pid : reached) kill(pid, SIGKILL);
  Reap(true);
  WaitFor([&] { return std::all_of(reached.begin(), reached.end(), Gone); }, absl::Seconds(5));
}

bool Process::Stop(int signal, absl::Duration limit) {
  if (pid_ == 0) return true;
  kill(pid_, signal);
  if (WaitFor([this] { return Reap(false); }, limit)) return true;
  Kill();
  return false;
}

absl::Status RunToEnd(const ProcessSpec& spec, absl::Duration limit) {
  auto process = Process::Start(spec);
  if (!process.ok()) return process.status();
  const bool in_time = WaitFor([&] { return !(*process)->Running(); }, limit);
  if (in_time && (*process)->status() == 0) return absl::OkStatus();
  return Failed(
      absl::StrCat(spec.argv[0], in_time ? " failed: " : " takes too long: ", TailOf(spec.log)));
}

bool WaitFor(const std::function<bool()>& condition, absl::Duration limit) {
  const absl::Time end = absl::Now() + limit;
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(kPoll);
  }
  return true;
}

// Below the range that outgoing connections take theirs from (ip_local_port_range begins
// at 32768): one of those would have the port before the server gets there.
int FreePort() {
  constexpr int kFirst = 12000;
  constexpr int kPorts = 20000;
  static std::mutex mutex;
  static std::set<int> taken;
  const std::lock_guard<std::mutex> lock(mutex);
  std::random_device device;
  for (int tries = 0; tries < 1000; ++tries) {
    const int port = kFirst + static_cast<int>(device() % kPorts);
    if (taken.count(port) > 0) continue;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    const bool bound = bind(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) == 0;
    close(fd);
    if (!bound) continue;
    taken.insert(port);
    return port;
  }
  return 0;
}

std::string TailOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return text.size() > 2000 ? text.substr(text.size() - 2000) : text;
}

}  // namespace storage::servers
