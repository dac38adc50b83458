// TLS on each kind of server, with real ones: who is let in, who is refused, and
// that the message names the file and what to do.
#include <fstream>

#include "absl/strings/str_cat.h"
#include "src/backend/etcd/etcd.h"
#include "src/backend/mysql/mysql_backend.h"
#include "src/backend/postgres/postgres.h"
#include "src/engine/backends.h"
#include "tests/contract/contract_test.h"
#include "tests/servers/certificates.h"
#include "tests/servers/etcd_server.h"
#include "tests/servers/mariadb_places.h"
#include "tests/servers/postgres_server.h"

namespace storage::contract {
namespace {

using servers::Certificates;
using testing::HasSubstr;

constexpr char kIp[] = "127.0.0.1";

// A kind of server, started with certificates that its user can read.
class TlsServer {
 public:
  virtual ~TlsServer() = default;
  virtual absl::Status Start(const Certificates& certificates) = 0;
  // As a client that needs a certificate, or as one that needs none.
  virtual absl::Status OpenBackend(const BackendTls& tls, bool strict, const std::string& host) = 0;
  virtual absl::Status OpenMetadata(const BackendTls& tls, bool strict) = 0;
  virtual absl::Status OpenPlain() = 0;  // without TLS
  // For a client without a certificate; asks for TLS by itself.
  virtual std::string Endpoint() = 0;
};

absl::Status Use(const absl::StatusOr<std::unique_ptr<Backend>>& backend) {
  return backend.ok() ? (*backend)->Ping() : backend.status();
}

class Postgres : public TlsServer {
 public:
  absl::Status Start(const Certificates& certificates) override {
    auto server = servers::PostgresServer::Start(
        {"ssl = on", "ssl_cert_file = '" + certificates.Crt("server") + "'",
         "ssl_key_file = '" + certificates.Key("server") + "'",
         "ssl_ca_file = '" + certificates.Crt("ca") + "'"},
        "hostssl strict all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n"
        "hostssl open all 127.0.0.1/32 scram-sha-256\n");
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    server_->CreateDatabase("strict");
    server_->CreateDatabase("open");
    return absl::OkStatus();
  }
  absl::Status OpenBackend(const BackendTls& tls, bool strict, const std::string& host) override {
    return Use(OpenPostgresBackend(Options(tls, strict, "?host=" + host)));
  }
  absl::Status OpenMetadata(const BackendTls& tls, bool strict) override {
    return OpenPostgresMetadata(Options(tls, strict, "")).status();
  }
  absl::Status OpenPlain() override {
    return Use(OpenPostgresBackend(Options({}, false, "?sslmode=disable")));
  }
  std::string Endpoint() override { return server_->Uri("open", "sslmode=require"); }

 private:
  PostgresOptions Options(const BackendTls& tls, bool strict, const std::string& more) {
    PostgresOptions options;
    options.name = "shirts";
    options.conninfo = server_->Uri(strict ? "strict" : "open") + more;
    options.tls = tls;
    return options;
  }
  std::unique_ptr<servers::PostgresServer> server_;
};

class Mariadb : public TlsServer {
 public:
  absl::Status Start(const Certificates& certificates) override {
    auto server = servers::MariadbServer::Start(
        {"--ssl-cert=" + certificates.Crt("server"), "--ssl-key=" + certificates.Key("server"),
         "--ssl-ca=" + certificates.Crt("ca"), "--require-secure-transport=ON"});
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    open_ = server_->NewDatabase();
    strict_ = server_->NewDatabase();
    server_->Sql(absl::StrCat("ALTER USER ", strict_, "@'%' REQUIRE X509"));
    return absl::OkStatus();
  }
  absl::Status OpenBackend(const BackendTls& tls, bool strict, const std::string& host) override {
    MysqlOptions options = Options(tls, strict);
    options.host = host;
    return Use(OpenMysqlBackend(options));
  }
  absl::Status OpenMetadata(const BackendTls& tls, bool strict) override {
    return OpenMysqlMetadata(Options(tls, strict), false).status();
  }
  absl::Status OpenPlain() override { return Use(OpenMysqlBackend(Options({}, false))); }
  std::string Endpoint() override { return servers::EndpointOf(*server_, open_) + "?tls=true"; }

