// stgctl stats, backup and restore on a set of files: what they do, print and refuse.
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/stgctl_set_testing.h"

namespace storage {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

class StgctlBackup : public StgctlSetTest {
 protected:
  std::unique_ptr<Engine> MustOpen(bool restored = false) {
    auto engine = OpenEngine(restored);
    EXPECT_TRUE(engine.ok()) << engine.status();
    return engine.ok() ? *std::move(engine) : nullptr;
  }
  static void Fill(Engine* engine) {
    MustPut(engine, "/registry/pods/default/a", "pod a");
    MustPut(engine, "/registry/pods/default/b", "pod b");
    MustPut(engine, "/registry/pods/default/b", "pod b2");
    MustPut(engine, "/registry/secrets/default/s", "secret");
    MustPut(engine, "/registry/secrets/kube-system/t", "token");
  }
  nlohmann::json MustBackup(const std::string& name) {
    Ran ran = Run(WithPlaces({"backup", Path(name), "-o", "json"}));
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    return nlohmann::json::parse(ran.out, nullptr, false);
  }
  Ran Restore(const std::string& name, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"restore", Path(name)});
    return Run(WithPlaces(more));
  }
  void RemoveSet() {
    for (const char* file : {"pods.db", "system.db", "default.db", "default.db.meta"}) {
      for (const char* suffix : {"", "-wal", "-shm"}) {
        std::filesystem::remove(Path(file) + suffix);
      }
    }
  }
};

TEST_F(StgctlBackup, StatsOfARunningSet) {
  auto engine = MustOpen();
  Fill(engine.get());
  Ran ran = Run(WithPlaces({"stats"}));
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_THAT(ran.out,
              StartsWith("DATABASE   OBJECTS   BYTES   HISTORY   HISTORY BYTES   DEBT   "));
  EXPECT_THAT(ran.out,
              HasSubstr("\npods       2         11 B    3         5 B             0      "));
  EXPECT_THAT(ran.out, HasSubstr("\npods       /registry/pods/      2         11 B\n"
                                 "system     /registry/secrets/   1         5 B\n"
                                 "default    /registry/secrets/   1         6 B\n"));
  Ran json = Run(WithPlaces({"stats", "-o", "json"}));
  EXPECT_EQ(json.exit_code, 0);
  nlohmann::json pods = nlohmann::json::parse(json.out)["databases"][0];
  EXPECT_EQ(pods["name"], "pods");
  EXPECT_EQ(pods["objects"], 2);
  EXPECT_EQ(pods["bytes"], 11);
  EXPECT_EQ(pods["history"].dump(), R"({"bytes":5,"rows":3})");
  EXPECT_EQ(pods["head"], 4);
  EXPECT_GT(pods["fileBytes"], 4096);
  EXPECT_EQ(pods["match"], "prefix pods");
}

TEST_F(StgctlBackup, StatsOfWhatIsNotThere) {
  Ran ran = Run(WithPlaces({"stats"}));
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.out, HasSubstr("\npods       -         -"));
  EXPECT_THAT(ran.err, StartsWith("error: database \"pods\": "));
}

