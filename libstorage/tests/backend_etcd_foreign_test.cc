// Others in the same etcd: objects of stock Kubernetes from before, writes past
// the server, compactions from outside.
#include "absl/strings/str_cat.h"
#include "src/backend/etcd/keys.h"
#include "tests/contract/etcd_fixture.h"

namespace storage::contract {
namespace {

using testing::HasSubstr;

class EtcdForeign : public EtcdTest {
 protected:
  std::string Stats() { return Print(*backend_->Stats()); }
};

TEST_F(EtcdForeign, ObjectsFromBeforeAreReadAsTheyAreAndTakenOver) {
  StartServer();
  server_->Put("/registry/a", "stock one");
  server_->Put("/registry/a", "stock two");
  server_->Put("/registry/b", "");
  const int64_t before = server_->Revision();
  backend_ = MustOpen();
  // Never adopted: the head is above what is there, so that no number comes twice.
  auto snapshot = *backend_->OpenSnapshot();
  EXPECT_GE(snapshot->lane().head, before);
  EXPECT_EQ(snapshot->lane().m_id, "");
  EXPECT_EQ(List(snapshot.get(), All()),
            (Lines{absl::StrCat("/registry/a=stock two mod ", before - 1, " create ", before - 2),
                   absl::StrCat("/registry/b= mod ", before, " create ", before)}));
  EXPECT_THAT(Stats(), HasSubstr(" :2/"));
  ASSERT_OK(Adopt(backend_.get(), Us(), 1000));
  EXPECT_EQ(LaneText(), "m/1/1 head 1000 ver 1 floor 1000");
  EXPECT_THAT(Stats(), HasSubstr(" :2/9"));
  // A snapshot before the adoption says what it said.
  EXPECT_EQ(List(snapshot.get(), All()).size(), 2u);
  Op update = Update("/registry/a", "ours");
  ASSERT_OK(Write(backend_.get(), {update, Delete("/registry/b")}));
  EXPECT_EQ(Rows(), Lines{absl::StrCat("/registry/a=ours mod 1001 create ", before - 2)});
  EXPECT_EQ(Rows(1000),
            (Lines{absl::StrCat("/registry/a=stock two mod ", before - 1, " create ", before - 2),
                   absl::StrCat("/registry/b= mod ", before, " create ", before)}));
  EXPECT_EQ(Events((*backend_->OpenSnapshot()).get(), All(), 1000)[0],
            absl::StrCat("1001 kind 2 /registry/a=ours was stock two mod ", before - 1, " create ",
                         before - 2, " expire 0"));
  EXPECT_EQ(Stats(), "history 2/9 debt 0 :0/0 /registry/:1/4");
}

// An object of theirs, one of ours, one that is damaged, none, and a name of our own.
TEST_F(EtcdForeign, PointReadsTogether) {
  StartServer();
  server_->Put("/registry/a", "stock");
  const int64_t before = server_->Revision();
  backend_ = MustOpen();
  ASSERT_OK(Adopt(backend_.get(), Us(), 1000));
  ASSERT_OK(Write(backend_.get(), {Create("/registry/b", "ours"), Create("/registry/c", "x")}));
  server_->Put("/registry/c", server_->Value("/registry/c").substr(0, 6));
  const std::string own = etcd::HeadKey();
  const std::vector<std::string_view> keys = {"/registry/a", "/registry/b", "/registry/c",
                                              "/registry/d", own};
  std::vector<std::string> found(keys.size());
  std::vector<absl::Status> outcomes(keys.size(), MakeStatus(Code::kInternal, "not told"));
  backend_->GetMany(
      keys, [&](size_t i, const Row& row) { found[i] = Print(row); }, absl::MakeSpan(outcomes));
  EXPECT_THAT(found, testing::ElementsAre(
                         absl::StrCat("/registry/a=stock mod ", before, " create ", before),
                         "/registry/b=ours mod 1001 create 1001", "", "", ""));
  for (const size_t i : {0, 1, 3, 4}) EXPECT_OK(outcomes[i]);
  EXPECT_CODE(outcomes[2], kCorrupt);
  server_->Kill();
  backend_->GetMany(
      keys, [](size_t, const Row&) { ADD_FAILURE(); }, absl::MakeSpan(outcomes));
  for (const size_t i : {0, 1, 2, 3}) EXPECT_CODE(outcomes[i], kUnavailable);
}

TEST_F(EtcdForeign, KeysWithLeasesAreNotTakenOver) {
  StartServer();
  server_->Post("/v3/lease/grant", R"({"ID":"7","TTL":"600"})");
  server_->Put("/registry/events/e", "an event", 7);
  backend_ = MustOpen();
  const absl::Status status = Adopt(backend_.get(), Us(), 1000);
  EXPECT_CODE(status, kInvalid);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1 keys of this etcd have a lease"));
  server_->Delete("/registry/events/e");
  EXPECT_OK(Adopt(backend_.get(), Us(), 1000));
}

TEST_F(EtcdForeign, AWritePastTheServerIsRefusedNotOverwritten) {
  StartDatabase();
  ASSERT_OK(Write(backend_.get(), {Create("/a/1", "ours"), Create("/a/2", "ours")}));
  server_->Put("/a/1", "stock");
  absl::Status status = Write(backend_.get(), {Update("/a/1", "ours again")});
  EXPECT_CODE(status, kInvalid);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/a/1 was written past this server"));
  auto txn = *backend_->BeginLane();
  const std::vector<std::string_view> keys = {"/a/1"};
  std::vector<Current> current(1);
  EXPECT_CODE(txn->Read(keys, absl::MakeSpan(current)), kInvalid);
  txn.reset();
  EXPECT_EQ(server_->Value("/a/1"), "stock");
  EXPECT_OK(Write(backend_.get(), {Update("/a/2", "goes on")}));
  // Readers see it, with no revision above the head.
  EXPECT_EQ(Rows(), (Lines{"/a/1=stock mod 3 create 3", "/a/2=goes on mod 3 create 2"}));
}

// Between the read and the commit.
TEST_F(EtcdForeign, AWriteDuringTheTransactionIsRefused) {
  StartDatabase();
  ASSERT_OK(Write(backend_.get(), {Create("/a/1", "ours"), Create("/a/2", "ours")}));
  for (const Op& op : {Update("/a/1", "late"), Delete("/a/1"), Create("/a/3", "late")}) {
    auto txn = Prepare(backend_.get(), {op, Update("/a/2", "late")});
    server_->Put(op.key, "stock");
    const absl::Status status = txn->Commit();
    EXPECT_CODE(status, kInvalid);
    EXPECT_THAT(std::string(status.message()), HasSubstr("something else writes to this etcd"));
    txn.reset();
    EXPECT_EQ(server_->Value(op.key), "stock");
    server_->Delete(op.key);
    if (op.key == "/a/1") {
      ASSERT_OK(Write(backend_.get(), {Create("/a/1", "ours")}));
    }
  }
}

TEST_F(EtcdForeign, ACompactionFromOutsideRaisesTheFloor) {
  StartDatabase();
  for (int i = 1; i <= 5; ++i) {
    const std::string n = std::to_string(i);
    if (i == 3) {
      ASSERT_OK(Write(backend_.get(), {Update("/a/1", n), Update("/b/1", n)}));
    } else {
      ASSERT_OK(Write(backend_.get(), {Create("/a/" + n, n), Create("/b/" + n, n)}));
    }
  }
  auto old = *backend_->OpenSnapshot();
  EXPECT_EQ(List(old.get(), All(), 4).size(), 4u);
  const int64_t upto = server_->Revision() - 2;  // batches 1 to 3; the state after 3 is left
  server_->Compact(upto);
  EXPECT_EQ(List(old.get(), All(), 4), Lines{"COMPACTED"});
  EXPECT_EQ(Events(old.get(), All(), 4), Lines{"COMPACTED"});
  EXPECT_EQ(Count(old.get(), All(), 4), "COMPACTED");
  EXPECT_EQ(List(old.get(), All(), 6).size(), 4u);
  EXPECT_EQ(List(old.get(), All(), 7).size(), 5u);
  EXPECT_EQ(Events(old.get(), All(), 6).size(), 4u);
  EXPECT_EQ(List(old.get(), All()).size(), 8u);
  EXPECT_EQ(LaneText(), "m/1/1 head 10 ver 6 floor 6");
  EXPECT_EQ(Events((*backend_->OpenSnapshot()).get(), All(), 5), Lines{"COMPACTED"});
  ASSERT_EQ(logger_.messages().size(), 1u);
  EXPECT_THAT(logger_.messages()[0], HasSubstr("compacted by somebody else: history begins at 6"));
  // Kept with the next transaction; a new process knows it.
  ASSERT_OK(Write(backend_.get(), {Delete("/a/1")}));
  old.reset();
  backend_ = MustOpen();
  EXPECT_EQ(LaneText(), "m/1/1 head 11 ver 7 floor 6");
  // All of it: only the latest state is left.
  server_->Compact(server_->Revision());
  EXPECT_EQ(List((*backend_->OpenSnapshot()).get(), All(), 7), Lines{"COMPACTED"});
  EXPECT_EQ(LaneText(), "m/1/1 head 11 ver 7 floor 11");
  EXPECT_EQ(Rows(11).size(), 7u);
  EXPECT_EQ(*backend_->DeleteHistory(100), 11);
}

TEST_F(EtcdForeign, OurOwnKeysAreInNoRange) {
  StartDatabase();
  Op expiring = Create("/a/1", "v");
  expiring.expire_at_ms = 99;
  ASSERT_OK(Write(backend_.get(), {expiring}));
  int own = 0;
  for (const std::string& key : server_->Keys()) own += key[0] == '\0' ? 1 : 0;
  EXPECT_EQ(own, 5) << "identity, head, log, expiry, kind";
  auto snapshot = *backend_->OpenSnapshot();
  for (const Range& range : {All(), Range{std::string(1, '\0'), ""}, Range{"", "/b"}}) {
    EXPECT_EQ(List(snapshot.get(), range), Lines{"/a/1=v mod 1 create 1 expire 99"});
    EXPECT_EQ(Count(snapshot.get(), range), "1");
    EXPECT_EQ(Events(snapshot.get(), range, 0).size(), 1u);
  }
  EXPECT_EQ(List(snapshot.get(), Range{"", "\1"}), Lines());
  EXPECT_EQ(Get(snapshot.get(), std::string("\0libstorage/lane/head", 21)), Lines());
  EXPECT_CODE(Write(backend_.get(), {Create(std::string("\0libstorage/x", 13), "v")}), kInvalid);
  // The value in etcd: the envelope, then the value as it is.
  EXPECT_THAT(server_->Value("/a/1"), testing::StartsWith(std::string("\0stg\1", 5)));
  EXPECT_THAT(server_->Value("/a/1"), testing::EndsWith("v"));
}

TEST_F(EtcdForeign, DamageIsCorruptNotAbsence) {
  StartDatabase();
  ASSERT_OK(Write(backend_.get(), {Create("/a/1", "v")}));
  server_->Put("/a/1", std::string("\0stg\1short", 10));
  EXPECT_EQ(List((*backend_->OpenSnapshot()).get(), All()), Lines{"CORRUPT"});
  server_->Put(std::string("\0libstorage/lane/head", 21), "nonsense");
  EXPECT_CODE(backend_->OpenSnapshot().status(), kCorrupt);
  EXPECT_CODE(backend_->BeginLane().status(), kCorrupt);
}

}  // namespace
}  // namespace storage::contract
