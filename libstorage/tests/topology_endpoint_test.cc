// Endpoints: what is accepted, what is refused, and that no password is shown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "src/topology/topology.h"

namespace storage {
namespace {

using ::testing::HasSubstr;

// "text -> redacted | identity", or "text -> the error".
std::string Parsed(const std::string& text) {
  absl::StatusOr<Endpoint> endpoint = ParseEndpoint(text);
  if (!endpoint.ok()) {
    EXPECT_EQ(CodeOf(endpoint.status()), Code::kInvalid);
    return std::string(endpoint.status().message());
  }
  return endpoint->redacted + " | " + EndpointIdentity(*endpoint);
}

TEST(TopologyEndpoint, Accepted) {
  const std::string cwd = std::filesystem::current_path().string();
  const std::pair<const char*, std::string> cases[] = {
      {"http://a:2379", "http://a:2379 | etcd a:2379"},
      {"http://b:1,http://A:2", "http://b:1,http://A:2 | etcd a:2,b:1"},
      {"https://[::1]:2379/", "https://[::1]:2379/ | etcd [::1]:2379"},
      {"mysql://u:pw@tcp(h:3306)/d?charset=utf8",
       "mysql://u:***@tcp(h:3306)/d?charset=utf8 | mysql tcp(h:3306)/d"},
      {"mysql://u:p/w@:x@tcp(H)/d", "mysql://u:***@tcp(H)/d | mysql tcp(h:3306)/d"},
      {"mysql://u@tcp([::1]:3306)/d", "mysql://u@tcp([::1]:3306)/d | mysql tcp([::1]:3306)/d"},
      {"mysql://u:pw@unix(/run/m.sock)/d",
       "mysql://u:***@unix(/run/m.sock)/d | mysql unix(/run/m.sock)/d"},
      {"mysql://u:pw@/d", "mysql://u:***@/d | mysql tcp(127.0.0.1:3306)/d"},
      {"postgres://u:pw@h/d", "postgres://u:***@h/d | postgres h:5432/d"},
      {"postgresql://u:p%40w@h:1,g/d?sslmode=require",
       "postgres://u:***@h:1,g/d?sslmode=require | postgres h:1,g:5432/d"},
      {"postgres://h/d?user=u&password=pw",
       "postgres://h/d?user=u&password=*** | postgres h:5432/d"},
      {"postgres:///d?host=/run", "postgres:///d?host=/run | postgres /d"},
      {"sqlite://./db/s.db?_journal=WAL&cache=shared",
       "sqlite://./db/s.db?_journal=WAL&cache=shared | sqlite " + cwd + "/db/s.db"},
      {"sqlite:///a/../b.db", "sqlite:///a/../b.db | sqlite /b.db"},
      {"sqlite://s.db?_auth_pass=pw", "sqlite://s.db?_auth_pass=*** | sqlite " + cwd + "/s.db"},
      {"memory://m1", "memory://m1 | memory m1"},
      {"multi://sqlite:///b.db", "sqlite:///b.db | sqlite /b.db"},
      {"multi://http://127.0.0.1:2379", "http://127.0.0.1:2379 | etcd 127.0.0.1:2379"},
  };
  for (const auto& [text, want] : cases) EXPECT_EQ(Parsed(text), want) << text;
}

TEST(TopologyEndpoint, Parts) {
  absl::StatusOr<Endpoint> endpoint =
      ParseEndpoint("multi://sqlite://./a b.db?_busy_timeout=30000&_x=a%26b");
  ASSERT_TRUE(endpoint.ok());
  EXPECT_EQ(endpoint->kind, EndpointKind::kSqlite);
  EXPECT_EQ(endpoint->text, "sqlite://./a b.db?_busy_timeout=30000&_x=a%26b");
  EXPECT_EQ(endpoint->path, "./a b.db");
  EXPECT_EQ(endpoint->options.at("_busy_timeout"), "30000");
  EXPECT_EQ(endpoint->options.at("_x"), "a&b");
  EXPECT_FALSE(endpoint->has_password);
  EXPECT_FALSE(endpoint->from_file);
  EXPECT_TRUE(ParseEndpoint("mysql://u:pw@tcp(h)/d")->has_password);
  EXPECT_FALSE(ParseEndpoint("mysql://u:@tcp(h)/d")->has_password);
  EXPECT_TRUE(ParseEndpoint("postgres://h/d?password=x")->has_password);
  EXPECT_FALSE(ParseEndpoint("postgres://h/d?passfile=/x&sslkey=/y")->has_password);
}

constexpr char kPostgresHow[] =
    "; write postgres://user:password@host:5432/database?option=value, in the password \"@\" as "
    "%40, \"/\" as %2F, \":\" as %3A";
constexpr char kMysqlHow[] = "; write mysql://user:password@tcp(host:3306)/database?option=value";
constexpr char kMysqlAddress[] =
    "the mysql endpoint has no address of the form tcp(host:port) or unix(/socket) before the "
    "last \"/\" (a \"/\" in an option is written %2F)";
constexpr char kEtcdHow[] =
    " of the etcd endpoint is not scheme://host:port (no user, password or path); write "
    "http://host:2379, further members after a comma";
constexpr char kForms[] = "http:// or https:// (etcd), mysql://, postgres:// or sqlite://";

TEST(TopologyEndpoint, Refused) {
  const std::pair<const char*, std::string> cases[] = {
      {"", std::string("the endpoint is empty; write one that begins with ") + kForms},
      {"multi://", std::string("the endpoint is empty; write one that begins with ") + kForms},
      {"./a.db", std::string("the endpoint must begin with ") + kForms},
      {"sqllite://a", std::string("the endpoint has an unknown scheme; did you mean sqlite://? It "
                                  "must begin with ") +
                          kForms},
      {"file:///x",
       "file:// is for the default database only, as multi://file:///path; write the "
       "endpoint itself"},
      {"sqlite://a\n",
       "the endpoint has control characters in it, or blanks around it; write it "
       "on one line"},
      {"http://a", std::string("member 1") + kEtcdHow},
      {"http://a:1,b:2", std::string("member 2") + kEtcdHow},
      {"http://u:pw@a:1", std::string("member 1") + kEtcdHow},
      {"http://a:1,https://b:2",
       "the etcd endpoint mixes http:// and https://; write the same scheme for every member"},
      {"mysql://u:pw@tcp(h)",
       std::string("the mysql endpoint has no \"/\" before the database name") + kMysqlHow},
      {"mysql://u:pw@h:3306/d", std::string(kMysqlAddress) + kMysqlHow},
      {"mysql://u:pw@tcp(h)/d?loc=US/Pacific", std::string(kMysqlAddress) + kMysqlHow},
      {"mysql://tcp/pw@tcp(h)",
       std::string("the mysql endpoint has a database name with \"@\", \":\" or brackets in it") +
           kMysqlHow},
      {"postgres://u:p@w@h/d",
       std::string("the postgres endpoint has no host:port after the user and the password") +
           kPostgresHow},
      {"postgres://u:p/w@h/d",
       std::string("the postgres endpoint has no host:port after the user and the password") +
           kPostgresHow},
      {"postgres://u:1/w@h/d",
       std::string("the postgres endpoint has a database name with \"@\", \":\", \"/\" or a single "
                   "\"%\" in it") +
           kPostgresHow},
      {"postgres://u:%zz@h/d", std::string("the postgres endpoint has a \"%\" without two "
                                           "hexadecimal digits in the user or password") +
                                   kPostgresHow},
      {"postgres://h?password=x@y", std::string("the postgres endpoint has a \"?\" in the user "
                                                "name, or an \"@\" in an option") +
                                        kPostgresHow},
      {"postgres://h/d?sslmod=x",
       "the postgres endpoint has an option after \"?\" that libpq does "
       "not know; did you mean \"sslmode\"?"},
      {"sqlite://", "the sqlite endpoint names no file; write sqlite://./db/name.db?_journal=WAL"},
      {"sqlite://./db/",
       "the sqlite endpoint names no file; write sqlite://./db/name.db?_journal=WAL"},
      {"sqlite://a.db-wal",
       "the sqlite endpoint ends in \"-wal\", the name of a file that SQLite or libstorage keeps "
       "beside a database; write sqlite://./db/name.db?_journal=WAL"},
      {"sqlite://:memory:",
       "\":memory:\" and \"file:\" are no places to keep objects in; write "
       "sqlite://./db/name.db?_journal=WAL"},
      {"sqlite://a?x",
       "option 1 after \"?\" is not name=value; write "
       "sqlite://./db/name.db?_journal=WAL, a special character as %XX"},
      {"sqlite://a?x=%1",
       "option 1 after \"?\" has a \"%\" without two hexadecimal digits; write "
       "a percent sign as %25"},
      {"sqlite://a?x=1&x=2", "option 2 after \"?\" was given before; write each option once"},
      {"memory://", "the memory endpoint has no name; write memory://name"},
      {"memory://a/b",
       "a memory endpoint is memory://name with letters, digits, \".\", \"_\" and \"-\""},
  };
  for (const auto& [text, want] : cases) EXPECT_EQ(Parsed(text), want) << text;
}

// A password cut, moved and mistyped in every way: it never comes back.
TEST(TopologyEndpoint, NoPasswordInAnyOutput) {
  const std::string secrets[] = {"Hunter2",    "Hun@ter2",  "Hun/ter2",   "Hun:ter2", "Hun?ter2",
                                 "Hun%40ter2", "Hun(ter2)", "Hun&x=ter2", "12/ter2"};
  const std::string forms[] = {"mysql://u:SECRET@tcp(h:1)/d",
                               "mysql://u:SECRET@tcp(h:1)",
                               "mysql://u:SECRET@h/d",
                               "mysql://u:SECRET",
                               "mysql://u:SECRET@tcp(h)/d?x",
                               "mysql://:SECRET@/",
                               "mysqll://u:SECRET@tcp(h)/d",
                               "u:SECRET@tcp(h)/d",
                               "postgres://u:SECRET@h/d",
                               "postgres://u:SECRET@h:1/d?x",
                               "postgres://:SECRET@h",
                               "postgres//u:SECRET@h/d",
                               "postgres://h/d?password=SECRET",
                               "postgres://h/d?pasword=SECRET",
                               "http://u:SECRET@h:1",
                               "https://h:1,u:SECRET@g:2",
                               "SECRET://h",
                               "sqlite://a?_auth_pass=SECRET"};
  for (const std::string& secret : secrets) {
    for (std::string text : forms) {
      text.replace(text.find("SECRET"), 6, secret);
      for (const char* front : {"", "multi://"}) {
        std::string yaml = "backends:\n- name: a\n  endpoint: '" + std::string(front) + text +
                           "'\n  prefix: {prefix: pods}\n- '" + text + "'\n- '" + text +
                           "': x\n  '" + text + "': y\n- name: '" + text + "'\n  regexp: {key: '" +
                           text + "', prefix: '" + text + "'}\n- prefix: '" + text + "'\n";
        std::string shown = Parsed(front + text);
        absl::StatusOr<Topology> topology = ParseTopology(yaml, "t.yaml");
        ASSERT_FALSE(topology.ok());
        shown += std::string(topology.status().message());
        EXPECT_EQ(shown.find("ter2"), std::string::npos) << text << "\n" << shown;
      }
    }
  }
}

class EndpointFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string dir = ::testing::TempDir() + "/endpoint-XXXXXX";
    ASSERT_NE(mkdtemp(dir.data()), nullptr);
    dir_ = dir;
    path_ = dir_ / "default";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void Write(const std::string& text, mode_t mode) {
    std::ofstream(path_) << text;
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
  }
  std::string Uri() const { return "multi://file://" + path_.string(); }