TEST_F(StgctlBackup, BackupOfARunningSetAndRestore) {
  auto engine = MustOpen();
  Fill(engine.get());
  const Contents before = ReadEngine(engine.get());
  Ran ran = Run(WithPlaces({"backup", Path("b")}));
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_THAT(ran.out, MatchesRegex("Backup of revision 6 in .*/b\\.\n\n"
                                    "DATABASE   OBJECTS   BYTES   FILE         SIZE\n"
                                    "pods       2         11 B    pods\\.db      .* KiB\n"
                                    "system     1         5 B     system\\.db    .* KiB\n"
                                    "default    1         6 B     default\\.db   .* KiB\n"));
  const int64_t later = MustPut(engine.get(), "/registry/pods/default/later", "lost");
  MustPut(engine.get(), "/registry/secrets/default/s", "changed");
  ASSERT_TRUE(engine->Close().ok());
  engine.reset();

  Ran refused = Restore("b");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_EQ(refused.err, "error: there are databases already: " + Path("pods.db") + ", " +
                             Path("system.db") + ", " + Path("default.db") +
                             "; move them away, or add --force to overwrite them\n");
  Ran restored = Restore("b", {"--force"});
  EXPECT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_THAT(restored.out,
              MatchesRegex("Restored revision 6 \\(20..-.*Z\\) into 3 databases\\.\n"
                           "Start the API server once with --storage-restored .*Gone\\.\n"));

  // Whoever forgets the flag is told; nothing goes on counting from here.
  auto forgotten = OpenEngine();
  ASSERT_FALSE(forgotten.ok());
  EXPECT_THAT(forgotten.status().message(), HasSubstr("backup of "));
  engine = MustOpen(/*restored=*/true);
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(ReadEngine(engine.get()), before);
  ReadHeader header;
  ReadOptions old;
  old.revision = later;
  old.exact = true;
  absl::Status gone = engine->List(
      0, {"/registry/pods/", "/registry/pods0"}, old, [](const Row&) { return true; }, &header);
  EXPECT_EQ(CodeOf(gone), Code::kCompacted) << gone;
  EXPECT_GT(MustPut(engine.get(), "/registry/pods/default/new", "x"), later);
}

TEST_F(StgctlBackup, RestoreOnAnotherMachine) {
  auto engine = MustOpen();
  Fill(engine.get());
  const Contents before = ReadEngine(engine.get());
  MustBackup("b");
  engine.reset();
  RemoveSet();
  EXPECT_EQ(Restore("b").exit_code, 0);
  // The metadata store came along: it still remembers the routes.
  EXPECT_TRUE(std::filesystem::exists(Path("default.db.meta")));
  EXPECT_FALSE(OpenEngine().ok());
  engine = MustOpen(true);
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(ReadEngine(engine.get()), before);
  engine.reset();

  // And without it: a new history, again with every object.
  RemoveSet();
  std::filesystem::remove(Path("b/metadata.db"));
  nlohmann::json manifest = nlohmann::json::parse(ReadAll(Path("b/manifest.json")));
  manifest["metadata"] = nullptr;
  Write("b/manifest.json", manifest.dump());
  EXPECT_EQ(Restore("b").exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(Path("default.db.meta")));
  engine = MustOpen();
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(ReadEngine(engine.get()), before);
}

TEST_F(StgctlBackup, RestoreThroughASymbolicLink) {
  {
    auto engine = MustOpen();
    Fill(engine.get());
  }
  MustBackup("b");
  RemoveSet();
  std::filesystem::create_directory(Path("disk"));
  std::ofstream(Path("disk/pods.db")) << "";
  std::filesystem::create_symlink("disk/pods.db", Path("pods.db"));
  Ran ran = Restore("b");
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_TRUE(std::filesystem::is_symlink(Path("pods.db")));
  EXPECT_GT(std::filesystem::file_size(Path("disk/pods.db")), 0u);
  EXPECT_NE(MustOpen(/*restored=*/true), nullptr);
}

