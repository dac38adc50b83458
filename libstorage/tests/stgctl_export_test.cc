// stgctl export: what the etcd holds afterwards, what is refused, and that it may be
// killed at any moment.
#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/servers/certificates.h"
#include "tests/servers/etcd_server.h"
#include "tests/stgctl_set_testing.h"

namespace storage {
namespace {

using servers::EtcdServer;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const char kPod[] = "/registry/pods/default/web";
const char kSecret[] = "/registry/secrets/kube-system/token";
const char kConfig[] = "/registry/secrets/default/config";
const char kBig[] = "/registry/secrets/default/big";
const char kEvent[] = "/registry/secrets/default/event";  // of no other kind than that it expires

class StgctlExport : public StgctlSetTest {
 protected:
  void StartEtcd(const servers::EtcdSpec& spec = {}) {
    auto server = EtcdServer::Start(spec);
    ASSERT_TRUE(server.ok()) << server.status();
    etcd_ = *std::move(server);
  }
  std::vector<std::string> Args(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"export", "--stock-etcd", etcd_->Endpoints()});
    return WithPlaces(std::move(more));
  }
  static void PutExpiring(Engine* engine, const std::string& key, int64_t ttl_ms) {
    absl::Notification done;
    auto op = std::make_shared<WriteOp>();
    op->resource = ResourceOf(key);
    op->key = key;
    op->value = Blob(std::string("an event"));
    op->expected = WriteOp::kAnyRevision;
    op->ttl_ms = ttl_ms;
    op->done = [&](WriteResult&& result) {
      EXPECT_EQ(result.code, Code::kOk) << result.error;
      done.Notify();
    };
    engine->Write(op);
    done.WaitForNotification();
  }
  // In all three files. The values have every shape that Kubernetes stores.
  static std::map<std::string, std::string> Objects() {
    return {{kPod, std::string("k8s\0\n\x0e\n\x02v1\x12\x03Pod\0\xff\x80", 18)},
            {kConfig, R"({"kind":"ConfigMap","apiVersion":"v1"})"},
            {kSecret, std::string("k8s:enc:secretbox:v1:first:\0\1\xfe\xff", 31)},
            {kBig, std::string(1300000, 'b')}};
  }
  void Fill(bool restored = false) {
    auto engine = OpenEngine(restored);
    ASSERT_TRUE(engine.ok()) << engine.status();
    for (const auto& [key, value] : Objects()) MustPut(engine->get(), key, value);
    MustPut(engine->get(), kPod, "of before");
    highest_ = MustPut(engine->get(), kPod, Objects()[kPod]);
    ASSERT_TRUE((*engine)->Close().ok());
  }
  void FillPods(int pods, size_t bytes) {
    auto engine = OpenEngine();
    ASSERT_TRUE(engine.ok()) << engine.status();
    for (int i = 0; i < pods; ++i) {
      highest_ = MustPut(engine->get(), absl::StrCat("/registry/pods/default/p", i),
                         std::string(bytes, static_cast<char>('a' + i % 26)));
    }
    ASSERT_TRUE((*engine)->Close().ok());
  }
  void ExpectObjects() {
    std::vector<std::string> keys;
    for (const auto& [key, value] : Objects()) {
      keys.push_back(key);
      EXPECT_TRUE(etcd_->Value(key) == value) << key;
    }
    EXPECT_EQ(etcd_->Keys(), keys);
  }
  // The first objects are there, not all.
  void WaitForObjects(Running* running) {
    int64_t there = 0;
    while (!running->ended() && there == 0) {
      for (const std::string& key : etcd_->Keys()) there += absl::StartsWith(key, "/") ? 1 : 0;
    }
  }
  static nlohmann::json Json(const Ran& ran) {
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    return nlohmann::json::parse(ran.out, nullptr, false);
  }

  std::unique_ptr<EtcdServer> etcd_;
  int64_t highest_ = 0;
};

