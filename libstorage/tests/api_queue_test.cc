// The eventfd protocol of CompletionQueue, and codes and errors of the boundary.
#include <gtest/gtest.h>
#include <poll.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "src/api/answer.h"
#include "src/api/codes.h"
#include "src/api/completion_queue.h"

namespace storage {
namespace api {
namespace {

bool Readable(int fd, int timeout_ms) {
  pollfd poll_fd = {fd, POLLIN, 0};
  return poll(&poll_fd, 1, timeout_ms) == 1;
}

stg_completion Completion(uint64_t op) { return NewCompletion(op, 0); }

TEST(CompletionQueueTest, EventFdFollowsEmptyToNonEmpty) {
  CompletionQueue queue;
  ASSERT_GE(queue.event_fd(), 0);
  EXPECT_FALSE(Readable(queue.event_fd(), 0));
  queue.Push(Completion(1));
  queue.Push(Completion(2));
  EXPECT_TRUE(Readable(queue.event_fd(), 0));

  stg_completion out[4];
  ASSERT_EQ(queue.Drain(out, 1), 1u);
  EXPECT_EQ(out[0].op, 1u);
  EXPECT_TRUE(Readable(queue.event_fd(), 0)) << "something still waits";
  ASSERT_EQ(queue.Drain(out, 4), 1u);
  EXPECT_EQ(out[0].op, 2u);
  // Not armed before a drain that found nothing: pushing now needs no write.
  queue.Push(Completion(3));
  ASSERT_EQ(queue.Drain(out, 4), 1u);
  ASSERT_EQ(queue.Drain(out, 4), 0u);
  EXPECT_FALSE(Readable(queue.event_fd(), 0)) << "cleared by the empty drain";
  queue.Push(Completion(4));
  EXPECT_TRUE(Readable(queue.event_fd(), 0)) << "armed again";
}

TEST(CompletionQueueTest, DrainOfNothingDoesNotDisarm) {
  CompletionQueue queue;
  queue.Push(Completion(1));
  stg_completion out[1];
  EXPECT_EQ(queue.Drain(out, 0), 0u);
  EXPECT_TRUE(Readable(queue.event_fd(), 0));
}

TEST(CompletionQueueTest, NothingIsLostBetweenManyPushersAndASleepingDrainer) {
  constexpr int kPushers = 8;
  constexpr uint64_t kEach = 20000;
  CompletionQueue queue;
  std::vector<std::thread> pushers;
  for (uint64_t p = 0; p < kPushers; ++p) {
    pushers.emplace_back([&queue, p] {
      for (uint64_t i = 0; i < kEach; ++i) queue.Push(Completion(p * kEach + i + 1));
    });
  }
  std::vector<uint64_t> next(kPushers, 0);
  uint64_t seen = 0;
  stg_completion out[64];
  while (seen < kPushers * kEach) {
    const size_t count = queue.Drain(out, 64);
    for (size_t i = 0; i < count; ++i) {
      const uint64_t pusher = (out[i].op - 1) / kEach;
      EXPECT_EQ((out[i].op - 1) % kEach, next[pusher]++) << "order of one pusher";
    }
    seen += count;
    // A lost wake-up shows here.
    if (count == 0) {
      ASSERT_TRUE(Readable(queue.event_fd(), 20000));
    }
  }
  for (std::thread& pusher : pushers) pusher.join();
}

TEST(CodesTest, StatusTravelsIntoErrors) {
  stg_error error;
  EXPECT_EQ(FillError(MakeStatus(Code::kNoSpace, "disk full", "shirts", 13), &error),
            STG_CODE_NO_SPACE);
  EXPECT_EQ(error.code, STG_CODE_NO_SPACE);
  EXPECT_EQ(error.driver_code, 13);
  EXPECT_STREQ(error.backend, "shirts");
  EXPECT_STREQ(error.message, "disk full");
  EXPECT_EQ(FillError(absl::OkStatus(), &error), STG_CODE_OK);
  EXPECT_STREQ(error.message, "");
  EXPECT_EQ(FillError(absl::AbortedError("foreign"), nullptr), STG_CODE_INTERNAL);
}

TEST(CodesTest, LongTextIsCutAtACharacter) {
  std::string text(sizeof(stg_error::message) - 2, 'x');
  text += "\xc3\xa9\xc3\xa9";  // the first one would be cut in two
  stg_error error;
  FillError(MakeStatus(Code::kInvalid, text), &error);
  EXPECT_EQ(std::strlen(error.message), sizeof(stg_error::message) - 2);
}

TEST(CodesTest, NoExceptionPasses) {
  stg_error error;
  EXPECT_EQ(Guard(&error, []() -> absl::Status { throw std::runtime_error("boom"); }),
            STG_CODE_INTERNAL);
  EXPECT_NE(std::strstr(error.message, "boom"), nullptr);
  EXPECT_EQ(Guard(&error, []() -> absl::Status { throw 42; }), STG_CODE_INTERNAL);
  EXPECT_EQ(Guard(&error, []() -> absl::Status { throw std::bad_alloc(); }), STG_CODE_BUSY);
  GuardVoid([] { throw std::runtime_error("nobody to tell"); });
}

}  // namespace
}  // namespace api
}  // namespace storage
