// Contract suite, part 2: rows, reads at a revision, counts, expiry.
#ifndef LIBSTORAGE_TESTS_CONTRACT_READ_SUITE_H_
#define LIBSTORAGE_TESTS_CONTRACT_READ_SUITE_H_

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/contract/contract_test.h"

namespace storage::contract {

TEST_P(ContractTest, OddValuesAndKeys) {
  Start();
  const std::string zero_key("/a/\0\0b", 6);
  const std::string high_key = "/a/\xff\xff";
  const std::string zeros("\0a\0", 3);
  const std::string big(GetParam().largest_value, 'v');
  Op with_attrs = Create("/a/attrs", "v");
  with_attrs.attrs = std::string("\1\0\xff", 3);
  ASSERT_OK(Write(backend(), {Create(zero_key, zeros), Create(high_key, ""), Create("/a/big", big),
                              with_attrs}));
  std::map<std::string, std::string> found;
  std::string attrs;
  ASSERT_OK(Look()->List(All(), 0, 0, [&](const Row& row) {
    found[std::string(row.key)] = std::string(row.value);
    if (row.key == "/a/attrs") attrs = std::string(row.attrs);
    return true;
  }));
  EXPECT_EQ(found.size(), 4u);
  EXPECT_EQ(found[zero_key], zeros);
  EXPECT_EQ(found.at(high_key), "");
  EXPECT_EQ(found["/a/big"], big);
  EXPECT_EQ(attrs, with_attrs.attrs);
  EXPECT_EQ(StatsText(), "history 4/0 debt 0 /a/:4/" + std::to_string(4 + big.size()));
  // The same through the undo log.
  ASSERT_OK(Write(backend(), {Delete(zero_key), Update(high_key, "x"), Update("/a/big", ""),
                              Update("/a/attrs", "w")}));
  found.clear();
  ASSERT_OK(Look()->List(All(), 4, 0, [&](const Row& row) {
    found[std::string(row.key)] = std::string(row.value);
    if (row.key == "/a/attrs") attrs = "again" + std::string(row.attrs);
    return true;
  }));
  EXPECT_EQ(found.size(), 4u);
  EXPECT_EQ(found[zero_key], zeros);
  EXPECT_EQ(found.at(high_key), "");
  EXPECT_EQ(found["/a/big"], big);
  EXPECT_EQ(attrs, "again" + with_attrs.attrs);
}

TEST_P(ContractTest, KeysAreOrderedByTheirBytes) {
  Start();
  const std::vector<std::string> keys = {std::string("/a/\0", 4),
                                         "/a/.",
                                         "/a/A",
                                         "/a/a",
                                         "/a/a/b",
                                         "/a/a0",
                                         "/a/b",
                                         "/a/\x7f",
                                         "/a/\x80",
                                         "/a/\xff"};
  std::vector<Op> ops;
  for (size_t i = 0; i < keys.size(); ++i) ops.push_back(Create(keys[(i * 7) % 10], ""));
  ASSERT_OK(Write(backend(), ops));
  std::vector<std::string> found;
  ASSERT_OK(Look()->List(All(), 0, 0, [&](const Row& row) {
    found.emplace_back(row.key);
    return true;
  }));
  EXPECT_EQ(found, keys);
}

TEST_P(ContractTest, RangesAndLimits) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/1", ""), Create("/a/2", ""), Create("/a/2/x", ""),
                              Create("/a/3", ""), Create("/b/1", "")}));
  ASSERT_OK(Write(backend(), {Delete("/b/1"), Create("/c/1", "")}));
  auto snapshot = Look();
  for (const int64_t rev : {int64_t{5}, int64_t{0}}) {
    const auto keys = [&](const Range& range, int64_t limit) {
      std::string text;
      EXPECT_OK(snapshot->List(range, rev, limit, [&](const Row& row) {
        text += std::string(row.key) + " ";
        return true;
      }));
      return text;
    };
    EXPECT_EQ(keys(Prefix("/a/2"), 0), "/a/2 /a/2/x ");
    EXPECT_EQ(keys(Range{"/a/2", "/a/3"}, 0), "/a/2 /a/2/x ");
    EXPECT_EQ(keys(Range{"/a/2", "/a/3"}, 1), "/a/2 ");
    EXPECT_EQ(keys(Range{std::string("/a/2\0", 5), ""}, 2), "/a/2/x /a/3 ");
    EXPECT_EQ(keys(Range{"/a/3", "/a/2"}, 0), "");
    EXPECT_EQ(keys(All(), 0),
              rev == 5 ? "/a/1 /a/2 /a/2/x /a/3 /b/1 " : "/a/1 /a/2 /a/2/x /a/3 /c/1 ");
    EXPECT_EQ(keys(All(), 5), keys(All(), 0));
    EXPECT_EQ(keys(Range{"/b/", ""}, 0), rev == 5 ? "/b/1 " : "/c/1 ");
  }
}