 private:
  MysqlOptions Options(const BackendTls& tls, bool strict) {
    MysqlOptions options = server_->Options(strict ? strict_ : open_);
    options.name = "shirts";
    options.tls = tls;
    return options;
  }
  std::unique_ptr<servers::MariadbServer> server_;
  std::string open_, strict_;
};

class Etcd : public TlsServer {
 public:
  absl::Status Start(const Certificates& certificates) override {
    for (auto* server : {&open_, &strict_}) {
      servers::EtcdSpec spec;
      spec.https = true;
      spec.arguments = {"--cert-file=" + certificates.Crt("server"),
                        "--key-file=" + certificates.Key("server")};
      if (server == &strict_) {  // the CA alone is enough for etcd to ask for certificates
        spec.arguments.push_back("--trusted-ca-file=" + certificates.Crt("ca"));
        spec.arguments.emplace_back("--client-cert-auth=true");
      }
      auto started = servers::EtcdServer::Start(spec);
      if (!started.ok()) return started.status();
      *server = *std::move(started);
    }
    return absl::OkStatus();
  }
  absl::Status OpenBackend(const BackendTls& tls, bool strict, const std::string& host) override {
    return Use(OpenEtcdBackend(Options(tls, strict, "https://" + host)));
  }
  absl::Status OpenMetadata(const BackendTls& tls, bool strict) override {
    return OpenEtcdMetadata(Options(tls, strict, absl::StrCat("https://", kIp))).status();
  }
  absl::Status OpenPlain() override {
    return Use(OpenEtcdBackend(Options({}, false, absl::StrCat("http://", kIp))));
  }
  std::string Endpoint() override { return open_->Endpoints(); }

 private:
  EtcdOptions Options(const BackendTls& tls, bool strict, const std::string& host) {
    EtcdOptions options;
    options.name = "shirts";
    options.endpoints = absl::StrCat(host, ":", (strict ? strict_ : open_)->port());
    options.tls = tls;
    return options;
  }
  std::unique_ptr<servers::EtcdServer> open_, strict_;
};

struct Kind {
  const char* name;
  const char* user;  // of the server's process
  std::unique_ptr<TlsServer> (*make)();
};

// One server for all tests of a kind: they only look.
class TlsTest : public testing::TestWithParam<Kind> {
 protected:
  struct Place {
    explicit Place(const Kind& kind) : certificates(kind.user), server(kind.make()) {}
    absl::Status Prepare() {
      for (const char* ca : {"ca", "other"}) {
        if (absl::Status made = certificates.MakeCa(ca); !made.ok()) return made;
      }
      for (const auto& [name, ca] :
           {std::pair{"server", "ca"}, {"client", "ca"}, {"stranger", "other"}}) {
        if (absl::Status made = certificates.Make(name, ca); !made.ok()) return made;
      }
      return server->Start(certificates);
    }
    Certificates certificates;
    std::unique_ptr<TlsServer> server;
  };

  void SetUp() override {
    static auto* const places = new std::map<std::string, std::unique_ptr<Place>>;
    static const bool registered = std::atexit([] { places->clear(); }) == 0;
    ASSERT_TRUE(registered);
    std::unique_ptr<Place>& place = (*places)[GetParam().name];
    if (place == nullptr) {
      auto made = std::make_unique<Place>(GetParam());
      ASSERT_OK(made->Prepare());
      place = std::move(made);
    }
    place_ = place.get();
  }

  std::string Crt(const std::string& name) const { return place_->certificates.Crt(name); }
  BackendTls Tls(const std::string& ca, const std::string& client = "", bool skip = false) const {
    BackendTls tls;
    if (!ca.empty()) tls.ca_file = Crt(ca);
    if (!client.empty()) {
      tls.cert_file = Crt(client);
      tls.key_file = place_->certificates.Key(client);
    }
    tls.skip_verify = skip;
    return tls;
  }
  absl::Status Open(const BackendTls& tls, bool strict = false, const std::string& host = kIp) {
    return place_->server->OpenBackend(tls, strict, host);
  }
  // Backend and metadata store, with all of these words.
  void ExpectRefused(const BackendTls& tls, bool strict, Code code,
                     const std::vector<std::string>& words) {
    for (const absl::Status& status :
         {Open(tls, strict), place_->server->OpenMetadata(tls, strict)}) {
      EXPECT_STREQ(CodeName(CodeOf(status)), CodeName(code)) << status;
      for (const std::string& word : words) {
        EXPECT_THAT(std::string(status.message()), HasSubstr(word));
      }
      EXPECT_EQ(BackendOf(status), "shirts");
    }
  }

