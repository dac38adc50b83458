#include "volume.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace dropfs {
namespace {

class VolumeTest : public testing::Test {
 protected:
  VolumeTest() {
    std::string pattern = testing::TempDir() + "dropfs.XXXXXX";
    path_ = mkdtemp(pattern.data());
    Open();
  }
  ~VolumeTest() override {
    volume_.reset();
    std::filesystem::remove_all(path_);
  }

  void Open() {
    volume_.reset();
    volume_ = std::make_unique<Volume>(path_);
  }
  NodeId Make(NodeId dir, const std::string& name, mode_t mode = S_IFREG | 0644) {
    NodeId id = 0;
    EXPECT_EQ(volume_->Create(dir, name, mode, 0, 0, &id), 0);
    return id;
  }
  int Write(NodeId id, const std::string& text) { return volume_->Write(id, 0, text); }
  // Reads by name; "(absent)" when there is no such file.
  std::string Read(NodeId dir, const std::string& name) {
    const NodeId id = volume_->tree().Find(dir, name);
    if (id == 0) return "(absent)";
    const Image& image = *volume_->Get(id)->image;
    std::string out(static_cast<size_t>(image.size()), '?');
    image.Read(0, out);
    return out;
  }

  std::string path_;
  std::unique_ptr<Volume> volume_;
};

TEST_F(VolumeTest, ACrashKeepsTheSyncedAndNothingElse) {
  const NodeId kept = Make(kRoot, "kept file");
  Write(kept, "one");
  volume_->Sync(kept);
  volume_->SyncDir(kRoot);
  Write(kept, "two");
  const NodeId unnamed = Make(kRoot, "synced without its directory");
  Write(unnamed, "gone");
  volume_->Sync(unnamed);
  const CrashStats stats = volume_->Crash(1, 0);
  EXPECT_EQ(stats.entries_lost, 1);
  Open();
  EXPECT_EQ(Read(kRoot, "kept file"), "one");
  EXPECT_EQ(volume_->tree().List(kRoot).size(), 1u);
}

TEST_F(VolumeTest, EndingTheDaemonWithoutASyncLosesTheSame) {
  const NodeId kept = Make(kRoot, "kept");
  volume_->SyncDir(kRoot);
  Write(kept, "lost");
  Make(kRoot, "lost");
  Open();
  EXPECT_EQ(Read(kRoot, "kept"), "");
  EXPECT_EQ(Read(kRoot, "lost"), "(absent)");
}

TEST_F(VolumeTest, SyncAllKeepsEverything) {
  const NodeId dir = Make(kRoot, "d", S_IFDIR | 0700);
  Write(Make(dir, "file"), "text");
  volume_->SyncAll();
  Open();
  const NodeId again = volume_->tree().Find(kRoot, "d");
  EXPECT_EQ(volume_->Get(again)->mode, mode_t{S_IFDIR | 0700});
  EXPECT_EQ(Read(again, "file"), "text");
}

TEST_F(VolumeTest, AnUnsyncedUnlinkMayComeBackWithItsData) {
  const NodeId file = Make(kRoot, "file");
  Write(file, "text");
  volume_->SyncAll();
  EXPECT_EQ(volume_->Unlink(kRoot, "file"), 0);
  volume_->Crash(1, 0);
  Open();
  EXPECT_EQ(Read(kRoot, "file"), "text");
}

TEST_F(VolumeTest, ASyncedUnlinkFreesTheData) {
  Write(Make(kRoot, "file"), "text");
  volume_->SyncAll();
  EXPECT_EQ(volume_->Unlink(kRoot, "file"), 0);
  volume_->SyncDir(kRoot);
  EXPECT_EQ(volume_->nodes(), 1u);
  EXPECT_TRUE(std::filesystem::is_empty(path_ + "/data"));
}

TEST_F(VolumeTest, TheLimitStopsGrowthOnly) {
  volume_->SetLimit(8192);
  const NodeId a = Make(kRoot, "a");
  const NodeId b = Make(kRoot, "b");
  EXPECT_EQ(Write(a, std::string(4096, 'x')), 0);
  EXPECT_EQ(Write(b, std::string(4097, 'x')), ENOSPC);
  EXPECT_EQ(Write(b, std::string(4096, 'x')), 0);
  EXPECT_EQ(Write(a, std::string(4096, 'y')), 0);
  EXPECT_EQ(volume_->Truncate(a, 4097), ENOSPC);
  EXPECT_EQ(volume_->Truncate(a, 0), 0);
  EXPECT_EQ(volume_->Truncate(b, 8192), 0);
  EXPECT_EQ(volume_->Unlink(kRoot, "b"), 0);
  EXPECT_EQ(volume_->used(), 0);
  Open();
  EXPECT_EQ(volume_->used(), 0);
}

TEST_F(VolumeTest, ErrorsAreThoseOfAFileSystem) {
  const NodeId dir = Make(kRoot, "d", S_IFDIR | 0755);
  Make(dir, "file");
  NodeId id = 0;
  EXPECT_EQ(volume_->Create(kRoot, "d", S_IFREG, 0, 0, &id), EEXIST);
  EXPECT_EQ(volume_->Create(kRoot, "a\nb", S_IFREG, 0, 0, &id), EINVAL);
  EXPECT_EQ(volume_->Rmdir(kRoot, "d"), ENOTEMPTY);
  EXPECT_EQ(volume_->Unlink(kRoot, "d"), EISDIR);
  EXPECT_EQ(volume_->Rename(dir, "nothing", kRoot, "x", false), ENOENT);
  EXPECT_EQ(volume_->Rename(dir, "file", kRoot, "d", false), EISDIR);
  EXPECT_EQ(volume_->Rename(dir, "file", kRoot, "d", true), EEXIST);
}

TEST_F(VolumeTest, OneDaemonPerBackingDirectory) {
  EXPECT_THROW(Volume second(path_), std::system_error);
}

}  // namespace
}  // namespace dropfs
