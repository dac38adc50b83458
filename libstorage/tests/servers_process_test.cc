// The helper that starts servers: trees are stopped and killed as a whole, also
// when the test that started them dies.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "gtest/gtest.h"
#include "tests/servers/process.h"

namespace storage::servers {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(path);
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

// A shell with a child; both write their pid.
ProcessSpec Tree(const std::string& directory) {
  ProcessSpec spec;
  spec.argv = {"/bin/sh", "-c", "sleep 100 & echo $! > child; echo $$ > self; wait"};
  spec.directory = directory;
  spec.log = directory + "/log";
  return spec;
}

char StateOf(const std::string& pid) {
  const std::string text = Read("/proc/" + pid + "/stat");
  const size_t at = text.rfind(')');
  return at == std::string::npos ? '-' : text[at + 2];
}

std::string PidIn(const std::string& file) {
  std::string text;
  EXPECT_TRUE(WaitFor([&] { return (text = Read(file)).ends_with("\n"); }, absl::Seconds(10)));
  return text.substr(0, text.find('\n'));
}

TEST(ServerProcess, ATreeIsStoppedAndKilledAsAWhole) {
  const ServerDir dir("");
  auto process = Process::Start(Tree(dir.path()));
  ASSERT_TRUE(process.ok()) << process.status();
  const std::string child = PidIn(dir.path() + "/child");
  const std::string self = PidIn(dir.path() + "/self");
  (*process)->Pause();
  EXPECT_TRUE(
      WaitFor([&] { return StateOf(child) == 'T' && StateOf(self) == 'T'; }, absl::Seconds(10)));
  (*process)->Resume();
  EXPECT_TRUE(WaitFor([&] { return StateOf(child) == 'S'; }, absl::Seconds(10)));
  EXPECT_TRUE((*process)->Running());
  (*process)->Kill();
  EXPECT_FALSE((*process)->Running());
  const char state = StateOf(child);
  EXPECT_TRUE(state == '-' || state == 'Z') << state;
}

TEST(ServerProcess, ItDiesWithTheTest) {
  const ServerDir dir("nobody");
  const pid_t test = fork();
  if (test == 0) {
    ProcessSpec spec = Tree(dir.path());
    spec.user = "nobody";
    spec.log = dir.path() + "/log";
    auto process = Process::Start(spec);
    pause();
    _exit(0);
  }
  const std::string self = PidIn(dir.path() + "/self");
  const std::string child = PidIn(dir.path() + "/child");
  kill(test, SIGKILL);
  waitpid(test, nullptr, 0);
  EXPECT_TRUE(
      WaitFor([&] { return StateOf(self) == '-' || StateOf(self) == 'Z'; }, absl::Seconds(10)));
  kill(static_cast<pid_t>(std::stoi(child)), SIGKILL);
}

TEST(ServerProcess, FailuresAreReported) {
  const ServerDir dir("");
  ProcessSpec spec;
  spec.log = dir.path() + "/log";
  spec.argv = {"/does/not/exist"};
  EXPECT_FALSE(Process::Start(spec).ok());
  spec.argv = {"/bin/sh", "-c", "echo broken; exit 3"};
  const absl::Status failed = RunToEnd(spec, absl::Seconds(10));
  EXPECT_NE(failed.message().find("broken"), std::string::npos) << failed;
  spec.argv = {"/bin/sleep", "100"};
  EXPECT_NE(RunToEnd(spec, absl::Milliseconds(50)).message().find("too long"), std::string::npos);
  spec.argv = {"/bin/true"};
  EXPECT_TRUE(RunToEnd(spec, absl::Seconds(10)).ok());
}

}  // namespace
}  // namespace storage::servers