// A history with every kind of change; at each revision, every read agrees
// with a model that kept a copy of everything.
class Histories {
 public:
  using State = std::map<std::string, std::string>;  // key -> printed row

  void Take(const std::vector<Op>& ops) {
    for (const Op& op : ops) {
      State next = states.back();
      const int64_t rev = static_cast<int64_t>(states.size());
      if (op.kind == ChangeKind::kCreate) created_[op.key] = rev;
      if (op.kind == ChangeKind::kDelete || op.kind == ChangeKind::kExpire) {
        next.erase(op.key);
      } else {
        next[op.key] =
            Print(Row{op.key, op.value, op.attrs, {rev, created_[op.key], op.expire_at_ms}});
      }
      states.push_back(next);
    }
  }

  std::vector<State> states = {State()};  // by revision

 private:
  std::map<std::string, int64_t> created_;
};

inline std::vector<std::vector<Op>> EveryKindOfChange() {
  Op lease = Create("/b/lease", "held");
  lease.expire_at_ms = 5000;
  Op renewed = Update("/b/lease", "renewed");
  renewed.expire_at_ms = 9000;
  renewed.attrs = "l";
  return {{Create("/a/1", "one"), Create("/a/2", "two")},
          {Update("/a/1", "uno"), lease, Delete("/a/2")},
          {Create("/a/2", "again"), renewed, Create("/a/3", "")},
          {Update("/a/2", ""), Update("/a/3", "x"), Update("/a/1", "1")},
          {Expire("/b/lease"), Delete("/a/1"), Delete("/a/3")},
          {Create("/b/lease", "new"), Create("/a/1", "last"), Create("/c/9", "c")},
          {Delete("/a/1")},
          {Create("/a/1", "third life")}};
}

inline void CheckEveryRevision(Snapshot* snapshot, const std::vector<Histories::State>& states) {
  const std::vector<Range> ranges = {
      All(),        Prefix("/a/"), Range{"/a/2", ""}, Range{"", "/a/2"}, Prefix("/b/lease"),
      Prefix("/x/")};
  const int64_t head = static_cast<int64_t>(states.size()) - 1;
  for (int64_t rev = snapshot->lane().floor; rev <= head; ++rev) {
    SCOPED_TRACE("revision " + std::to_string(rev));
    if (rev == 0) continue;
    const auto& state = states[static_cast<size_t>(rev)];
    for (const Range& range : ranges) {
      Lines expected;
      for (const auto& [key, text] : state) {
        if (key >= range.start && (range.end.empty() || key < range.end)) expected.push_back(text);
      }
      EXPECT_EQ(List(snapshot, range, rev), expected);
      EXPECT_EQ(Count(snapshot, range, rev), std::to_string(expected.size()));
      if (expected.size() > 2) expected.resize(2);
      EXPECT_EQ(List(snapshot, range, rev, 2), expected);
    }
    for (const std::string key : {"/a/1", "/a/2", "/a/3", "/b/lease", "/c/9", "/a/none"}) {
      const auto it = state.find(key);
      EXPECT_EQ(Get(snapshot, key, rev), it == state.end() ? Lines() : Lines{it->second});
    }
  }
}

TEST_P(ContractTest, ReadsAtEachRevision) {
  Start();
  Histories model;
  for (const std::vector<Op>& ops : EveryKindOfChange()) {
    ASSERT_OK(Write(backend(), ops));
    model.Take(ops);
    CheckEveryRevision(Look().get(), model.states);
  }
  auto snapshot = Look();
  EXPECT_EQ(List(snapshot.get(), All(), 0), List(snapshot.get(), All(), snapshot->lane().head));
  EXPECT_THAT(List(snapshot.get(), All(), snapshot->lane().head + 1), ElementsAre("INVALID"));
  EXPECT_THAT(Get(snapshot.get(), "/a/1", snapshot->lane().head + 1), ElementsAre("INVALID"));
  EXPECT_EQ(Count(snapshot.get(), All(), snapshot->lane().head + 1), "INVALID");
}

