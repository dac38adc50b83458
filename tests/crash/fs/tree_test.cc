#include "tree.h"

#include <gtest/gtest.h>

namespace dropfs {
namespace {

CrashStats Crash(Tree& tree, uint64_t seed, int percent) {
  CrashStats stats;
  Random random(seed);
  tree.Crash(random, percent, &stats);
  return stats;
}

TEST(TreeTest, ANameIsLostWithoutASyncOfItsDirectory) {
  Tree tree;
  tree.Add(kRoot, "kept", 2);
  EXPECT_TRUE(tree.Sync(kRoot));
  tree.Add(kRoot, "lost", 3);
  tree.Remove(kRoot, "kept");
  const CrashStats stats = Crash(tree, 1, 0);
  EXPECT_EQ(tree.Find(kRoot, "lost"), 0u);
  EXPECT_EQ(tree.Find(kRoot, "kept"), 2u);
  EXPECT_EQ(stats.entries_lost, 2);
}

TEST(TreeTest, SyncOfAnotherDirectoryDoesNotHelp) {
  Tree tree;
  tree.AddDir(kRoot, "d", 2);
  tree.Add(2, "file", 3);
  tree.Sync(2);
  Crash(tree, 1, 0);
  EXPECT_EQ(tree.Find(kRoot, "d"), 0u);
}

TEST(TreeTest, NamesSurviveIndependently) {
  int mixed = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Tree tree;
    tree.Add(kRoot, "a", 2);
    tree.Add(kRoot, "b", 3);
    Crash(tree, seed, 50);
    mixed += (tree.Find(kRoot, "a") != 0) != (tree.Find(kRoot, "b") != 0);
  }
  EXPECT_GT(mixed, 0);
  EXPECT_LT(mixed, 20);
}

TEST(TreeTest, ARenameSurvivesWholeOrNot) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Tree tree;
    tree.AddDir(kRoot, "d", 9);
    tree.Add(kRoot, "new", 2);
    tree.Add(9, "old", 3);
    tree.SyncAll();
    tree.Rename(kRoot, "new", 9, "old");
    Crash(tree, seed, 50);
    if (tree.Find(kRoot, "new") == 0) {
      EXPECT_EQ(tree.Find(9, "old"), 2u);
    } else {
      EXPECT_EQ(tree.Find(kRoot, "new"), 2u);
      EXPECT_EQ(tree.Find(9, "old"), 3u);
    }
  }
}

TEST(TreeTest, SyncOfEitherEndMakesARenameDurable) {
  Tree tree;
  tree.AddDir(kRoot, "d", 9);
  tree.Add(kRoot, "new", 2);
  tree.SyncAll();
  tree.Rename(kRoot, "new", 9, "old");
  tree.Sync(9);
  Crash(tree, 1, 0);
  EXPECT_EQ(tree.Find(kRoot, "new"), 0u);
  EXPECT_EQ(tree.Find(9, "old"), 2u);
}

TEST(TreeTest, AFileMovedToANewDirectoryIsNotLostWithIt) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Tree tree;
    tree.Add(kRoot, "file", 2);
    tree.SyncAll();
    tree.AddDir(kRoot, "d", 3);
    tree.Rename(kRoot, "file", 3, "file");
    Crash(tree, seed, 50);
    EXPECT_TRUE(tree.Reachable().contains(2)) << seed;
  }
}

TEST(TreeTest, AFileMovedOutOfARemovedDirectoryIsNotLostWithIt) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Tree tree;
    tree.AddDir(kRoot, "d", 3);
    tree.Add(3, "file", 2);
    tree.SyncAll();
    tree.Rename(3, "file", kRoot, "file");
    tree.Remove(kRoot, "d");
    Crash(tree, seed, 50);
    EXPECT_TRUE(tree.Reachable().contains(2)) << seed;
  }
}

TEST(TreeTest, RemovedAndMadeAgainIsOneName) {
  Tree tree;
  tree.Add(kRoot, "wal", 2);
  tree.SyncAll();
  tree.Remove(kRoot, "wal");
  tree.Add(kRoot, "wal", 3);
  EXPECT_EQ(tree.pending(), 1u);
  Crash(tree, 1, 0);
  EXPECT_EQ(tree.Find(kRoot, "wal"), 2u);
}

}  // namespace
}  // namespace dropfs
