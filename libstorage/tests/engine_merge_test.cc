// Rows of several databases in one key order, at one revision, in chunks.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "src/backend/memory/memory.h"
#include "src/engine/merge.h"
#include "tests/engine/hooks.h"

namespace storage {
namespace {

const LaneOwner kOwner{"m", 1, 1};
const Range kAll{"/k/", "/k0"};

class Merge : public ::testing::Test {
 protected:
  void Write(size_t place, int64_t rev, const std::string& key, const std::string& value) {
    while (backends_.size() <= place) {
      backends_.push_back(NewMemoryBackend(absl::StrCat("b", backends_.size())));
      auto txn = *backends_.back()->BeginLane();
      ASSERT_TRUE(txn->Adopt(kOwner, 0).ok() && txn->Commit().ok());
    }
    auto txn = *backends_[place]->BeginLane();
    Mutation mutation;
    mutation.kind = ChangeKind::kCreate;
    mutation.collection = "/k/";
    mutation.key = key;
    mutation.value = value;
    mutation.rev = rev;
    ASSERT_TRUE(txn->Apply({mutation}, 0).ok());
    ASSERT_TRUE(txn->Guard(kOwner, rev, rev).ok() && txn->Commit().ok());
  }
  std::vector<ChunkedRows> Sources(int64_t rev, int64_t chunk, Hooks* hooks = nullptr) {
    std::vector<ChunkedRows> sources;
    for (auto& backend : backends_) {
      std::unique_ptr<Snapshot> snapshot = *backend->OpenSnapshot();
      const int64_t at = rev < snapshot->lane().head ? rev : 0;
      if (hooks != nullptr) {
        snapshot = std::make_unique<HookedSnapshot>(std::move(snapshot), backend->name(), hooks);
      }
      sources.emplace_back(std::move(snapshot), kAll, at, chunk);
    }
    return sources;
  }
  std::vector<std::string> Keys(std::vector<ChunkedRows> sources, size_t limit = 1000) {
    std::vector<std::string> keys;
    bool stopped = false;
    absl::Status status = MergeRows(
        sources,
        [&](const Row& row) {
          if (keys.size() == limit) return false;
          EXPECT_EQ(row.value, "value of " + std::string(row.key));
          keys.emplace_back(row.key);
          return true;
        },
        &stopped);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(stopped, keys.size() == limit);
    return keys;
  }
  std::vector<std::unique_ptr<Backend>> backends_;
};

TEST_F(Merge, OneOrderWhateverTheChunks) {
  std::vector<std::string> all;
  for (int i = 0; i < 60; ++i) {
    all.push_back(absl::StrCat("/k/", 10 + i));
    // Runs in one database, then turns; one database ends early.
    Write(i < 20 ? 0 : (i < 40 ? 1 + i % 2 : i % 2), i + 1, all.back(),
          absl::StrCat("value of ", all.back()));
  }
  for (const int64_t chunk : {1, 2, 3, 7, 20, 500}) {
    EXPECT_EQ(Keys(Sources(60, chunk)), all) << "chunks of " << chunk;
    EXPECT_EQ(Keys(Sources(60, chunk), 33).size(), 33u);
  }
  std::vector<std::string> half(all.begin(), all.begin() + 30);
  EXPECT_EQ(Keys(Sources(30, 4)), half) << "at one revision in every database";
}

TEST_F(Merge, LargeRowsAreFetchedAFewAtATime) {
  const std::string big(400 << 10, 'x');
  for (int i = 0; i < 12; ++i) Write(i % 2, i + 1, absl::StrCat("/k/", 10 + i), big);
  std::vector<ChunkedRows> sources = Sources(12, 500);
  int rows = 0;
  bool stopped = false;
  auto sink = [&](const Row& row) { return row.value == big && ++rows > 0; };
  ASSERT_TRUE(MergeRows(sources, sink, &stopped).ok());
  EXPECT_EQ(rows, 12);
}

TEST_F(Merge, NothingAnywhere) {
  Write(0, 1, "/k/a", "value of /k/a");
  Write(1, 2, "/k/b", "value of /k/b");
  EXPECT_EQ(Keys(Sources(0 + 1, 5)), std::vector<std::string>{"/k/a"});
  std::vector<ChunkedRows> none;
  EXPECT_TRUE(Keys(std::move(none)).empty());
}

// Never partial: the error of one database is the error of the list.
TEST_F(Merge, AnErrorIsNotAnEnd) {
  for (int i = 0; i < 9; ++i) Write(i % 2, i + 1, absl::StrCat("/k/", i), "v");
  Hooks hooks;
  int lists = 0;
  hooks.Set([&](const std::string& name, const std::string& call) {
    return name == "b1" && call == "list" && ++lists == 2 ? MakeStatus(Code::kUnavailable, "down")
                                                          : absl::OkStatus();
  });
  std::vector<ChunkedRows> sources = Sources(9, 2, &hooks);
  bool stopped = false;
  EXPECT_EQ(CodeOf(MergeRows(
                sources, [](const Row&) { return true; }, &stopped)),
            Code::kUnavailable);
}

}  // namespace
}  // namespace storage
