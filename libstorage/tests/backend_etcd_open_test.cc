// Opening: endpoints, TLS, users, what is refused and what messages say.
#include <grpcpp/grpcpp.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "src/backend/etcd/rpc.grpc.pb.h"
#include "tests/contract/etcd_fixture.h"

namespace storage::contract {
namespace {

using servers::WaitFor;
using testing::HasSubstr;

constexpr char kSecret[] = "geheimes/Wort";

class EtcdOpen : public EtcdTest {
 protected:
  absl::Status OpenStatus(const EtcdOptions& options) { return OpenEtcdBackend(options).status(); }

  // A certificate of a CA of ours: <name>.crt and <name>.key.
  void OpenSsl(const std::vector<std::string>& arguments) {
    servers::ProcessSpec spec;
    spec.argv = {"/usr/bin/openssl"};
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    spec.directory = dir_.path();
    spec.log = dir_.path() + "/openssl.log";
    ASSERT_OK(servers::RunToEnd(spec, absl::Seconds(60)));
  }
  void MakeCa(const std::string& name) {
    OpenSsl({"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + name,
             "-keyout", name + ".key", "-out", name + ".crt"});
  }
  void MakeCertificate(const std::string& name) {
    std::ofstream(dir_.path() + "/ext") << "subjectAltName=IP:127.0.0.1\n";
    OpenSsl({"req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + name, "-keyout",
             name + ".key", "-out", name + ".csr"});
    OpenSsl({"x509", "-req", "-in", name + ".csr", "-CA", "ca.crt", "-CAkey", "ca.key",
             "-CAcreateserial", "-days", "2", "-extfile", "ext", "-out", name + ".crt"});
  }
  std::string File(const std::string& name) const { return dir_.path() + "/" + name; }

  const TempDir dir_;
};

TEST_F(EtcdOpen, WrongEndpointsAreRefused) {
  for (const char* const endpoints :
       {"", "localhost:2379", "http://", "ftp://127.0.0.1:1", "http://127.0.0.1:1,,"}) {
    EXPECT_CODE(OpenStatus(Options(endpoints[0] == '\0' ? "," : endpoints)), kInvalid) << endpoints;
  }
  const absl::Status status = OpenStatus(Options("http://127.0.0.1:1"));
  EXPECT_CODE(status, kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("etcd 127.0.0.1:1: "));
  EXPECT_EQ(BackendOf(status), "shirts");
}

// As etcd 3.3 would answer: it is not to be had.
class OldEtcd : public etcdserverpb::Maintenance::Service {
 public:
  grpc::Status Status(grpc::ServerContext*, const etcdserverpb::StatusRequest*,
                      etcdserverpb::StatusResponse* response) override {
    response->set_version("3.3.27");
    return grpc::Status::OK;
  }
};

TEST_F(EtcdOpen, AnOldServerIsRefused) {
  OldEtcd service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  ASSERT_NE(server, nullptr);
  const EtcdOptions options = Options(absl::StrCat("http://127.0.0.1:", port));
  const absl::Status status = OpenStatus(options);
  EXPECT_CODE(status, kInvalid);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("etcd 3.3.27 is too old: 3.4 or newer is needed"));
  server->Shutdown();
}

TEST_F(EtcdOpen, AMemberThatIsDownIsPassedOver) {
  StartServer();
  const std::string down = absl::StrCat("http://127.0.0.1:", servers::FreePort());
  auto backend = MustOpen(down + "," + server_->Endpoints());
  ASSERT_OK(Adopt(backend.get(), Us(), 0));
  EXPECT_OK(Write(backend.get(), {Create("/a/1", "v")}));
  EXPECT_OK(backend->Ping());
}

TEST_F(EtcdOpen, ClientCertificates) {
  MakeCa("ca");
  MakeCa("other");
  MakeCertificate("server");
  MakeCertificate("client");
  servers::EtcdSpec spec;
  spec.https = true;
  spec.arguments = {"--cert-file=" + File("server.crt"), "--key-file=" + File("server.key"),
                    "--trusted-ca-file=" + File("ca.crt"), "--client-cert-auth=true"};
  StartServer(spec);
  EtcdOptions options = Options();
  options.tls = {File("ca.crt"), File("client.crt"), File("client.key"), false};
  auto backend = OpenEtcdBackend(options);
  ASSERT_TRUE(backend.ok()) << backend.status();
  ASSERT_OK(Adopt(backend->get(), Us(), 0));
  EXPECT_OK(Write(backend->get(), {Create("/a/1", "v")}));
  options.tls.ca_file = File("other.crt");
  absl::Status status = OpenStatus(options);
  EXPECT_CODE(status, kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("backendTLS")) << "the remedy";
  options.tls.skip_verify = true;
  EXPECT_OK(OpenStatus(options));
  options.tls = {File("ca.crt"), "", "", false};
  EXPECT_CODE(OpenStatus(options), kUnavailable);
  options.tls = {File("ca.crt"), File("client.crt"), "", false};
  EXPECT_CODE(OpenStatus(options), kInvalid);
  options.tls = {File("none.crt"), "", "", false};
  status = OpenStatus(options);
  EXPECT_CODE(status, kInvalid);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("caFile of backendTLS, " + File("none.crt")));
}

