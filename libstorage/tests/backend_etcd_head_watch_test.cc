// The head of a lane on etcd, as other servers learn of it: announced, not polled.
#include <future>

#include "src/base/mutex.h"
#include "tests/contract/etcd_fixture.h"

namespace storage::contract {
namespace {

constexpr absl::Duration kLong = absl::Seconds(60);

class EtcdHeadWatchTest : public EtcdTest {
 protected:
  void Begin(const servers::EtcdSpec& spec = {}) {
    StartDatabase(spec);
    watch_ = backend_->WatchHead();
    ASSERT_OK(watch_->Read().status());
    // The stream has begun: it says that the head is to be read once more.
    EXPECT_EQ(watch_->Wait(kLong), 0);
  }
  int64_t Committed(const std::string& key) {
    EXPECT_OK(Write(backend_.get(), {Create(key, "v")}));
    return (*backend_->OpenSnapshot())->lane().head;
  }
  // What was committed before the next stream began is not announced: something new is.
  bool AnnouncesAgain() {
    return servers::WaitFor(
        [&, i = 0]() mutable {
          const absl::Status written =
              Write(backend_.get(), {Create("/a/" + std::to_string(i++), "v")});
          return written.ok() && watch_->Wait(absl::Milliseconds(500)) > 0;
        },
        kLong);
  }
  std::unique_ptr<HeadWatch> watch_;
};

TEST_F(EtcdHeadWatchTest, AHeadIsAnnouncedAndCanBeRead) {
  Begin();
  for (int i = 0; i < 20; ++i) {
    const int64_t head = Committed("/a/" + std::to_string(i));
    EXPECT_EQ(watch_->Wait(kLong), head);
    EXPECT_EQ(watch_->Read().value_or(-1), head);
  }
  EXPECT_EQ(watch_->Wait(absl::Milliseconds(50)), 0) << "nothing happened";
}

TEST_F(EtcdHeadWatchTest, AnInterruptEndsTheWait) {
  Begin();
  watch_->Interrupt();  // also the next one
  EXPECT_EQ(watch_->Wait(kLong), 0);
  auto waiting = std::async(std::launch::async, [&] { return watch_->Wait(kLong); });
  watch_->Interrupt();
  EXPECT_EQ(waiting.wait_for(std::chrono::seconds(20)), std::future_status::ready);
}

TEST_F(EtcdHeadWatchTest, AServerThatComesBackAnnouncesAgain) {
  Begin();
  server_->Kill();
  EXPECT_FALSE(watch_->Read().ok());
  ASSERT_OK(server_->Restart());
  const int64_t head = Committed("/a/first");
  EXPECT_EQ(watch_->Read().value_or(-1), head);
  EXPECT_TRUE(AnnouncesAgain());
}

TEST_F(EtcdHeadWatchTest, AnotherMemberAnnouncesWhenOneIsGone) {
  Begin({.members = 3});
  server_->Kill(0);  // streams begin with the first
  EXPECT_TRUE(servers::WaitFor([&] { return server_->Leader() > 0; }, kLong));
  EXPECT_TRUE(AnnouncesAgain());
}

TEST_F(EtcdHeadWatchTest, ItEndsAlthoughTheServerIsSilent) {
  Begin();
  server_->process()->Pause();
  EXPECT_TRUE(WithinThreeSeconds([&] { watch_.reset(); }));
  server_->process()->Resume();
}

}  // namespace
}  // namespace storage::contract