TEST_P(ContractTest, CompactionKeepsWhatIsAboveTheFloor) {
  Start();
  Histories model;
  for (const std::vector<Op>& ops : EveryKindOfChange()) {
    ASSERT_OK(Write(backend(), ops));
    model.Take(ops);
  }
  const int64_t head = Look()->lane().head;
  for (int64_t floor = 1; floor <= head; ++floor) {
    ASSERT_OK(RaiseFloor(backend(), floor));
    CheckEveryRevision(Look().get(), model.states);  // raised, nothing deleted yet
    EXPECT_EQ(*backend()->DeleteHistory(1), 1);
    EXPECT_EQ(*backend()->DeleteHistory(1), 0);
    CheckEveryRevision(Look().get(), model.states);
    auto snapshot = Look();
    EXPECT_THAT(List(snapshot.get(), All(), floor - 1),
                floor == 1 ? List(snapshot.get(), All()) : Lines{"COMPACTED"});
    EXPECT_EQ(Events(snapshot.get(), All(), floor).size(), static_cast<size_t>(head - floor));
    EXPECT_THAT(Events(snapshot.get(), All(), floor - 1), ElementsAre("COMPACTED"));
    EXPECT_THAT(Get(snapshot.get(), "/a/1", floor == 1 ? -1 : floor - 1), ElementsAre("COMPACTED"));
  }
}

TEST_P(ContractTest, FloorIsAtMostTheHeadAndNeverFalls) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/1", ""), Create("/a/2", "")}));
  ASSERT_OK(RaiseFloor(backend(), 1));
  EXPECT_EQ(LaneText(), "m/1/1 head 2 ver 3 floor 1");
  ASSERT_OK(RaiseFloor(backend(), 0));
  EXPECT_EQ(LaneText(), "m/1/1 head 2 ver 4 floor 1");
  ASSERT_OK(RaiseFloor(backend(), 1000));
  EXPECT_EQ(LaneText(), "m/1/1 head 2 ver 5 floor 2");
}

TEST_P(ContractTest, HistoryGoesInSmallSteps) {
  Start();
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK(
        Write(backend(), {i == 0 ? Create("/a/1", "0123456789") : Update("/a/1", "0123456789")}));
  }
  EXPECT_EQ(StatsText(), "history 10/90 debt 0 /a/:1/10");
  ASSERT_OK(RaiseFloor(backend(), 7));
  EXPECT_EQ(StatsText(), "history 10/90 debt 7 /a/:1/10");
  EXPECT_EQ(*backend()->DeleteHistory(0), 0);
  EXPECT_EQ(*backend()->DeleteHistory(3), 3);
  EXPECT_EQ(StatsText(), "history 7/70 debt 4 /a/:1/10");
  if (GetParam().persistent) Open();
  EXPECT_EQ(*backend()->DeleteHistory(3), 3);
  EXPECT_EQ(*backend()->DeleteHistory(3), 1);
  EXPECT_EQ(*backend()->DeleteHistory(3), 0);
  EXPECT_EQ(StatsText(), "history 3/30 debt 0 /a/:1/10");
  EXPECT_EQ(Events(Look().get(), All(), 7).size(), 3u);
  ASSERT_OK(RaiseFloor(backend(), 10));
  EXPECT_EQ(*backend()->DeleteHistory(100), 3);
  EXPECT_EQ(StatsText(), "history 0/0 debt 0 /a/:1/10");
  ASSERT_OK(Write(backend(), {Delete("/a/1")}));
  EXPECT_EQ(StatsText(), "history 1/10 debt 0 /a/:0/0");
}

TEST_P(ContractTest, CountsPerKindAreExact) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/1", "22"), Create("/a/2", "333"), Create("/b/1", "")}));
  EXPECT_EQ(StatsText(), "history 3/0 debt 0 /a/:2/5 /b/:1/0");
  ASSERT_OK(Write(backend(), {Update("/a/1", "4444"), Delete("/a/2"), Update("/b/1", "1")}));
  EXPECT_EQ(StatsText(), "history 6/5 debt 0 /a/:1/4 /b/:1/1");
  EXPECT_EQ(Count(Look().get(), Prefix("/a/")), "1");
  EXPECT_EQ(Count(Look().get(), Prefix("/b/")), "1");
  EXPECT_EQ(Count(Look().get(), Prefix("/c/")), "0");
  EXPECT_EQ(Count(Look().get(), All()), "2");
  ASSERT_OK(Write(backend(), {Delete("/a/1"), Expire("/b/1")}));
  EXPECT_EQ(StatsText(), "history 8/10 debt 0 /a/:0/0 /b/:0/0");
  EXPECT_EQ(Count(Look().get(), All()), "0");
}