TEST_F(StgctlExport, EveryValueIsWrittenAsItIs) {
  Fill();
  StartEtcd();
  const Contents before[] = {ReadFile(Path("pods.db")), ReadFile(Path("system.db")),
                             ReadFile(Path("default.db"))};
  Ran ran = Run(Args({"--progress", "-o", "json"}));
  const nlohmann::json json = Json(ran);
  ExpectObjects();
  EXPECT_EQ(json["result"], "exported");
  EXPECT_EQ(json["objects"], 4);
  EXPECT_EQ(json["written"], 4);
  EXPECT_EQ(json["highestRevision"], highest_);
  EXPECT_EQ(std::string(json["sha256"]).size(), 64u);
  EXPECT_GT(etcd_->Revision(), highest_);
  EXPECT_THAT(ran.err,
              AllOf(HasSubstr("raising the revision by "), HasSubstr("writing 4 objects: 100 %\n"),
                    HasSubstr("verifying 4 objects: 100 %\n")));
  // The databases are as they were, and an API server may go on with them.
  EXPECT_EQ(ReadFile(Path("pods.db")), before[0]);
  EXPECT_EQ(ReadFile(Path("system.db")), before[1]);
  EXPECT_EQ(ReadFile(Path("default.db")), before[2]);
  auto engine = OpenEngine();
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_EQ(ReadEngine(engine->get()).size(), 4u);
  ASSERT_TRUE((*engine)->Close().ok());
  engine->reset();
  // Once more: nothing is written.
  const int64_t revision = etcd_->Revision();
  ran = Run(Args());
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("holds these objects: 4, sha256 "),
                             HasSubstr("410 Gone and lists once")));
  EXPECT_EQ(etcd_->Revision(), revision);
}

// A watch from a revision of before is refused instead of being silent for long.
TEST_F(StgctlExport, WhatClientsKnewIsCompacted) {
  FillPods(200, 10);
  StartEtcd();
  ASSERT_EQ(Run(Args()).exit_code, 0);
  EXPECT_THAT(
      etcd_->Post("/v3/kv/range", absl::StrCat(R"({"key":"YQ==","revision":")", highest_, R"("})")),
      HasSubstr("compacted"));
}

TEST_F(StgctlExport, WhatExpiresKeepsTheRestOfItsTime) {
  Fill();
  auto engine = OpenEngine();
  ASSERT_TRUE(engine.ok()) << engine.status();
  PutExpiring(engine->get(), kEvent, 3600 * 1000);
  PutExpiring(engine->get(), "/registry/secrets/default/gone", 3000);
  ASSERT_TRUE((*engine)->Close().ok());
  engine->reset();
  StartEtcd();
  const nlohmann::json json = Json(Run(Args({"-o", "json"})));
  EXPECT_EQ(json["expiring"], 1);
  EXPECT_EQ(json["expired"], 1);
  EXPECT_EQ(etcd_->Value(kEvent), "an event");
  const std::string leases = etcd_->Post("/v3/lease/leases", "{}");
  const nlohmann::json id = nlohmann::json::parse(leases, nullptr, false)["leases"][0]["ID"];
  const std::string left = etcd_->Post("/v3/lease/timetolive", nlohmann::json{{"ID", id}}.dump());
  const int64_t ttl =
      std::atoll(std::string(nlohmann::json::parse(left, nullptr, false)["TTL"]).c_str());
  EXPECT_GT(ttl, 3600 - 120) << left;
  EXPECT_LE(ttl, 3600 + 60) << left;
  etcd_->RevokeLeases();
  ExpectObjects();
}

// Killed as soon as something is there, and run again.
TEST_F(StgctlExport, Kill9InTheMiddle) {
  FillPods(1500, 30000);
  StartEtcd();
  {
    Running running(dir_, Args());
    WaitForObjects(&running);
    running.Signal(SIGKILL);
    ASSERT_EQ(running.Wait().exit_code, 128 + SIGKILL);
  }
  const int64_t there =
      static_cast<int64_t>(etcd_->Keys().size()) - 2;  // the mark, and what raised it
  ASSERT_LT(there, 1500);
  const nlohmann::json json = Json(Run(Args({"-o", "json"})));
  EXPECT_EQ(json["resumed"], true);
  EXPECT_EQ(json["objects"], 1500);
  EXPECT_EQ(json["written"], 1500 - there);
  EXPECT_EQ(etcd_->Keys().size(), 1500u);
  EXPECT_EQ(Run(Args({"--check"})).exit_code, 0);
}

