// Engines on SQLite files that are opened again and again: the fixture of the
// tests of restarts and of refused starts.
#ifndef LIBSTORAGE_TESTS_ENGINE_RESTART_H_
#define LIBSTORAGE_TESTS_ENGINE_RESTART_H_

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/engine/harness.h"

namespace storage {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

inline const Range kPods{"/registry/pods/", "/registry/pods0"};

inline std::string Message(const absl::Status& status) { return std::string(status.message()); }

// In memory: what survives a kill does so there too, and nobody waits for a disk.
class Restart : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/dev/shm/restart-XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
    topology_ = absl::StrCat("backends:\n- endpoint: sqlite://", dir_,
                             "/a.db\n  prefix: {name: a, prefix: pods/a*}\n");
  }
  void TearDown() override { fs::remove_all(dir_); }

  absl::StatusOr<std::unique_ptr<Engine>> Open(bool restored = false) {
    EngineOptions options;
    options.topology_text = topology_;
    options.default_endpoint = absl::StrCat("sqlite://", dir_, "/default.db");
    options.restored = restored;
    return Engine::Open(options);
  }
  std::string File(const std::string& name) const { return absl::StrCat(dir_, "/", name); }
  void RemoveDatabase(const std::string& name) {
    for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(File(name) + suffix);
  }
  // Runs body in a process that is then gone without any clean-up.
  void Killed(const std::function<void(Engine&, ResourceId)>& body) {
    const pid_t child = ::fork();
    if (child == 0) {
      absl::StatusOr<std::unique_ptr<Engine>> engine = Open();
      if (!engine.ok()) ::_exit(3);
      body(**engine, Register(**engine, "pods"));
      ::_exit(::testing::Test::HasFailure() ? 4 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  void Fill(int count = 10) {
    auto engine = std::move(Open()).value();
    const ResourceId pods = Register(*engine, "pods");
    for (int i = 0; i < count; ++i) {
      const char* kind = i % 2 == 0 ? "a" : "d";
      Put(*engine, pods, absl::StrCat("/registry/pods/", kind, i), "v");
    }
    ASSERT_TRUE(engine->Close().ok());
  }

  std::string dir_;
  std::string topology_;
};

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_ENGINE_RESTART_H_