// Collections may lie inside each other; a count of a range never takes the
// number of a collection that only overlaps it.
TEST_P(ContractTest, CountsOfNestedCollections) {
  Start();
  std::vector<Op> ops;
  for (const char* key : {"/r/1", "/r/s/1", "/r/s/2", "/r/s/t/1", "/r/sz", "/r/u"}) {
    ops.push_back(Create(key, "v"));
  }
  const std::vector<std::string> collections = {"/r/", "/r/s/", "/r/s/", "/r/s/t/", "/r/", "/r/"};
  auto txn = Begin();
  ASSERT_OK(txn->Apply(Mutations(ops, collections, 1), 0));
  ASSERT_OK(txn->Guard(Us(), 1, 6));
  ASSERT_OK(txn->Commit());
  txn.reset();
  auto snapshot = Look();
  EXPECT_EQ(StatsText(), "history 6/0 debt 0 /r/:3/3 /r/s/:2/2 /r/s/t/:1/1");
  EXPECT_EQ(Count(snapshot.get(), Prefix("/r/")), "6");
  EXPECT_EQ(Count(snapshot.get(), Prefix("/r/s/")), "3");
  EXPECT_EQ(Count(snapshot.get(), Prefix("/r/s")), "4");
  EXPECT_EQ(Count(snapshot.get(), Prefix("/r/s/t/")), "1");
  EXPECT_EQ(Count(snapshot.get(), Range{"/r/s/", "/r/u"}), "4");
  EXPECT_EQ(Count(snapshot.get(), Range{"/r/s/2", ""}), "4");
}

TEST_P(ContractTest, ExpiryOldestFirst) {
  Start();
  std::vector<Op> ops = {Create("/a/late", "x"), Create("/a/never", "x"), Create("/a/tie2", "x"),
                         Create("/a/tie1", "x"), Create("/a/soon", "x")};
  ops[0].expire_at_ms = 300;
  ops[2].expire_at_ms = 200;
  ops[3].expire_at_ms = 200;
  ops[4].expire_at_ms = 100;
  ASSERT_OK(Write(backend(), ops));
  auto snapshot = Look();
  EXPECT_EQ(*snapshot->NextExpiryMs(), 100);
  EXPECT_THAT(Expired(snapshot.get(), 99), IsEmpty());
  EXPECT_THAT(Expired(snapshot.get(), 200), ElementsAre("/a/soon= mod 5 create 5 expire 100",
                                                        "/a/tie2= mod 3 create 3 expire 200",
                                                        "/a/tie1= mod 4 create 4 expire 200"));
  EXPECT_EQ(Expired(snapshot.get(), 1000, 2).size(), 2u);
  EXPECT_EQ(Expired(snapshot.get(), 1000).size(), 4u);
  Op renewed = Update("/a/soon", "x");
  renewed.expire_at_ms = 400;
  ASSERT_OK(Write(backend(), {renewed, Update("/a/late", "x"), Expire("/a/tie1")}));
  snapshot = Look();
  EXPECT_EQ(*snapshot->NextExpiryMs(), 200);
  EXPECT_THAT(Expired(snapshot.get(), 1000), ElementsAre("/a/tie2= mod 3 create 3 expire 200",
                                                         "/a/soon= mod 6 create 5 expire 400"));
}

TEST_P(ContractTest, PointReads) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/1", "one")}));
  std::string found;
  const RowSink sink = [&](const Row& row) {
    found = Print(row);
    return true;
  };
  EXPECT_OK(backend()->Get("/a/none", sink));
  EXPECT_EQ(found, "");
  EXPECT_OK(backend()->Get("/a/1", sink));
  EXPECT_EQ(found, "/a/1=one mod 1 create 1");
}

TEST_P(ContractTest, PointReadsTogether) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/1", "one"), Create("/a/2", ""), Create("/b/3", "three")}));
  ASSERT_OK(Write(backend(), {Update("/b/3", "drei"), Delete("/a/2")}));
  const std::vector<std::string_view> keys = {"/b/3", "/a/none", "/a/1", "/a/2", "/b/3"};
  for (size_t n = 1; n <= keys.size(); ++n) {
    std::vector<std::string> found(n);
    std::vector<absl::Status> outcomes(n, MakeStatus(Code::kInternal, "not told"));
    backend()->GetMany(
        absl::MakeSpan(keys).first(n), [&](size_t i, const Row& row) { found[i] += Print(row); },
        absl::MakeSpan(outcomes));
    const std::vector<std::string> all = {"/b/3=drei mod 4 create 3", "", "/a/1=one mod 1 create 1",
                                          "", "/b/3=drei mod 4 create 3"};
    EXPECT_THAT(found, testing::ElementsAreArray(all.begin(), all.begin() + static_cast<long>(n)));
    for (const absl::Status& outcome : outcomes) EXPECT_OK(outcome);
  }
}