TEST_F(StgctlBackup, Manifest) {
  auto engine = MustOpen();
  Fill(engine.get());
  nlohmann::json printed = MustBackup("b");
  EXPECT_EQ(printed, nlohmann::json::parse(ReadAll(Path("b/manifest.json"))));
  EXPECT_EQ(printed["format"], "libstorage-backup");
  EXPECT_EQ(printed["version"], 1);
  EXPECT_EQ(printed["revision"], 6);
  EXPECT_EQ(printed["topology"], Path("topology.yaml"));
  ASSERT_EQ(printed["databases"].size(), 3u);
  const nlohmann::json& pods = printed["databases"][0];
  EXPECT_EQ(pods["name"], "pods");
  EXPECT_EQ(pods["match"], "prefix pods");
  EXPECT_EQ(pods["file"], "pods.db");
  EXPECT_EQ(pods["source"], Path("pods.db"));
  EXPECT_EQ(pods["objects"], 2);
  for (nlohmann::json file :
       {printed["databases"][0], printed["databases"][2], printed["metadata"]}) {
    const std::string path = Path("b/" + file["file"].get<std::string>());
    EXPECT_EQ(file["size"], std::filesystem::file_size(path));
    EXPECT_EQ(std::filesystem::status(path).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    // An independent program computes the same sum.
    const std::string sum = Path("sum");
    ASSERT_EQ(std::system(("sha256sum " + path + " > " + sum).c_str()), 0);
    EXPECT_EQ(file["sha256"], ReadAll(sum).substr(0, 64));
  }
  // Nothing but the files: no logs, no locks.
  size_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(Path("b"))) {
    entries += entry.is_regular_file() ? 1 : 0;
  }
  EXPECT_EQ(entries, 5u);
  EXPECT_EQ(std::filesystem::status(Path("b")).permissions(), std::filesystem::perms::owner_all);
}

TEST_F(StgctlBackup, BackupRefusals) {
  Ran missing = Run(WithPlaces({"backup", Path("b")}));
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, StartsWith("error: database \"pods\": "));
  EXPECT_FALSE(std::filesystem::exists(Path("b")));

  auto engine = MustOpen();
  Fill(engine.get());
  std::filesystem::create_directory(Path("full"));
  Write("full/x", "x");
  Ran full = Run(WithPlaces({"backup", Path("full")}));
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_EQ(full.err,
            "error: " + Path("full") + " is not empty; name a new directory for each backup\n");
  EXPECT_EQ(ReadAll(Path("full/x")), "x");

  Write("mysql.yaml",
        "backends:\n- {name: m, endpoint: 'mysql://u:Hunter2@tcp(h)/d', prefix: {prefix: a}}\n");
  Ran other = Run({"backup", Path("b"), "--topology", Path("mysql.yaml")});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_EQ(other.err,
            "error: \"m\" is kept in mysql (mysql://u:***@tcp(h)/d); only SQLite files can be "
            "copied as a set. Copy that database with its own tools while the API server is "
            "stopped\n");
  Ran same = Run({"backup", Path("b"), "--topology", Path("topology.yaml"), "--default",
                  "sqlite://" + Path("pods.db")});
  EXPECT_EQ(same.exit_code, 1);
  EXPECT_EQ(same.err,
            "error: \"default\" and \"pods\" name the same database; give each one of its own\n");
}

TEST_F(StgctlBackup, FilesOfTwoServersAreNoSet) {
  auto engine = MustOpen();
  Fill(engine.get());
  engine.reset();
  std::filesystem::rename(Path("pods.db"), Path("pods.kept"));
  std::filesystem::remove(Path("default.db.meta"));
  std::filesystem::remove(Path("default.db"));
  std::filesystem::remove(Path("system.db"));
  engine = MustOpen();
  Fill(engine.get());
  engine.reset();
  std::filesystem::rename(Path("pods.kept"), Path("pods.db"));
  Ran ran = Run(WithPlaces({"backup", Path("b")}));
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, HasSubstr("they are no set. Name the topology"));
  EXPECT_FALSE(std::filesystem::exists(Path("b")));
}

TEST_F(StgctlBackup, RestoreWhileAServerHoldsTheFiles) {
  auto engine = MustOpen();
  Fill(engine.get());
  MustBackup("b");
  Ran ran = Restore("b", {"--force"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, StartsWith("error: database \"metadata\": "));
  EXPECT_THAT(ran.err, HasSubstr("is written by another process: pid " + std::to_string(getpid())));
  // Another metadata store does not help: the files have locks of their own.
  ran = Restore("b", {"--force", "--metadata", "sqlite://" + Path("other.meta")});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, StartsWith("error: database \"pods\": "));
}

