// Any bytes as an endpoint, and any bytes as a password in an endpoint: it must
// not come back in a message or in the redacted form.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "src/topology/topology.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

std::string Shown(const std::string& text) {
  absl::StatusOr<storage::Endpoint> endpoint = storage::ParseEndpoint(text);
  if (!endpoint.ok()) {
    Require(storage::CodeOf(endpoint.status()) == storage::Code::kInvalid);
    Require(!endpoint.status().message().empty());
    return std::string(endpoint.status().message());
  }
  Require(!endpoint->redacted.empty());
  // What is safe to print parses as the same database.
  absl::StatusOr<storage::Endpoint> again = storage::ParseEndpoint(endpoint->redacted);
  Require(again.ok() && again->kind == endpoint->kind);
  Require(storage::EndpointIdentity(*again) == storage::EndpointIdentity(*endpoint));
  Require(again->redacted == endpoint->redacted);
  return endpoint->redacted + "\n" + storage::EndpointIdentity(*endpoint);
}

constexpr char kMark[] = "Zq9";

// With "=" in it, what follows may be a correct endpoint of its own whose
// option nobody can tell from the rest of a password.
bool CanBePassword(const std::string& text) { return text.find('=') == std::string::npos; }

void TryPassword(const std::string& middle) {
  static constexpr const char* kForms[] = {"mysql://u:%@tcp(h:1)/d",
                                           "mysql://u:%@tcp(h:1)",
                                           "mysql://u:%@h/d",
                                           "mysql://:%@/",
                                           "postgres://u:%@h:1/d",
                                           "postgres://u:%@h/d?sslmode=require",
                                           "postgres://:%@",
                                           "postgres://h/d?password=%",
                                           "http://u:%@h:1",
                                           "https://h:1,https://u:%@h:2",
                                           "u:%@h",
                                           "mysqll://u:%@tcp(h)/d",
                                           "sqlite://a?_auth_pass=%"};
  std::string password = kMark + middle + kMark;
  for (std::string text : kForms) {
    text.replace(text.find('%'), 1, password);
    for (const char* front : {"", "multi://"}) {
      Require(Shown(front + text).find(kMark) == std::string::npos);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string input(reinterpret_cast<const char*>(data), size);
  // A path of the input's choice is not opened.
  if (input.find("multi://file:") == std::string::npos) Shown(input);
  if (CanBePassword(input) && input.find(kMark) == std::string::npos) TryPassword(input);
  return 0;
}
