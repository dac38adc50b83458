// Which TLS settings each part of an engine is opened with: a rule its own, the
// default database and the metadata store those of the flags. Files that are not
// there tell on whoever gets them.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "src/engine/backends.h"
#include "tests/engine/harness.h"

namespace storage {
namespace {

using testing::HasSubstr;
using testing::Not;

// Nobody listens there: what fails first are the files, else the connection.
const char* const kEndpoints[] = {"https://127.0.0.1:1", "postgres://u:p@127.0.0.1:1/d",
                                  "mysql://u:p@tcp(127.0.0.1:1)/d"};

Endpoint Parsed(const std::string& text) {
  absl::StatusOr<Endpoint> endpoint = ParseEndpoint(text);
  EXPECT_TRUE(endpoint.ok()) << endpoint.status();
  return endpoint.ok() ? *endpoint : Endpoint();
}

TlsSettings WithCa(const std::string& file) {
  TlsSettings tls;
  tls.ca_file = file;
  return tls;
}

std::string Refusal(const absl::Status& status) {
  EXPECT_FALSE(status.ok());
  return std::string(status.message());
}

TEST(EngineTls, TheDefaultDatabaseHasItsOwnAndARuleItsOwn) {
  EngineOptions options;
  options.default_tls = WithCa("/default.ca");
  options.metadata_tls = WithCa("/metadata.ca");
  Rule rule;
  rule.tls = WithCa("/rule.ca");
  for (const char* text : kEndpoints) {
    const Endpoint endpoint = Parsed(text);
    EXPECT_THAT(Refusal(OpenBackend("default", endpoint, nullptr, false, options).status()),
                HasSubstr("caFile of backendTLS, /default.ca"));
    EXPECT_THAT(Refusal(OpenBackend("a", endpoint, &rule, false, options).status()),
                HasSubstr("caFile of backendTLS, /rule.ca"));
    rule.tls = TlsSettings();
    EXPECT_THAT(Refusal(OpenBackend("a", endpoint, &rule, false, options).status()),
                Not(HasSubstr("default.ca")));
    rule.tls = WithCa("/rule.ca");
  }
}

TEST(EngineTls, TheMetadataStoreHasItsOwnOrThatOfTheDefaultDatabaseItIsPartOf) {
  for (const char* text : kEndpoints) {
    const Endpoint endpoint = Parsed(text);
    EngineOptions options;
    options.default_tls = WithCa("/default.ca");
    EXPECT_THAT(Refusal(OpenMetadata(endpoint, false, options).status()), HasSubstr("/default.ca"));
    options.metadata_endpoint = text;
    EXPECT_THAT(Refusal(OpenMetadata(endpoint, false, options).status()),
                Not(HasSubstr("/default.ca")));
    options.metadata_tls = WithCa("/metadata.ca");
    EXPECT_THAT(Refusal(OpenMetadata(endpoint, false, options).status()),
                HasSubstr("/metadata.ca"));
    options.metadata_endpoint.clear();
    EXPECT_THAT(Refusal(OpenMetadata(endpoint, false, options).status()),
                HasSubstr("/metadata.ca"));
  }
}

}  // namespace
}  // namespace storage
