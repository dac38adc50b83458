// Runs the stgctl binary that lies beside the test and keeps what it says.
#ifndef LIBSTORAGE_TESTS_STGCTL_TESTING_H_
#define LIBSTORAGE_TESTS_STGCTL_TESTING_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace storage {

struct Ran {
  int exit_code = -1;
  std::string out, err;
};

inline std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

inline std::string StgctlPath() {
  if (const char* path = std::getenv("STGCTL"); path != nullptr) return path;
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "stgctl";
}

// A started stgctl. Its working directory is dir; its output goes to files there.
class Running {
 public:
  Running(const std::string& dir, std::vector<std::string> args) : dir_(dir) {
    static int number = 0;
    out_ = dir + "/.stdout" + std::to_string(++number);
    err_ = dir + "/.stderr" + std::to_string(number);
    args.insert(args.begin(), StgctlPath());
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    dup2(open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
    dup2(open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
    if (chdir(dir.c_str()) == 0) execv(argv[0], argv.data());
    _exit(127);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  bool ended() {
    if (!reaped_) reaped_ = waitpid(pid_, &status_, WNOHANG) == pid_;
    return reaped_;
  }
  std::string err_so_far() const { return ReadAll(err_); }
  void Signal(int number) { kill(pid_, number); }
  Ran Wait() {
    if (!reaped_) reaped_ = waitpid(pid_, &status_, 0) == pid_;
    Ran ran;
    ran.exit_code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
    ran.out = ReadAll(out_);
    ran.err = ReadAll(err_);
    std::filesystem::remove(out_);
    std::filesystem::remove(err_);
    return ran;
  }

 private:
  std::string dir_, out_, err_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool reaped_ = false;
};

class StgctlTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(std::filesystem::exists(StgctlPath())) << "build the target stgctl first";
    std::string dir = ::testing::TempDir() + "/stgctl-XXXXXX";
    ASSERT_NE(mkdtemp(dir.data()), nullptr);
    dir_ = std::filesystem::canonical(dir);
    unsetenv("TOPOLOGY_CONFIG");
    unsetenv("REVISION_MAPPER_ENDPOINT");
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  Ran Run(std::vector<std::string> args) { return Running(dir_, std::move(args)).Wait(); }
  std::string Path(const std::string& file) const { return dir_ + "/" + file; }
  void Write(const std::string& file, const std::string& text) {
    std::ofstream(Path(file), std::ios::binary) << text;
  }

  std::string dir_;
};

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_STGCTL_TESTING_H_
