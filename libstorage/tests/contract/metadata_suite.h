// Contract suite of MetadataStore.
#ifndef LIBSTORAGE_TESTS_CONTRACT_METADATA_SUITE_H_
#define LIBSTORAGE_TESTS_CONTRACT_METADATA_SUITE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "src/backend/metadata.h"
#include "tests/contract/contract_test.h"

namespace storage::contract {

struct MetadataFactory {
  std::string name;
  std::function<absl::StatusOr<std::unique_ptr<MetadataStore>>(const std::string& place)> open;
};

inline void PrintTo(const MetadataFactory& factory, std::ostream* os) { *os << factory.name; }

class MetadataTest : public testing::TestWithParam<MetadataFactory> {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    store_.reset();
    auto store = GetParam().open(dir_.path());
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  const MetaState& found() const { return store_->found(); }

  const TempDir dir_;
  std::unique_ptr<MetadataStore> store_;
};

// What only a store that outlives its process can keep.
class PersistentMetadataTest : public MetadataTest {};

TEST_P(MetadataTest, ANewStore) {
  EXPECT_FALSE(found().existed);
  EXPECT_FALSE(found().m_id.empty());
  EXPECT_EQ(found().epoch, 0);
  EXPECT_EQ(found().reserved, 0);
  EXPECT_FALSE(found().clean);
  EXPECT_EQ(found().topo_version, 0);
  EXPECT_EQ(found().topo, "");
  EXPECT_TRUE(found().backends.empty());
  EXPECT_EQ(*store_->Start(), 1);
  EXPECT_EQ(found().epoch, 0) << "found() is the state before Start";
  EXPECT_OK(store_->Ping());
}

TEST_P(MetadataTest, TheClock) {
  EXPECT_EQ(*store_->RevisionAt(1000), 0);
  ASSERT_OK(store_->MarkTime(100, 5));
  ASSERT_OK(store_->MarkTime(200, 9));
  ASSERT_OK(store_->MarkTime(200, 11));
  EXPECT_EQ(*store_->RevisionAt(99), 0);
  EXPECT_EQ(*store_->RevisionAt(100), 5);
  EXPECT_EQ(*store_->RevisionAt(199), 5);
  EXPECT_EQ(*store_->RevisionAt(200), 11);
  ASSERT_OK(store_->MarkTime(150, 20));  // the clock was set back
  EXPECT_EQ(*store_->RevisionAt(149), 5);
  EXPECT_EQ(*store_->RevisionAt(300), 20);
  ASSERT_OK(store_->ForgetBefore(200));
  EXPECT_EQ(*store_->RevisionAt(199), 0);
  EXPECT_EQ(*store_->RevisionAt(1000), 11);
}

TEST_P(PersistentMetadataTest, AnUncleanEndKeepsWhatWasReserved) {
  const std::string m_id = found().m_id;
  ASSERT_EQ(*store_->Start(), 1);
  ASSERT_OK(store_->Reserve(1000, {{"b", {"id-b", 17}}}));
  ASSERT_OK(store_->Reserve(500, {{"c", {"id-c", 3}}, {"b", {"id-b", 4}}}));
  ASSERT_OK(store_->SetTopology(2, "{\"rules\":[]}"));
  ASSERT_OK(store_->MarkTime(100, 5));
  Open();
  EXPECT_TRUE(found().existed);
  EXPECT_EQ(found().m_id, m_id);
  EXPECT_EQ(found().epoch, 1);
  EXPECT_EQ(found().reserved, 1000) << "never goes down";
  EXPECT_FALSE(found().clean);
  EXPECT_EQ(found().topo_version, 2);
  EXPECT_EQ(found().topo, "{\"rules\":[]}");
  ASSERT_EQ(found().backends.size(), 2u);
  EXPECT_EQ(found().backends.at("b").identity, "id-b");
  EXPECT_EQ(found().backends.at("b").confirmed, 17) << "never goes down";
  EXPECT_EQ(found().backends.at("c").confirmed, 3);
  EXPECT_EQ(*store_->RevisionAt(100), 5);
  EXPECT_EQ(*store_->Start(), 2);
}

TEST_P(PersistentMetadataTest, AnOrderlyEndIsExact) {
  ASSERT_EQ(*store_->Start(), 1);
  ASSERT_OK(store_->Reserve(1000, {}));
  ASSERT_OK(store_->Finish(123, {{"b", {"id-b", 123}}}));
  Open();
  EXPECT_TRUE(found().clean);
  EXPECT_EQ(found().reserved, 123);
  EXPECT_EQ(found().backends.at("b").confirmed, 123);
  ASSERT_EQ(*store_->Start(), 2);
  Open();
  EXPECT_FALSE(found().clean) << "started, not finished";
  EXPECT_EQ(found().reserved, 123);
}

TEST_P(PersistentMetadataTest, AnotherDatabaseUnderTheSameNameStartsOver) {
  ASSERT_EQ(*store_->Start(), 1);
  ASSERT_OK(store_->Reserve(10, {{"b", {"old", 900}}}));
  ASSERT_OK(store_->Reserve(10, {{"b", {"new", 7}}}));
  Open();
  EXPECT_EQ(found().backends.at("b").identity, "new");
  EXPECT_EQ(found().backends.at("b").confirmed, 7);
}

TEST_P(PersistentMetadataTest, AStoreThatNeverStartedIsNew) {
  const std::string m_id = found().m_id;
  Open();
  EXPECT_FALSE(found().existed);
  EXPECT_EQ(found().m_id, m_id);
}

}  // namespace storage::contract

#endif  // LIBSTORAGE_TESTS_CONTRACT_METADATA_SUITE_H_