TEST_P(ContractTest, ASnapshotIsOneMoment) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/1", "one"), Create("/a/2", "two")}));
  auto before = Look();
  const Lines rows = List(before.get(), All());
  ASSERT_OK(Write(backend(), {Update("/a/1", "uno"), Delete("/a/2"), Create("/a/3", "three")}));
  ASSERT_OK(RaiseFloor(backend(), 5));
  EXPECT_EQ(*backend()->DeleteHistory(100), 5);
  EXPECT_EQ(Print(before->lane()), "m/1/1 head 2 ver 2 floor 0");
  EXPECT_EQ(List(before.get(), All()), rows);
  EXPECT_EQ(Events(before.get(), All(), 0).size(), 2u);
  EXPECT_EQ(Count(before.get(), Prefix("/a/")), "2");
  EXPECT_THAT(List(Look().get(), All()),
              ElementsAre("/a/1=uno mod 3 create 1", "/a/3=three mod 5 create 5"));
}

TEST_P(ContractTest, SinksMayStopAndMayRead) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/1", "one"), Create("/a/2", "two"), Create("/a/3", "x")}));
  ASSERT_OK(Write(backend(), {Update("/a/1", "uno"), Delete("/a/2")}));
  auto snapshot = Look();
  for (const int64_t rev : {int64_t{3}, int64_t{0}}) {
    int rows = 0;
    EXPECT_OK(snapshot->List(All(), rev, 0, [&](const Row&) { return ++rows < 2; }));
    EXPECT_EQ(rows, 2);
    // The same snapshot, the same statement, another snapshot, a point read.
    Lines inner;
    EXPECT_OK(snapshot->List(All(), rev, 1, [&](const Row& row) {
      const std::string outer = Print(row);
      inner = List(snapshot.get(), All(), rev);
      EXPECT_EQ(List(Look().get(), All(), rev), inner);
      EXPECT_OK(backend()->Get("/a/3", [](const Row&) { return true; }));
      EXPECT_EQ(Print(row), outer);
      return true;
    }));
    EXPECT_EQ(inner, List(snapshot.get(), All(), rev));
  }
  int events = 0;
  EXPECT_OK(snapshot->Events(All(), 0, 99, 0, [&](const EventRow&) {
    EXPECT_EQ(Events(snapshot.get(), All(), 0).size(), 5u);
    return ++events < 3;
  }));
  EXPECT_EQ(events, 3);
}

// Both keys of a batch carry the same value: no read ever sees them differ.
TEST_P(ContractTest, ReadersBesideTheWriter) {
  Start();
  ASSERT_OK(Write(backend(), {Create("/a/1", "0"), Create("/b/1", "0")}));
  std::atomic<bool> stop{false};
  std::atomic<int64_t> acknowledged{2};
  const auto read = [&] {
    while (!stop) {
      const int64_t known = acknowledged;
      auto snapshot = Look();
      EXPECT_GE(snapshot->lane().head, known);
      for (const int64_t rev : {int64_t{0}, std::max(snapshot->lane().floor, known)}) {
        std::vector<std::string> values;
        EXPECT_OK(snapshot->List(All(), rev, 0, [&](const Row& row) {
          values.emplace_back(row.value);
          return true;
        }));
        EXPECT_EQ(values.size(), 2u);
        if (values.size() == 2) {
          EXPECT_EQ(values[0], values[1]) << "at " << rev;
        }
      }
      int64_t mod = 0;
      EXPECT_OK(backend()->Get("/b/1", [&](const Row& row) {
        mod = row.meta.mod_rev;
        return true;
      }));
      EXPECT_GE(mod, known);
      EXPECT_EQ(Events(snapshot.get(), All(), snapshot->lane().floor).size(),
                static_cast<size_t>(snapshot->lane().head - snapshot->lane().floor));
    }
  };
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) readers.emplace_back(read);
  for (int i = 1; i <= 150; ++i) {
    const std::string value = std::to_string(i);
    ASSERT_OK(Write(backend(), {Update("/a/1", value), Update("/b/1", value)}));
    acknowledged += 2;
    if (i % 20 == 0) {
      ASSERT_OK(RaiseFloor(backend(), acknowledged - 10));
      EXPECT_TRUE(backend()->DeleteHistory(1000).ok());
      EXPECT_TRUE(backend()->Maintain(true).ok());
      EXPECT_TRUE(backend()->Stats().ok());
    }
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace storage::contract

#endif  // LIBSTORAGE_TESTS_CONTRACT_READ_SUITE_H_
