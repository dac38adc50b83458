// Migrations between SQLite files: the fixture of their tests.
#ifndef LIBSTORAGE_TESTS_ENGINE_MIGRATE_H_
#define LIBSTORAGE_TESTS_ENGINE_MIGRATE_H_

#include <map>
#include <set>
#include <string>
#include <utility>

#include "src/backend/sqlite/sqlite.h"
#include "src/engine/migrate.h"
#include "tests/contract/fault_stride.h"
#include "tests/engine/restart.h"

namespace storage {

struct Stored {
  std::string value, attrs;
  int64_t mod_rev = 0, create_rev = 0, expire_at_ms = 0;
  bool operator==(const Stored&) const = default;
};
using Contents = std::map<std::string, Stored>;

inline void PrintTo(const Stored& stored, std::ostream* os) {
  *os << stored.value << " mod " << stored.mod_rev << " create " << stored.create_rev;
}

class MigrateTest : public Restart {
 protected:
  void SetUp() override {
    Restart::SetUp();
    old_ = topology_;
    new_ = absl::StrCat("backends:\n- endpoint: sqlite://", dir_,
                        "/b.db\n  prefix: {name: b, prefix: pods/d*}\n- endpoint: sqlite://", dir_,
                        "/s.db\n  prefix: {name: s, prefix: secrets}\n");
  }

  // Pods in "a" and in the default database, secrets in the default one, some with
  // attributes, an expiry, a history of several lives.
  void FillAll(int pods_of_each = 5) {
    auto engine = std::move(Open()).value();
    const ResourceId pods = Register(*engine, "pods");
    const ResourceId secrets = Register(*engine, "secrets");
    for (int i = 0; i < pods_of_each; ++i) {
      for (const char* kind : {"a", "d", "e"}) {
        const std::string key = absl::StrCat("/registry/pods/", kind, i);
        Put(*engine, pods, key, "first");
        if (i % 2 == 0) Delete(*engine, pods, key);
        Put(*engine, pods, key, absl::StrCat("value of ", key));
      }
      auto op = MakePut(secrets, absl::StrCat("/registry/secrets/s", i), "k8s:enc:x", 0);
      op->attrs = "attrs";
      op->ttl_ms = 3600 * 1000;
      EXPECT_EQ(RunWrite(*engine, op).code, Code::kOk);
    }
    last_rev_ = engine->CurrentRevision(pods).value();
    ASSERT_TRUE(engine->Close().ok());
  }

  MigrateOptions Options() const {
    MigrateOptions options;
    options.engine.topology_text = new_;
    options.engine.default_endpoint = absl::StrCat("sqlite://", dir_, "/default.db");
    return options;
  }
  static absl::Status Migrate(MigrateOptions options) {
    auto migration = Migration::Open(std::move(options));
    return migration.ok() ? (*migration)->Run() : migration.status();
  }

  // The databases; not the ballast, which is large.
  static void CopyFiles(const std::string& from, const std::string& to) {
    fs::remove_all(to);
    fs::create_directory(to);
    for (const auto& entry : fs::directory_iterator(from)) {
      const std::string name = entry.path().filename().string();
      if (name.find(".db") != std::string::npos && !name.ends_with(".lock")) {
        fs::copy_file(entry.path(), fs::path(to) / name);
      }
    }
  }

  Contents ContentsOf(const std::string& name) const {
    Contents out;
    if (!fs::exists(File(name))) return out;
    SqliteOptions options;
    options.name = name;
    options.path = File(name);
    options.read_only = true;
    auto backend = OpenSqliteBackend(options);
    EXPECT_TRUE(backend.ok()) << backend.status();
    auto snapshot = (*backend)->OpenSnapshot();
    EXPECT_TRUE((*snapshot)
                    ->List(Range(), 0, 0,
                           [&](const Row& row) {
                             out[std::string(row.key)] = {
                                 std::string(row.value), std::string(row.attrs), row.meta.mod_rev,
                                 row.meta.create_rev, row.meta.expire_at_ms};
                             return true;
                           })
                    .ok());
    return out;
  }
  Contents All() const {
    Contents all;
    for (const char* name : {"a.db", "b.db", "s.db", "default.db"}) {
      for (const auto& [key, stored] : ContentsOf(name)) {
        EXPECT_TRUE(all.emplace(key, stored).second) << key << " is there twice";
      }
    }
    return all;
  }
  static std::set<std::string> KindsOf(const Contents& contents) {
    std::set<std::string> kinds;
    for (const auto& [key, stored] : contents) kinds.insert(key.substr(0, key.size() - 1));
    return kinds;
  }
  void ExpectMigrated(const Contents& before) {
    EXPECT_EQ(All(), before);
    EXPECT_THAT(ContentsOf("a.db"), ::testing::IsEmpty());
    EXPECT_EQ(KindsOf(ContentsOf("b.db")), (std::set<std::string>{"/registry/pods/d"}));
    EXPECT_EQ(KindsOf(ContentsOf("s.db")), (std::set<std::string>{"/registry/secrets/s"}));
    EXPECT_EQ(KindsOf(ContentsOf("default.db")),
              (std::set<std::string>{"/registry/pods/a", "/registry/pods/e"}));
    topology_ = new_;
    auto engine = Open();
    ASSERT_TRUE(engine.ok()) << engine.status();
    const ResourceId pods = Register(**engine, "pods");
    ReadHeader header;
    EXPECT_EQ(ListAll(**engine, pods, kPods, {}, &header).size(), 15u);
    EXPECT_GE(header.revision, last_rev_);
    // The newest number that a client can have is of before.
    EXPECT_EQ(CodeOf(Watcher(**engine, pods, kPods, last_rev_).status), Code::kCompacted);
    // History goes on, also of what moved.
    Watcher watcher(**engine, pods, kPods, header.revision);
    ASSERT_TRUE(watcher.status.ok()) << watcher.status;
    const WriteResult put =
        Put(**engine, pods, "/registry/pods/d1", "w", before.at("/registry/pods/d1").mod_rev);
    EXPECT_EQ(put.code, Code::kOk) << put.error;
    EXPECT_GT(put.revision, header.revision);
    const auto events = watcher.Events(1);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0]->rev, put.revision);
    ReadOptions old;
    old.revision = header.revision;
    old.exact = true;
    EXPECT_EQ(ListAll(**engine, pods, kPods, old, &header).size(), 15u);
    EXPECT_TRUE((*engine)->Close().ok());
  }

  std::string old_, new_;
  int64_t last_rev_ = 0;
};

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_ENGINE_MIGRATE_H_
