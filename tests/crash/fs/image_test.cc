#include "image.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <string>

namespace dropfs {
namespace {

Fd Base() { return Fd(memfd_create("image", MFD_CLOEXEC)); }

void Put(Image& image, int64_t offset, const std::string& text) { image.Write(offset, text); }

std::string Get(const Image& image) {
  std::string out(static_cast<size_t>(image.size()), '?');
  out.resize(image.Read(0, out));
  return out;
}

TEST(ImageTest, ReadsWhatWasWrittenAcrossSectors) {
  Image image(Base());
  const std::string text(1500, 'a');
  Put(image, 100, text);
  EXPECT_EQ(Get(image), std::string(100, '\0') + text);
  Put(image, 600, "bb");
  EXPECT_EQ(Get(image).substr(599, 4), "abba");
}

TEST(ImageTest, LosesWhatWasNotSynced) {
  Image image(Base());
  Put(image, 0, "kept");
  image.Sync();
  Put(image, 0, "lost and longer");
  CrashStats stats;
  Random random(1);
  image.Crash(random, 0, &stats);
  EXPECT_EQ(Get(image), "kept");
  EXPECT_EQ(stats.sectors_lost, 1);
  EXPECT_EQ(stats.sizes_lost, 1);
  EXPECT_FALSE(image.dirty());
}

TEST(ImageTest, KeepsWhatWasSynced) {
  Image image(Base());
  const std::string text(5000, 'x');
  Put(image, 0, text);
  image.Sync();
  CrashStats stats;
  Random random(1);
  image.Crash(random, 0, &stats);
  EXPECT_EQ(Get(image), text);
  EXPECT_EQ(stats.sectors_lost + stats.sectors_kept, 0);
}

TEST(ImageTest, TearsAtSectors) {
  constexpr int kSectors = 64;
  Image image(Base());
  Put(image, 0, std::string(kSectors * kSector, 'o'));
  image.Sync();
  Put(image, 0, std::string(kSectors * kSector, 'n'));
  CrashStats stats;
  Random random(7);
  image.Crash(random, 50, &stats);
  const std::string after = Get(image);
  int kept = 0;
  for (int i = 0; i < kSectors; ++i) {
    const std::string sector = after.substr(static_cast<size_t>(i) * kSector, kSector);
    ASSERT_EQ(sector, std::string(kSector, sector[0])) << "torn within sector " << i;
    kept += sector[0] == 'n';
  }
  EXPECT_EQ(stats.files_torn, 1);
  EXPECT_EQ(kept, stats.sectors_kept);
  EXPECT_GT(kept, kSectors / 4);
  EXPECT_LT(kept, kSectors * 3 / 4);
}

TEST(ImageTest, TheSeedDecides) {
  const auto crash = [](uint64_t seed) {
    Image image(Base());
    Put(image, 0, std::string(100 * kSector, 'n'));
    CrashStats stats;
    Random random(seed);
    image.Crash(random, 50, &stats);
    return Get(image);
  };
  EXPECT_EQ(crash(3), crash(3));
  EXPECT_NE(crash(3), crash(4));
}

TEST(ImageTest, AnUnsyncedTruncationSurvivesOrNot) {
  bool undone = false, survived = false;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Image image(Base());
    Put(image, 0, std::string(2000, 'o'));
    image.Sync();
    image.Truncate(700);
    image.Truncate(1000);
    EXPECT_EQ(Get(image), std::string(700, 'o') + std::string(300, '\0'));
    CrashStats stats;
    Random random(seed);
    image.Crash(random, 50, &stats);
    if (image.size() == 2000) {
      undone = true;
      EXPECT_EQ(Get(image), std::string(2000, 'o'));
    } else {
      survived = true;
      EXPECT_EQ(Get(image), std::string(700, 'o') + std::string(300, '\0'));
    }
  }
  EXPECT_TRUE(undone && survived);
}

TEST(ImageTest, ATruncationIsDurableAfterASync) {
  Image image(Base());
  Put(image, 0, std::string(2000, 'o'));
  image.Sync();
  image.Truncate(100);
  Put(image, 300, "end");
  image.Sync();
  CrashStats stats;
  Random random(1);
  image.Crash(random, 0, &stats);
  EXPECT_EQ(Get(image), std::string(100, 'o') + std::string(200, '\0') + "end");
}

TEST(ImageTest, AGrowthMaySurviveInPart) {
  bool partly = false;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Image image(Base());
    Put(image, 0, std::string(512, 'o'));
    image.Sync();
    Put(image, 512, std::string(100 * kSector, 'n'));
    CrashStats stats;
    Random random(seed);
    image.Crash(random, 50, &stats);
    EXPECT_GE(image.size(), 512);
    EXPECT_LE(image.size(), 101 * kSector);
    EXPECT_EQ(Get(image).substr(0, 512), std::string(512, 'o'));
    partly |= image.size() > 512 && image.size() < 101 * kSector;
  }
  EXPECT_TRUE(partly);
}

// The overlay against a plain string, for random calls.
TEST(ImageTest, AgreesWithAModel) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    Image image(Base());
    std::string model;
    for (int step = 0; step < 60; ++step) {
      const size_t offset = random.Below(3000);
      switch (random.Below(4)) {
        case 0:
          image.Truncate(static_cast<int64_t>(offset));
          model.resize(offset, '\0');
          break;
        case 1:
          image.Sync();
          break;
        default: {
          const std::string text(random.Below(900) + 1, static_cast<char>('a' + step % 26));
          Put(image, static_cast<int64_t>(offset), text);
          if (model.size() < offset + text.size()) model.resize(offset + text.size(), '\0');
          model.replace(offset, text.size(), text);
        }
      }
      ASSERT_EQ(Get(image), model) << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace dropfs