  std::filesystem::path dir_, path_;
};

TEST_F(EndpointFile, IsReadWhenOthersCannot) {
  Write("mysql://u:pw@tcp(h)/d\n", 0600);
  absl::StatusOr<Endpoint> endpoint = ParseEndpoint(Uri());
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  EXPECT_EQ(endpoint->text, "mysql://u:pw@tcp(h)/d");
  EXPECT_TRUE(endpoint->from_file);
  Write("multi://sqlite:///x.db", 0400);
  EXPECT_EQ(Parsed(Uri()), "sqlite:///x.db | sqlite /x.db");
}

TEST_F(EndpointFile, IsRefusedWhenOthersCan) {
  Write("mysql://u:Hunter2@tcp(h)/d\n", 0640);
  EXPECT_EQ(Parsed(Uri()), "the endpoint file \"" + path_.string() +
                               "\" has mode 0640, so others may read the password in it; run: "
                               "chmod 600 " +
                               path_.string());
}

TEST_F(EndpointFile, BadFiles) {
  EXPECT_EQ(Parsed(Uri()), "the endpoint file \"" + path_.string() +
                               "\" cannot be read: No such file or directory");
  EXPECT_THAT(Parsed("multi://file://" + dir_.string()), HasSubstr("is not a regular file"));
  ASSERT_EQ(mkfifo((dir_ / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(Parsed("multi://file://" + (dir_ / "fifo").string()),
              HasSubstr("is not a regular file"));
  Write(std::string(9000, 'x'), 0600);
  EXPECT_THAT(Parsed(Uri()), HasSubstr("is longer than 8191 bytes"));
  Write("", 0600);
  EXPECT_THAT(Parsed(Uri()), HasSubstr("the endpoint is empty"));
  Write("file:///x", 0600);
  EXPECT_THAT(Parsed(Uri()), HasSubstr("file:// is for the default database only"));
}

}  // namespace
}  // namespace storage
