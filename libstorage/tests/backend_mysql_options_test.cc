// The Go driver's DSN and its options, one by one; the table of errors.
#include <fstream>

#include "absl/strings/str_cat.h"
#include "src/backend/mysql/connection.h"
#include "src/backend/mysql/errors.h"
#include "src/backend/mysql/options.h"
#include "tests/contract/contract_test.h"

namespace storage::mysql {
namespace {

absl::StatusOr<Settings> Parse(const std::string& name, const std::string& value) {
  MysqlOptions options;
  options.name = "b";
  options.options[name] = value;
  return ParseOptions(options);
}

void ExpectRefused(const std::string& name, const std::string& value, const std::string& words) {
  const auto settings = Parse(name, value);
  EXPECT_STREQ(CodeName(CodeOf(settings.status())), "INVALID") << name << "=" << value;
  const std::string message(settings.status().message());
  EXPECT_NE(message.find("option " + name + " "), std::string::npos) << message;
  EXPECT_NE(message.find(words), std::string::npos) << message;
  if (value.size() > 3) {
    EXPECT_EQ(message.find(value), std::string::npos) << message;
  }
}

TEST(MysqlOptionsTest, WhatIsHonoured) {
  EXPECT_EQ(Parse("timeout", "1500ms")->connect_s, 2u);
  EXPECT_EQ(Parse("timeout", "0")->connect_s, Settings().connect_s);
  EXPECT_EQ(Parse("readTimeout", "1m30s")->read_s, 90u);
  EXPECT_EQ(Parse("writeTimeout", "4s")->write_s, 4u);
  EXPECT_EQ(Parse("tls", "true")->tls, TlsMode::kVerify);
  EXPECT_EQ(Parse("tls", "skip-verify")->tls, TlsMode::kSkipVerify);
  EXPECT_EQ(Parse("tls", "preferred")->tls, TlsMode::kPreferred);
  EXPECT_EQ(Parse("tls", "false")->tls, TlsMode::kOff);
  EXPECT_EQ(Parse("allowFallbackToPlaintext", "true")->tls, TlsMode::kPreferred);
  EXPECT_TRUE(Parse("compress", "true")->compress);
  EXPECT_TRUE(Parse("allowCleartextPasswords", "1")->cleartext_passwords);
  EXPECT_FALSE(Parse("allowNativePasswords", "false")->native_passwords);
  EXPECT_FALSE(Parse("checkConnLiveness", "false")->check_liveness);
  EXPECT_EQ(Parse("maxAllowedPacket", "67108864")->max_packet, 67108864);
  EXPECT_EQ(Parse("maxAllowedPacket", "0")->max_packet, 0);
  EXPECT_EQ(Parse("serverPubKey", "/etc/key.pem")->server_key_file, "/etc/key.pem");
  EXPECT_EQ(Parse("connectionAttributes", "a:1,b:2:3")->attributes.at("b"), "2:3");
  EXPECT_EQ(Parse("Sort_Buffer_Size", "4000")->variables[0].first, "sort_buffer_size");
  EXPECT_EQ(Parse("optimizer_switch", "'mrr=on'")->variables[0].second, "'mrr=on'");
  for (const char* name : {"timeout", "tls", "compress", "maxAllowedPacket"}) {
    EXPECT_TRUE(Parse(name, "0")->without_effect.empty()) << name;
  }
}

TEST(MysqlOptionsTest, WhatIsAcceptedWithoutEffect) {
  const std::pair<const char*, const char*> accepted[] = {{"collation", "utf8mb4_unicode_ci"},
                                                          {"charset", "utf8mb4,utf8"},
                                                          {"parseTime", "true"},
                                                          {"loc", "Europe/Paris"},
                                                          {"interpolateParams", "true"},
                                                          {"multiStatements", "true"},
                                                          {"clientFoundRows", "true"},
                                                          {"columnsWithAlias", "false"},
                                                          {"rejectReadOnly", "true"},
                                                          {"allowAllFiles", "false"},
                                                          {"strict", "true"},
                                                          {"timeTruncate", "1ms"},
                                                          {"wait_timeout", "60"},
                                                          {"tx_isolation", "'READ-COMMITTED'"},
                                                          {"sql_mode", "ANSI"},
                                                          {"time_zone", "'UTC'"},
                                                          {"autocommit", "0"}};
  for (const auto& [name, value] : accepted) {
    const auto settings = Parse(name, value);
    ASSERT_TRUE(settings.ok()) << settings.status();
    ASSERT_EQ(settings->without_effect.size(), 1u) << name;
    EXPECT_EQ(settings->without_effect[0], absl::StrCat(name, "=", value));
    EXPECT_TRUE(settings->variables.empty()) << name;
  }
}

TEST(MysqlOptionsTest, WhatIsRefused) {
  ExpectRefused("allowOldPasswords", "true", "give the user a new password");
  EXPECT_TRUE(Parse("allowOldPasswords", "false").ok());
  ExpectRefused("tls", "my-registered-config", "backendTLS");
  ExpectRefused("serverPubKey", "my-registered-key", "path of a PEM file");
  ExpectRefused("timeout", "soonish", "must be a duration");
  ExpectRefused("readTimeout", "-1s", "must be a duration");
  ExpectRefused("writeTimeout", "100h", "must be a duration");
  ExpectRefused("parseTime", "perhaps", "must be true or false");
  ExpectRefused("compress", "gzip", "must be true or false");
  ExpectRefused("maxAllowedPacket", "1000", "65536 or more");
  ExpectRefused("maxAllowedPacket", "16M", "65536 or more");
  ExpectRefused("connectionAttributes", "nothing", "key:value");
  ExpectRefused("unique_checks", "0", "leave it out");
  ExpectRefused("sql_log_bin", "0", "leave it out");
  ExpectRefused("Foreign_Key_Checks", "0", "leave it out");
  ExpectRefused("parsetime", "true", "did you mean parseTime");
  ExpectRefused("some_variable", "1; DROP TABLE x", "leave it out");
  ExpectRefused("some_variable", "'it''s'", "leave it out");
  ExpectRefused("some-variable", "1", "leave it out");
  ExpectRefused("some_variable", "", "leave it out");
}

TEST(MysqlOptionsTest, BackendTls) {
  MysqlOptions options;
  const contract::TempDir dir;
  const auto file = [&](const char* name) {
    std::ofstream(dir.path() + name) << name;
    return dir.path() + name;
  };
  options.tls.ca_file = file("/ca");
  EXPECT_EQ(ParseOptions(options)->tls, TlsMode::kVerify);
  options.tls.skip_verify = true;
  EXPECT_EQ(ParseOptions(options)->tls, TlsMode::kSkipVerify);
  options.tls.cert_file = file("/cert");
  EXPECT_FALSE(ParseOptions(options).ok());
  options.tls.key_file = file("/key");
  EXPECT_TRUE(ParseOptions(options).ok());
}

TEST(MysqlDsnTest, Forms) {
  const auto read = [](const std::string& text) {
    MysqlOptions options;
    const absl::Status status = ReadMysqlDsn(text, &options);
    if (!status.ok()) return std::string(CodeName(CodeOf(status)));
    return absl::StrCat(options.user, "|", options.password, "|", options.host, "|", options.port,
                        "|", options.socket, "|", options.database);
  };
  EXPECT_EQ(read("mysql://u:p@tcp(h:3307)/db?x=y"), "u|p|h|3307||db");
  EXPECT_EQ(read("multi://mysql://u:p@tcp(h)/db"), "u|p|h|3306||db");
  EXPECT_EQ(read("mysql://u:p@s:/w@r?d@tcp(h:1)/db"), "u|p@s:/w@r?d|h|1||db");
  EXPECT_EQ(read("mysql://u@unix(/run/s.sock)/d%2Fb"), "u||127.0.0.1|3306|/run/s.sock|d/b");
  EXPECT_EQ(read("mysql://u@tcp([::1]:3308)/db"), "u||::1|3308||db");
  EXPECT_EQ(read("mysql://u@tcp([::1])/db"), "u||::1|3306||db");
  EXPECT_EQ(read("mysql:///db"), "||127.0.0.1|3306||db");
  EXPECT_EQ(read("mysql://u@tcp/db"), "u||127.0.0.1|3306||db");
  for (const char* wrong :
       {"mysql://u:p@tcp(h:1)", "mysql://u@tcp(h:1)/", "mysql://u@udp(h:1)/db",
        "mysql://u@tcp(h:x)/db", "mysql://u@tcp()/db", "mysql://u@tcp(h:1)/d%b",
        "mysql://u@tcp(h:99999)/db", "mysql://u@unix()/db", "postgres://h/db"}) {
    EXPECT_EQ(read(wrong), "INVALID") << wrong;
  }
}

TEST(MysqlErrorsTest, TheTable) {
  const Site site{"b", "h:1/db", nullptr, 0};
  const std::pair<unsigned, Code> expected[] = {
      {1020, Code::kBusy},        {1205, Code::kBusy},        {1213, Code::kBusy},
      {1290, Code::kReadOnly},    {1792, Code::kReadOnly},    {1836, Code::kReadOnly},
      {2002, Code::kUnavailable}, {2003, Code::kUnavailable}, {2006, Code::kUnavailable},
      {2013, Code::kUnavailable}, {1053, Code::kUnavailable}, {1040, Code::kUnavailable},
      {1158, Code::kUnavailable}, {1159, Code::kUnavailable}, {1160, Code::kUnavailable},
      {1161, Code::kUnavailable}, {1047, Code::kUnavailable}, {3024, Code::kUnavailable},
      {1969, Code::kUnavailable}, {4031, Code::kUnavailable}, {1927, Code::kUnavailable},
      {1045, Code::kInvalid},     {1044, Code::kInvalid},     {1049, Code::kInvalid},
      {1142, Code::kInvalid},     {1021, Code::kNoSpace},     {1114, Code::kNoSpace},
      {1153, Code::kTooLarge},    {1034, Code::kCorrupt},     {1712, Code::kCorrupt},
      {5013, Code::kUnavailable}, {5010, Code::kInvalid},     {1064, Code::kInternal},
      {1062, Code::kInternal}};
  for (const auto& [number, code] : expected) {
    const absl::Status status = FromMysql(number, "doing", "text", site);
    EXPECT_STREQ(CodeName(CodeOf(status)), CodeName(code)) << number;
    EXPECT_EQ(DriverCodeOf(status), static_cast<int32_t>(number));
    EXPECT_EQ(BackendOf(status), "b");
    EXPECT_NE(status.message().find("h:1/db"), std::string::npos);
    EXPECT_NE(CodeOf(status), Code::kConflict);
  }
  EXPECT_EQ(CodeOf(FromMysql(1030, "", "Got error 28 \"No space\" from storage", site)),
            Code::kNoSpace);
  EXPECT_EQ(CodeOf(FromMysql(1026, "", "Error writing file 'x' (Errcode: 28 \"No\")", site)),
            Code::kNoSpace);
  EXPECT_EQ(CodeOf(FromMysql(1030, "", "Got error 126 \"Index\" from", site)), Code::kCorrupt);
  EXPECT_EQ(CodeOf(FromMysql(1030, "", "Got error 5 \"I/O\" from", site)), Code::kUnavailable);
  EXPECT_EQ(CodeOf(FromMysql(1, "", "Can't create/write to file 'x' (Errcode: 28 \"No\")", site)),
            Code::kNoSpace);
  EXPECT_EQ(CodeOf(FromMysql(1, "", "Can't create/write to file 'x' (Errcode: 24 \"Too\")", site)),
            Code::kUnavailable);
  EXPECT_EQ(CodeOf(FromMysql(1028, "", "Sort aborted", site)), Code::kUnavailable);
  EXPECT_EQ(FromMysql(1064, "doing", "near 'SECRET VALUE'", site).message().find("SECRET"),
            std::string::npos);
}

TEST(MysqlErrorsTest, OfCommit) {
  const Site site{"b", "h:1/db", nullptr, 0};
  for (const unsigned sure : {1020U, 1047U, 1205U, 1213U, 1290U, 1792U, 1836U}) {
    EXPECT_NE(CodeOf(FromCommit(sure, "", site)), Code::kOutcomeUnknown) << sure;
  }
  for (const unsigned unsure : {2006U, 2013U, 1053U, 1317U, 1180U, 1030U, 1927U, 1969U}) {
    EXPECT_EQ(CodeOf(FromCommit(unsure, "", site)), Code::kOutcomeUnknown) << unsure;
  }
  for (const unsigned client : {2000U, 2006U, 2013U, 2055U, 5013U, 5026U}) {
    EXPECT_TRUE(IsClientError(client) && LosesConnection(client)) << client;
  }
  for (const unsigned server : {1213U, 1999U, 3024U, 4031U}) EXPECT_FALSE(IsClientError(server));
  EXPECT_EQ(CauseOf(FromCommit(1114, "", site)), Code::kNoSpace);
  EXPECT_EQ(CauseOf(FromCommit(2013, "", site)), Code::kUnavailable);
}

TEST(MysqlLiteralTest, EveryByte) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  const std::string literal = Bytes(all);
  EXPECT_EQ(literal.size(), 256u + 2 + 2);  // quotes around, two bytes escaped
  EXPECT_EQ(Bytes("it's \\"), "'it\\'s \\\\'");
  EXPECT_EQ(Bytes(""), "''");
}

}  // namespace
}  // namespace storage::mysql