// A kill at many points of time: each run gets longer than the one before.
TEST_F(StgctlExport, Kill9AtAnyMoment) {
  FillPods(2000, 200);
  StartEtcd();
  int killed = 0;
  for (int ms = 5;; ms += std::max(15, ms / 4)) {
    Running running(dir_, Args());
    const absl::Time until = absl::Now() + absl::Milliseconds(ms);
    while (!running.ended() && absl::Now() < until) absl::SleepFor(absl::Milliseconds(1));
    if (!running.ended()) running.Signal(SIGKILL);  // it may end by itself in between
    const Ran ran = running.Wait();
    if (ran.exit_code == 0) break;
    ASSERT_EQ(ran.exit_code, 128 + SIGKILL) << ran.err;
    ++killed;
  }
  EXPECT_GT(killed, 0);
  EXPECT_EQ(etcd_->Keys().size(), 2000u);
  EXPECT_GT(etcd_->Revision(), highest_);
  EXPECT_EQ(Run(Args({"--check"})).exit_code, 0);
}

// What was written is not believed: it is read back.
TEST_F(StgctlExport, SomebodyElseWritesThereMeanwhile) {
  FillPods(1500, 30000);
  StartEtcd();
  Running running(dir_, Args());
  WaitForObjects(&running);
  etcd_->Put("/registry/pods/default/another", "of a server that runs");
  const Ran ran = running.Wait();
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("/registry/pods/default/another is there, and in none of"),
                             HasSubstr("Something else writes to it")));
  const nlohmann::json json = Json(Run(Args({"-o", "json"})));
  EXPECT_EQ(json["removed"], 1);
  EXPECT_EQ(json["written"], 0);
  EXPECT_EQ(etcd_->Keys().size(), 1500u);
}

TEST_F(StgctlExport, AnEtcdThatIsNotEmpty) {
  Fill();
  StartEtcd();
  etcd_->Put("/registry/pods/default/old", "stock");
  etcd_->Put(kPod, "stock");
  etcd_->Put("/calico/node", "another's");
  Ran ran = Run(Args());
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("holds 2 keys under /registry/"), HasSubstr("/registry/"),
                             HasSubstr("add --force")));
  EXPECT_THAT(etcd_->Keys(), ElementsAre("/calico/node", "/registry/pods/default/old", kPod));
  const nlohmann::json json = Json(Run(Args({"--force", "-o", "json"})));
  EXPECT_EQ(json["removed"], 1);
  EXPECT_EQ(json["written"], 4);
  EXPECT_EQ(etcd_->Value("/calico/node"), "another's");
  etcd_->Delete("/calico/node");
  ExpectObjects();
}

TEST_F(StgctlExport, CheckFindsWhatIsNotTheSame) {
  Fill();
  StartEtcd();
  ASSERT_EQ(Run(Args()).exit_code, 0);
  const struct {
    std::string key, value, words;  // value "" removes it
  } changes[] = {
      {kSecret, "changed", "/registry/secrets/kube-system/token is another than in the databases"},
      {kPod, "", "/registry/pods/default/web is not there"},
      {"/registry/a", "more", "/registry/a is there, and in none of the databases"}};
  for (const auto& change : changes) {
    if (change.value.empty()) {
      etcd_->Delete(change.key);
    } else {
      etcd_->Put(change.key, change.value);
    }
    const Ran ran = Run(Args({"--check"}));
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_THAT(ran.err, HasSubstr(change.words));
    etcd_->Delete("/registry/a");
    for (const auto& [key, value] : Objects()) etcd_->Put(key, value);
    EXPECT_EQ(Run(Args({"--check"})).exit_code, 0);
  }
  // A lease would take an object away that does not expire.
  etcd_->Put(kPod, Objects()[kPod], etcd_->Grant(600));
  EXPECT_THAT(Run(Args({"--check"})).err, HasSubstr("web is another than"));
}

TEST_F(StgctlExport, ARunningServerIsNamed) {
  Fill();
  StartEtcd();
  auto engine = OpenEngine();
  ASSERT_TRUE(engine.ok()) << engine.status();
  const Ran ran = Run(Args());
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err,
              AllOf(HasSubstr("is written by another process: pid " + std::to_string(getpid())),
                    HasSubstr("stop all of them")));
  EXPECT_THAT(etcd_->Keys(), IsEmpty());
}

// What would be missing in the etcd must be noticed here.
TEST_F(StgctlExport, AnotherTopologyIsRefused) {
  Fill();
  StartEtcd();
  const std::string etcd = etcd_->Endpoints(), db = "sqlite://" + Path("default.db");
  Ran ran = Run({"export", "--stock-etcd", etcd, "--default", db});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("kept \"pods\""), HasSubstr(Path("pods.db")),
                             HasSubstr("(--topology)")));
  std::filesystem::rename(Path("pods.db"), Path("away.db"));
  ran = Run(Args());
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("database \"pods\": "), HasSubstr("is not there")));
  EXPECT_FALSE(std::filesystem::exists(Path("pods.db")));
  EXPECT_THAT(etcd_->Keys(), IsEmpty());
}

