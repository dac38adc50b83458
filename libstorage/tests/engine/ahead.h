// Runs ahead of migrations between SQLite files: the fixture of their tests. Pods whose
// names begin with d, and secrets, go to files that are new; what lies in a.db goes to the
// default database, which is served from and must wait.
#ifndef LIBSTORAGE_TESTS_ENGINE_AHEAD_H_
#define LIBSTORAGE_TESTS_ENGINE_AHEAD_H_

#include <sqlite3.h>

#include <string>
#include <utility>

#include "src/engine/backends.h"
#include "tests/engine/migrate.h"

namespace storage {

class AheadTest : public MigrateTest {
 protected:
  MigrateOptions AheadOptions() const {
    MigrateOptions options = Options();
    options.ahead = true;
    return options;
  }
  static absl::Status Abort(MigrateOptions options) {
    auto migration = Migration::Open(std::move(options));
    return migration.ok() ? (*migration)->Abort() : migration.status();
  }
  // What API servers serve with the topology of before.
  Contents Served() const {
    Contents all = ContentsOf("a.db");
    all.merge(ContentsOf("default.db"));
    return all;
  }
  // Some come, some change, some go, one gets another life.
  static void Write(Engine& engine, int round) {
    const ResourceId pods = Register(engine, "pods");
    const ResourceId secrets = Register(engine, "secrets");
    for (const char* kind : {"a", "d", "e"}) {
      const std::string pod = absl::StrCat("/registry/pods/", kind);
      Put(engine, pods, absl::StrCat(pod, "0"), absl::StrCat("round ", round));
      Put(engine, pods, absl::StrCat(pod, "new", round), "new");
      Delete(engine, pods, absl::StrCat(pod, 1 + round % 4));
      Put(engine, pods, absl::StrCat(pod, 1 + (round + 1) % 4), "another life");
    }
    Put(engine, secrets, absl::StrCat("/registry/secrets/s", round % 5), "k8s:enc:y");
    Delete(engine, secrets, absl::StrCat("/registry/secrets/s", (round + 2) % 5));
  }
  // As an API server would, with the rules of before.
  void WriteAsServer(int round) {
    topology_ = old_;
    auto engine = Open();
    ASSERT_TRUE(engine.ok()) << engine.status();
    Write(**engine, round);
    ASSERT_TRUE((*engine)->Close().ok());
  }
  void ExpectMoved(const Contents& before) {
    EXPECT_EQ(All(), before);
    EXPECT_THAT(ContentsOf("a.db"), ::testing::IsEmpty());
    Contents b, s;
    for (const auto& [key, stored] : before) {
      if (key.starts_with("/registry/pods/d")) b[key] = stored;
      if (key.starts_with("/registry/secrets/")) s[key] = stored;
    }
    EXPECT_EQ(ContentsOf("b.db"), b);
    EXPECT_EQ(ContentsOf("s.db"), s);
    topology_ = new_;
    auto engine = Open();
    ASSERT_TRUE(engine.ok()) << engine.status();
    ReadHeader header;
    const ResourceId pods = Register(**engine, "pods");
    const ResourceId secrets = Register(**engine, "secrets");
    const Range all_secrets{"/registry/secrets/", "/registry/secrets0"};
    const size_t listed = ListAll(**engine, pods, kPods, {}, &header).size() +
                          ListAll(**engine, secrets, all_secrets, {}, &header).size();
    EXPECT_EQ(listed, before.size());
    EXPECT_EQ(Put(**engine, pods, "/registry/pods/dafter", "v").code, Code::kOk);
    EXPECT_TRUE((*engine)->Close().ok());
  }
  Lane LaneOf(const std::string& name) const {
    auto backend = OpenForInspection(name, File(name));
    EXPECT_TRUE(backend.ok()) << backend.status();
    auto snapshot = (*backend)->OpenSnapshot();
    return snapshot.ok() ? (*snapshot)->lane() : Lane();
  }
  void Sql(const std::string& name, const std::string& sql) const {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(File(name).c_str(), &db), SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK) << error;
    sqlite3_close(db);
  }
};

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_ENGINE_AHEAD_H_