  Place* place_ = nullptr;
};

TEST_P(TlsTest, TheRightCa) {
  EXPECT_OK(Open(Tls("ca")));
  EXPECT_OK(place_->server->OpenMetadata(Tls("ca"), false));
}

TEST_P(TlsTest, AnotherCaIsRefused) {
  ExpectRefused(Tls("other"), false, Code::kUnavailable,
                {"check backendTLS: caFile " + Crt("other") + " must hold the CA of the server"});
}

TEST_P(TlsTest, ACertificateOfAnotherHostIsRefused) {
  const absl::Status status = Open(Tls("ca"), false, "localhost");
  EXPECT_CODE(status, kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("must name its host"));
  EXPECT_OK(Open(Tls("", "", true), false, "localhost"));
}

TEST_P(TlsTest, SkipVerifyVerifiesNothing) {
  EXPECT_OK(Open(Tls("", "", true)));
  EXPECT_OK(Open(Tls("other", "", true))) << "also with a caFile";
  EXPECT_OK(Open(Tls("other", "client", true), true)) << "and with our certificate";
  EXPECT_OK(place_->server->OpenMetadata(Tls("other", "", true), false));
}

TEST_P(TlsTest, AClientCertificate) {
  EXPECT_OK(Open(Tls("ca", "client"), true));
  EXPECT_OK(place_->server->OpenMetadata(Tls("ca", "client"), true));
}

TEST_P(TlsTest, AServerThatWantsAClientCertificate) {
  ExpectRefused(Tls("ca"), true, CodeOf(Open(Tls("ca"), true)), {"certFile"});
  EXPECT_FALSE(Open(Tls("ca"), true).ok());
}

TEST_P(TlsTest, AClientCertificateOfAnotherCaIsRefused) {
  ExpectRefused(Tls("ca", "stranger"), true, Code::kUnavailable,
                {"the server must accept certFile " + Crt("stranger")});
}

TEST_P(TlsTest, WithoutTls) {
  const absl::Status status = place_->server->OpenPlain();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()),
              testing::AnyOf(HasSubstr("backendTLS"), HasSubstr("https://")));
}

TEST_P(TlsTest, FilesThatAreNone) {
  const std::string dir = place_->certificates.directory();
  std::ofstream(dir + "/empty").close();
  const struct {
    std::string file, words;
  } wrong[] = {{dir + "/none", "cannot be read: No such file"},
               {dir, "is a directory"},
               {"/dev/null", "is no regular file"},
               {dir + "/empty", "is empty"}};
  for (const auto& each : wrong) {
    const std::vector<std::string> words = {each.file + ", " + each.words,
                                            "name a PEM file that this process may read"};
    for (const bool skip : {false, true}) {
      BackendTls tls = Tls("ca", "client", skip);
      tls.ca_file = each.file;
      ExpectRefused(tls, false, Code::kInvalid, {"caFile of backendTLS, " + words[0], words[1]});
      tls = Tls("ca", "client", skip);
      tls.cert_file = each.file;
      ExpectRefused(tls, false, Code::kInvalid, {"certFile of backendTLS, " + words[0], words[1]});
      tls = Tls("ca", "client", skip);
      tls.key_file = each.file;
      ExpectRefused(tls, false, Code::kInvalid, {"keyFile of backendTLS, " + words[0], words[1]});
    }
  }
  BackendTls half = Tls("ca", "client");
  half.key_file.clear();
  ExpectRefused(half, false, Code::kInvalid,
                {"certFile and keyFile of backendTLS belong together"});
}

absl::Status OpenByEngine(const std::string& text, bool skip) {
  const auto endpoint = ParseEndpoint(text);
  if (!endpoint.ok()) return endpoint.status();
  EngineOptions options;
  options.metadata_endpoint = text;
  options.metadata_tls.skip_verify = skip;
  return OpenMetadata(*endpoint, false, options).status();
}

// As REVISION_MAPPER_SKIP_VERIFY says it.
TEST_P(TlsTest, TheMetadataStoreSkipsVerification) {
  const std::string endpoint = place_->server->Endpoint();
  if (std::string(GetParam().name) != "postgres") {  // whose sslmode=require never verifies
    EXPECT_CODE(OpenByEngine(endpoint, false), kUnavailable);
  }
  EXPECT_OK(OpenByEngine(endpoint, true));
}

// It asks for no TLS where there is none.
TEST(TlsPlainTest, SkippingVerificationIsNoTls) {
  servers::PostgresServer& postgres = servers::PostgresServer::Shared();
  EXPECT_OK(OpenByEngine(postgres.Uri("plain"), true));
  servers::MariadbServer& mariadb = servers::MariadbServer::Shared();
  EXPECT_OK(OpenByEngine(servers::EndpointOf(mariadb, mariadb.NewDatabase()), true));
}

template <typename Server>
std::unique_ptr<TlsServer> MakeServer() {
  return std::make_unique<Server>();
}

INSTANTIATE_TEST_SUITE_P(, TlsTest,
                         testing::Values(Kind{"postgres", "postgres", &MakeServer<Postgres>},
                                         Kind{"mariadb", "mysql", &MakeServer<Mariadb>},
                                         Kind{"etcd", "", &MakeServer<Etcd>}),
                         [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace storage::contract