TEST_F(StgctlBackup, DamagedBackupChangesNothing) {
  auto engine = MustOpen();
  Fill(engine.get());
  MustBackup("b");
  MustPut(engine.get(), "/registry/pods/default/later", "kept");
  const Contents now = ReadEngine(engine.get());
  engine.reset();
  std::string bytes = ReadAll(Path("b/default.db"));
  bytes[bytes.size() / 2] ^= 1;
  Write("b/default.db", bytes);
  Ran ran = Restore("b", {"--force"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.err, "error: database \"default\": " + Path("b/default.db") +
                         " is damaged: its checksum is not that of manifest.json; nothing was "
                         "changed. Use another copy of the backup\n");
  EXPECT_FALSE(std::filesystem::exists(Path("pods.db.restoring")));
  std::filesystem::remove(Path("b/default.db"));
  EXPECT_THAT(Restore("b", {"--force"}).err, HasSubstr("cannot read "));
  engine = MustOpen();
  EXPECT_EQ(ReadEngine(engine.get()), now);
}

TEST_F(StgctlBackup, RestoreRefusesOtherRules) {
  auto engine = MustOpen();
  Fill(engine.get());
  MustBackup("b");
  engine.reset();
  RemoveSet();
  std::string changed = Topology();
  changed.replace(changed.find("{prefix: pods}"), 14, "{prefix: secrets}");
  Write("topology.yaml", changed);
  Ran ran = Restore("b");
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.err,
            "error: database \"pods\": the rule matched \"prefix pods\" when the backup was made "
            "and matches \"prefix secrets\" now: objects could be hidden. Restore with the rule as "
            "it was, or add --changed-rules\n");
  EXPECT_FALSE(std::filesystem::exists(Path("pods.db")));
  EXPECT_EQ(Restore("b", {"--changed-rules"}).exit_code, 0);
  RemoveSet();
  changed.replace(changed.find("name: pods"), 10, "name: pads");
  Write("topology.yaml", changed);
  ran = Restore("b", {"--changed-rules"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, StartsWith("error: the backup has the databases pods, system, default, the "
                                  "topology names pads, system, default; restore with"));
}

TEST_F(StgctlBackup, RestoreOfWhatIsNoBackup) {
  std::filesystem::create_directory(Path("b"));
  EXPECT_THAT(Restore("b").err, EndsWith("it has no manifest.json that can be read; name a "
                                         "directory that stgctl backup made\n"));
  Write("b/manifest.json", "{");
  EXPECT_THAT(Restore("b").err, HasSubstr("manifest.json is damaged"));
  Write("b/manifest.json", "{}");
  EXPECT_THAT(Restore("b").err, HasSubstr("manifest.json is damaged"));
  Write("b/manifest.json", R"({"format": "libstorage-backup", "version": 2})");
  EXPECT_THAT(Restore("b").err, HasSubstr("is a backup of version 2, but this stgctl knows"));
  Write(
      "b/manifest.json",
      R"({"format": "libstorage-backup", "version": 1, "revision": 1, "created": "x", "topology": "",
            "metadataStore": "", "metadata": null, "databases": [{"name": "pods", "match": "",
            "file": "../../etc/passwd", "source": "", "size": 1, "sha256": "", "identity": "",
            "objects": 0, "bytes": 0, "copiedHead": 0}]})");
  EXPECT_THAT(Restore("b").err, HasSubstr("a file name is not one"));
}

TEST_F(StgctlBackup, ProgressWhenAsked) {
  auto engine = MustOpen();
  Fill(engine.get());
  Ran ran = Run(WithPlaces({"backup", Path("b"), "--progress"}));
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_THAT(ran.err, HasSubstr("copying pods (1 of 3): 100 %\n"));
  EXPECT_THAT(ran.err, HasSubstr("copying the metadata store: 100 %\n"));
}

}  // namespace
}  // namespace storage
