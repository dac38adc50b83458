// Copies made ahead of a migration, beside a server that writes: over every pair of kinds
// of databases, and with the metadata store in each of them.
#include <atomic>
#include <thread>

#include "tests/engine/migrate_servers.h"

namespace storage {
namespace {

class AheadServers : public MigrateServers {
 protected:
  static MigrateOptions Ahead(MigrateOptions options) {
    options.ahead = true;
    return options;
  }
  // Until it ends: objects come, change and go.
  class Writer {
   public:
    Writer(Engine& engine, ResourceId pods)
        : thread_([this, &engine, pods] {
            for (int i = 0; !stop_; ++i, ++rounds_) {
              for (const char* kind : {"a", "d"}) {
                const std::string pod = absl::StrCat("/registry/pods/", kind);
                Put(engine, pods, absl::StrCat(pod, "new", i), "new");
                Put(engine, pods, absl::StrCat(pod, i % kPodsOfEach), absl::StrCat("round ", i));
                Delete(engine, pods, absl::StrCat(pod, "new", i - 3));
              }
            }
          }) {}
    ~Writer() {
      stop_ = true;
      thread_.join();
    }
    void WaitForMore() const {
      for (const int until = rounds_ + 2; rounds_ < until;) std::this_thread::yield();
    }

   private:
    std::atomic<bool> stop_ = false;
    std::atomic<int> rounds_ = 0;
    std::thread thread_;
  };
  // Runs ahead beside a server that writes, until all kinds of changes were met.
  void RunBesideAServer(const std::string& rules, MigrateOptions options) {
    auto engine = Engine::Open(Options(rules));
    ASSERT_TRUE(engine.ok()) << engine.status();
    const ResourceId pods = Register(**engine, "pods");
    {
      Writer writer(**engine, pods);
      MirrorCounts all;
      options.follow = true;
      int pages = 0;
      options.progress = [&](const char*, int64_t, int64_t) {
        if (++pages % 4 == 0) writer.WaitForMore();
      };
      options.pass_done = [&](const AheadPass& pass) {
        all.copied += pass.counts.copied;
        all.replaced += pass.counts.replaced;
        all.discarded += pass.counts.discarded;
        writer.WaitForMore();
      };
      options.stop = [&] { return all.copied > 0 && all.replaced > 0 && all.discarded > 0; };
      const absl::Status status = Migrate(Ahead(std::move(options)));
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_GT(all.copied, kPodsOfEach);
      writer.WaitForMore();
    }
    // The server did not notice.
    EXPECT_EQ(Put(**engine, pods, "/registry/pods/a0", "last").code, Code::kOk);
    EXPECT_TRUE((*engine)->Close().ok());
  }
  void ExpectAllServed(const std::string& rules, size_t objects) {
    auto engine = Engine::Open(Options(rules));
    ASSERT_TRUE(engine.ok()) << engine.status();
    ReadHeader header;
    EXPECT_EQ(ListAll(**engine, Register(**engine, "pods"), kPods, {}, &header).size(), objects);
    EXPECT_TRUE((*engine)->Close().ok());
  }
};

class AheadPairs : public AheadServers,
                   public testing::WithParamInterface<std::tuple<const char*, const char*>> {};

TEST_P(AheadPairs, UnderLoadEverythingIsExact) {
  const auto [from_kind, to_kind] = GetParam();
  default_ = absl::StrCat("sqlite://", dir_, "/default.db");
  const std::string from = NewEndpoint(from_kind);
  const std::string to = NewEndpoint(to_kind);
  const std::string old_rules = Rule(from);
  const std::string new_rules = Rule(to);
  Fill(old_rules);
  RunBesideAServer(old_rules, Moving(old_rules, new_rules));
  // With rules that hide nothing: what stands in the way are the copies.
  const std::string nodes =
      absl::StrCat(old_rules, "- endpoint: \"", to, "\"\n  prefix: {name: n, prefix: nodes}\n");
  EXPECT_THAT(Message(Engine::Open(Options(nodes)).status()),
              HasSubstr("holds copies that `stgctl migrate --ahead` made"));
  const Lines before = ContentsOf(from);
  const size_t rest = ContentsOf(default_).size();
  int calls = 0;
  MigrateOptions options = Moving(old_rules, new_rules);
  options.step_for_test = [&]() -> absl::Status {
    return ++calls == 22 ? MakeStatus(Code::kUnavailable, "injected") : absl::OkStatus();
  };
  absl::Status status = Migrate(options);
  ASSERT_EQ(CodeOf(status), Code::kUnavailable) << status;
  EXPECT_THAT(Message(Engine::Open(Options(old_rules)).status()), HasSubstr("is not over"));
  status = Migrate(Moving(old_rules, new_rules));
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(ContentsOf(to), before);
  EXPECT_EQ(ContentsOf(from), Lines());
  EXPECT_EQ(ObjectsOf(to), static_cast<int64_t>(before.size()));
  EXPECT_EQ(ObjectsOf(from), 0);
  ExpectAllServed(new_rules, before.size() + rest);
}

INSTANTIATE_TEST_SUITE_P(All, AheadPairs, testing::ValuesIn(MovePairs(2)), [](const auto& p) {
  return absl::StrCat(std::get<0>(p.param), "_to_", std::get<1>(p.param));
});

class AheadMetadata : public AheadServers, public testing::WithParamInterface<const char*> {};

// It is looked at beside the server that has it.
TEST_P(AheadMetadata, BesideItsServer) {
  default_ = NewEndpoint(GetParam());
  const std::string rules = Rule(NewEndpoint("sqlite"));
  Fill("");
  RunBesideAServer("", Moving("", rules));
  const Lines before = ContentsOf(default_);
  absl::Status status = Migrate(Moving("", rules));
  ASSERT_TRUE(status.ok()) << status;
  ExpectAllServed(rules, before.size());
}

// Where there is none, none is made.
TEST_P(AheadMetadata, NoneIsMade) {
  default_ = NewEndpoint(GetParam());
  const absl::Status status = Migrate(Ahead(Moving("", Rule(NewEndpoint("sqlite")))));
  EXPECT_EQ(CodeOf(status), Code::kInvalid) << status;
  EXPECT_THAT(Message(status),
              testing::AnyOf(HasSubstr("remembers no topology"), HasSubstr("is not there")));
  const auto state = PeekMetadata(DefaultMetadataEndpoint(*ParseEndpoint(default_)), {});
  EXPECT_EQ(state.ok(), std::string(GetParam()) != "sqlite") << state.status();
  if (state.ok()) {
    EXPECT_EQ(state->m_id, "");
  }
}

INSTANTIATE_TEST_SUITE_P(All, AheadMetadata, testing::Values("sqlite", "postgres", "mysql", "etcd"),
                         [](const auto& p) { return std::string(p.param); });

class AheadFence : public AheadServers, public testing::WithParamInterface<const char*> {};

// Of two runs ahead the later one goes on; a migration ends both. What the earlier one read
// is older than what it would replace by it.
TEST_P(AheadFence, WhoComesLaterTakesOver) {
  default_ = absl::StrCat("sqlite://", dir_, "/default.db");
  const std::string rules = Rule(NewEndpoint(GetParam()));
  Fill("");
  for (const bool migrates : {false, true}) {
    MigrateOptions options = Ahead(Moving("", rules));
    int pages = 0;
    options.progress = [&](const char*, int64_t, int64_t) {
      if (++pages != 2) return;  // the first one of the server's database was read
      {
        auto engine = Engine::Open(Options(""));
        ASSERT_TRUE(engine.ok()) << engine.status();
        Put(**engine, Register(**engine, "pods"), "/registry/pods/a1", "newest");
        ASSERT_TRUE((*engine)->Close().ok());
      }
      MigrateOptions later = Moving("", rules);
      later.ahead = !migrates;
      const absl::Status status = Migrate(later);
      EXPECT_TRUE(status.ok()) << status;
    };
    const absl::Status status = Migrate(options);
    EXPECT_EQ(CodeOf(status), Code::kBusy) << status;
    EXPECT_THAT(Message(status), HasSubstr("another run of `stgctl migrate` has taken over"));
  }
  auto engine = Engine::Open(Options(rules));
  ASSERT_TRUE(engine.ok()) << engine.status();
  ReadHeader header;
  const Pairs all = ListAll(**engine, Register(**engine, "pods"), kPods, {}, &header);
  EXPECT_EQ(all.size(), 2u * kPodsOfEach);
  EXPECT_THAT(
      all, testing::Contains(std::pair<std::string, std::string>("/registry/pods/a1", "newest")));
}

// What was surveyed as empty is not taken over with copies in it.
TEST_P(AheadFence, ARunThatBeginsWhileTheMigrationDoesIsNoticed) {
  default_ = absl::StrCat("sqlite://", dir_, "/default.db");
  const std::string to = NewEndpoint(GetParam());
  const std::string rules = Rule(to);
  Fill("");
  MigrateOptions options = Moving("", rules);
  int calls = 0;
  options.step_for_test = [&]() -> absl::Status {
    if (++calls > 1) return absl::OkStatus();
    const absl::Status status = Migrate(Ahead(Moving("", rules)));
    EXPECT_TRUE(status.ok()) << status;
    return absl::OkStatus();
  };
  absl::Status status = Migrate(options);
  EXPECT_EQ(CodeOf(status), Code::kUnavailable) << status;
  EXPECT_THAT(Message(status), HasSubstr("copies were made ahead while the migration began"));
  // Nor does one begin in a database that the migration has taken, and not announced yet.
  const std::string other = NewEndpoint(GetParam());
  options = Moving("", Rule(other));
  calls = 0;
  options.step_for_test = [&]() -> absl::Status {
    if (++calls != 5) return absl::OkStatus();
    const absl::Status late = Migrate(Ahead(Moving("", Rule(other))));
    EXPECT_EQ(CodeOf(late), Code::kInvalid) << late;
    EXPECT_THAT(Message(late), HasSubstr("begins to use it at this moment"));
    return absl::OkStatus();
  };
  status = Migrate(options);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(ContentsOf(other).size(), static_cast<size_t>(kPodsOfEach));
  ExpectAllServed(Rule(other), 2 * kPodsOfEach);
}

INSTANTIATE_TEST_SUITE_P(All, AheadFence, testing::Values("postgres", "mysql", "etcd"),
                         [](const auto& p) { return std::string(p.param); });

}  // namespace
}  // namespace storage
