// A stg_engine over a FakeEngine, used through the C ABI as a caller would.
#ifndef LIBSTORAGE_TESTS_API_HARNESS_H_
#define LIBSTORAGE_TESTS_API_HARNESS_H_

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "libstorage.h"
#include "src/api/open.h"
#include "tests/api_fake_engine.h"

namespace storage {

inline std::string Text(stg_bytes bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data), bytes.size);
}

class Harness {
 public:
  explicit Harness(int64_t budget = 0) {
    auto fake_engine = std::make_unique<FakeEngine>();
    fake = fake_engine.get();
    auto opened = api::OpenSessionForTest(std::move(fake_engine), budget);
    engine = opened->release();
    const stg_resource pods = {sizeof(stg_resource), STG_RESOURCE_NAMESPACED, "", "pods", "Pod",
                               "/registry/",         "/registry/pods/"};
    stg_resource_register(engine, &pods, &resource, nullptr);
  }
  ~Harness() { Close(); }

  void Close() {
    if (engine == nullptr) return;
    fake->OpenGate();
    EXPECT_EQ(stg_engine_close(std::exchange(engine, nullptr), nullptr), STG_CODE_OK);
  }

  stg_op Op(int32_t verb) const {
    stg_op op = {};
    op.struct_size = sizeof(op);
    op.verb = verb;
    op.resource = resource;
    return op;
  }

  uint64_t Submit(const stg_op& op, const std::string& key, const std::string& value,
                  stg_completion* done) {
    return stg_submit(engine, &op, key.data(), key.size(), value.data(), value.size(), nullptr, 0,
                      done);
  }

  // Submits and waits; the completion's slab is the caller's.
  stg_completion Do(stg_op op, const std::string& key, const std::string& value = "") {
    op.user = ++user_;
    stg_completion done = {};
    const uint64_t id = Submit(op, key, value, &done);
    if (id != 0) {
      done = Wait(id);
      EXPECT_EQ(done.op, id);
    }
    EXPECT_EQ(done.user, op.user);
    EXPECT_EQ(done.kind, STG_COMPLETION_OP);
    return done;
  }
  stg_completion Put(const std::string& key, const std::string& value, int64_t expected = STG_ANY) {
    stg_op op = Op(STG_VERB_PUT);
    op.revision = expected;
    return Do(op, key, value);
  }
  stg_completion Get(const std::string& key) { return Do(Op(STG_VERB_GET), key); }
  void Release(const stg_completion& done) { stg_slab_release(engine, &done.slab, 1); }

  // The completion of op; others are kept for later. A minute without: code -1.
  stg_completion Wait(uint64_t op) {
    for (int i = 0; i < 60; ++i) {
      Drain();
      auto found = completions_.find(op);
      if (found != completions_.end()) {
        stg_completion done = found->second;
        completions_.erase(found);
        return done;
      }
      pollfd fd = {stg_engine_event_fd(engine), POLLIN, 0};
      poll(&fd, 1, 1000);
    }
    stg_completion none = {};
    none.code = -1;
    return none;
  }
  // A completion that is not of an operation: READY or LOG.
  bool WaitOther(stg_completion* out) {
    for (int i = 0; i < 60 && others_.empty(); ++i) {
      Drain();
      if (!others_.empty()) break;
      pollfd fd = {stg_engine_event_fd(engine), POLLIN, 0};
      poll(&fd, 1, 1000);
    }
    if (others_.empty()) return false;
    *out = others_.front();
    others_.pop_front();
    return true;
  }
  void Drain() {
    stg_completion out[16];
    while (const size_t count = stg_drain(engine, out, 16)) {
      for (size_t i = 0; i < count; ++i) {
        if (out[i].kind != STG_COMPLETION_OP) {
          others_.push_back(out[i]);
        } else {
          EXPECT_TRUE(completions_.emplace(out[i].op, out[i]).second) << "completed twice";
        }
      }
    }
  }
  size_t others() const { return others_.size(); }
  int64_t outstanding() const { return engine->slabs().outstanding(); }

  static constexpr int64_t STG_ANY = -1;
  FakeEngine* fake = nullptr;
  stg_engine* engine = nullptr;
  int32_t resource = -1;

 private:
  uint64_t user_ = 1000;
  std::map<uint64_t, stg_completion> completions_;
  std::deque<stg_completion> others_;
};

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_API_HARNESS_H_