TEST_F(StgctlExport, ADatabaseOfTheSetIsNoTarget) {
  StartEtcd();
  const std::string source = etcd_->Endpoints();
  EngineOptions options;
  options.topology_path = Path("topology.yaml");
  options.default_endpoint = source;
  {
    auto engine = Engine::Open(options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    EXPECT_EQ(*(*engine)->Register(Namespaced("pods")), 0);
    EXPECT_EQ(*(*engine)->Register(Namespaced("secrets")), 1);
    for (const auto& [key, value] : Objects()) MustPut(engine->get(), key, value);
    ASSERT_TRUE((*engine)->Close().ok());
  }
  const std::vector<std::string> places = {"--topology", Path("topology.yaml"), "--default",
                                           source};
  std::vector<std::string> args = {"export", "--force", "--stock-etcd", source};
  args.insert(args.end(), places.begin(), places.end());
  Ran ran = Run(args);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("is the default database (" + source + ")"),
                             HasSubstr("a new etcd with an empty data directory")));
  // From there to another one: the envelopes stay behind.
  const std::unique_ptr<EtcdServer> from = std::move(etcd_);
  StartEtcd();
  args[3] = etcd_->Endpoints();
  EXPECT_EQ(Run(args).exit_code, 0);
  ExpectObjects();
  // Nor is one of another control plane.
  for (const char* file : {"pods.db", "system.db"}) {
    for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
      std::filesystem::remove(Path(file) + suffix);
    }
  }
  Fill();
  args = WithPlaces({"export", "--force", "--stock-etcd", source});
  ran = Run(args);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, HasSubstr("is a database or a metadata store of libstorage"));
}

// A history that began anew is 2^32 revisions ahead: no etcd is raised so far by writing.
TEST_F(StgctlExport, RevisionsThatAreFarAhead) {
  Fill();
  Fill(true);
  ASSERT_GT(highest_, int64_t{1} << 32);
  StartEtcd();
  Ran ran = Run(Args());
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err,
              AllOf(HasSubstr("--skip-hash-check --bump-revision "), HasSubstr("--raise never")));
  EXPECT_THAT(etcd_->Keys(), IsEmpty());
  ran = Run(Args({"--raise", "never"}));
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out,
              AllOf(HasSubstr("Restart every client"), Not(HasSubstr("410 Gone and lists once"))));
  ExpectObjects();
}

TEST_F(StgctlExport, OverTls) {
  Fill();
  servers::Certificates certificates("");
  ASSERT_TRUE(certificates.MakeCa("ca").ok());
  ASSERT_TRUE(certificates.Make("server", "ca").ok());
  ASSERT_TRUE(certificates.Make("client", "ca").ok());
  servers::EtcdSpec spec;
  spec.https = true;
  spec.arguments = {"--cert-file=" + certificates.Crt("server"),
                    "--key-file=" + certificates.Key("server"),
                    "--trusted-ca-file=" + certificates.Crt("ca"), "--client-cert-auth=true"};
  StartEtcd(spec);
  const Ran without = Run(Args());
  EXPECT_EQ(without.exit_code, 1);
  EXPECT_THAT(without.err, HasSubstr("the etcd " + etcd_->Endpoints()));
  EXPECT_EQ(
      Run(Args({"--stock-etcd-cafile", certificates.Crt("ca"), "--stock-etcd-certfile",
                certificates.Crt("client"), "--stock-etcd-keyfile", certificates.Key("client")}))
          .exit_code,
      0);
}

TEST_F(StgctlExport, WrongCommandLines) {
  Fill();
  StartEtcd();
  EXPECT_EQ(Run({"export"}).exit_code, 2);
  EXPECT_EQ(Run(Args({"--raise", "perhaps"})).exit_code, 2);
  EXPECT_EQ(Run(Args({"--check", "--force"})).exit_code, 2);
  Ran ran = Run(WithPlaces({"export", "--stock-etcd", "sqlite://" + Path("other.db")}));
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, HasSubstr("name one, like http://127.0.0.1:2379"));
  ran = Run(Args({"--root", "/other/"}));
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, HasSubstr("4 are elsewhere: name the API server's --etcd-prefix"));
}

}  // namespace
}  // namespace storage