TEST_F(EtcdOpen, UsersAndPasswordsAndNoSecretInAnyMessage) {
  StartServer();
  server_->Post("/v3/auth/user/add",
                absl::StrCat(R"({"name":"root","password":")", kSecret, "\"}"));
  server_->Post("/v3/auth/user/add",
                absl::StrCat(R"({"name":"weak","password":")", kSecret, "\"}"));
  server_->Post("/v3/auth/role/add", R"({"name":"root"})");
  server_->Post("/v3/auth/user/grant", R"({"user":"root","role":"root"})");
  server_->Post("/v3/auth/enable", "{}");
  EtcdOptions options = Options();
  options.slow_ms = 1;
  absl::Status status = OpenStatus(options);
  EXPECT_CODE(status, kInvalid);
  EXPECT_THAT(std::string(status.message()), HasSubstr("give the server a user"));
  options.user = "root";
  options.password = kSecret;
  auto backend = OpenEtcdBackend(options);
  ASSERT_TRUE(backend.ok()) << backend.status();
  ASSERT_OK(Adopt(backend->get(), Us(), 0));
  EXPECT_OK(Write(backend->get(), {Create("/a/1", kSecret)}));
  std::vector<absl::Status> refused;
  options.password = std::string(kSecret) + "x";
  refused.push_back(OpenStatus(options));
  options.user = "weak";
  options.password = kSecret;
  refused.push_back(OpenStatus(options));
  for (const absl::Status& each : refused) {
    EXPECT_CODE(each, kInvalid);
    EXPECT_EQ(each.ToString().find(kSecret), std::string::npos) << each;
  }
  // A restarted server has forgotten its tokens: the backend asks for a new one.
  server_->Kill();
  ASSERT_OK(server_->Restart());
  EXPECT_TRUE(WaitFor([&] { return (*backend)->Ping().ok(); }, absl::Seconds(60)));
  EXPECT_OK(Write(backend->get(), {Update("/a/1", "v")}));
  for (const std::string& message : logger_.messages()) {
    EXPECT_EQ(message.find(kSecret), std::string::npos) << message;
  }
}

TEST_F(EtcdOpen, TheIdentityIsTheClustersAndOurs) {
  StartServer();
  const std::string first = MustOpen()->identity();
  EXPECT_EQ(MustOpen()->identity(), first);
  EXPECT_EQ(first.size(), 16u + 1 + 32);
  server_->Wipe();
  const std::string second = MustOpen()->identity();
  EXPECT_NE(second, first);
  EXPECT_EQ(second.substr(0, 16), first.substr(0, 16));
}

TEST_F(EtcdOpen, SlowCallsAreLogged) {
  StartServer();
  EtcdOptions options = Options();
  options.slow_ms = 1;
  auto backend = *OpenEtcdBackend(options);
  server_->process()->Pause();
  EXPECT_FALSE(backend->Ping().ok());
  server_->process()->Resume();
  ASSERT_FALSE(logger_.messages().empty());
  EXPECT_THAT(logger_.messages().back(), HasSubstr("backend shirts: slow call: Range took "));
}

}  // namespace
}  // namespace storage::contract
