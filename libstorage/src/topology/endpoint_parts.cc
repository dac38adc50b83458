#include "src/topology/endpoint_parts.h"

#include <algorithm>
#include <initializer_list>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace storage {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool ContainsAny(const std::string& option, std::initializer_list<const char*> words) {
  std::string lower = absl::AsciiStrToLower(option);
  for (const char* word : words) {
    if (absl::StrContains(lower, word)) return true;
  }
  return false;
}

// Rather one value too many hidden than one too few.
bool LooksSecret(const std::string& option) {
  return ContainsAny(option, {"pass", "pwd", "secret", "token", "key", "auth", "salt"});
}

bool IsPassword(const std::string& option) {
  return option != "passfile" && ContainsAny(option, {"pass", "pwd", "secret", "token"});
}

bool IsPort(std::string_view text) {
  if (text.empty() || text.size() > 5) return false;
  int port = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    port = port * 10 + (c - '0');
  }
  return port > 0 && port < 65536;
}

bool IsOptionName(std::string_view name) {
  for (char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.' && c != '-') {
      return false;
    }
  }
  return !name.empty();
}

}  // namespace

absl::Status EndpointError(const std::string& message) {
  return MakeStatus(Code::kInvalid, message);
}

bool PercentDecode(std::string_view text, std::string* out) {
  out->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      *out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return false;
    int high = HexDigit(text[i + 1]);
    int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return false;
    *out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return true;
}

bool SplitHostPort(std::string_view text, std::string* host, std::string* port) {
  port->clear();
  size_t colon;
  if (!text.empty() && text.front() == '[') {
    size_t close = text.find(']');
    if (close == std::string_view::npos || close == 1) return false;
    if (text.find_first_not_of("0123456789abcdefABCDEF:.%", 1) != close) return false;
    *host = std::string(text.substr(0, close + 1));
    colon = close + 1 == text.size() ? std::string_view::npos : close + 1;
  } else {
    colon = text.find(':');
    *host = std::string(text.substr(0, colon));
    for (char c : *host) {
      unsigned char byte = static_cast<unsigned char>(c);
      if (!absl::ascii_isalnum(byte) && c != '.' && c != '-' && c != '_') return false;
    }
  }
  if (colon == std::string_view::npos) return !host->empty();
  if (text[colon] != ':' || !IsPort(text.substr(colon + 1))) return false;
  *port = std::string(text.substr(colon + 1));
  return !host->empty();
}

absl::Status ParseOptions(std::string_view query, const std::string& form, Endpoint* endpoint,
                          std::string* redacted) {
  int number = 0;
  // What follows a secret may be the rest of it, behind a "&" that was not
  // written as %26: nothing of it is shown.
  bool hidden = false;
  while (!query.empty()) {
    std::string_view item = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), item.size() + 1));
    if (item.empty()) continue;
    ++number;
    size_t equals = item.find('=');
    std::string name(item.substr(0, equals));
    std::string value;
    if (equals == std::string_view::npos || !IsOptionName(name)) {
      return EndpointError(absl::StrCat("option ", number, " after \"?\" is not name=value; write ",
                                        form, ", a special character as %XX"));
    }
    if (!PercentDecode(item.substr(equals + 1), &value)) {
      return EndpointError(absl::StrCat("option ", number,
                                        " after \"?\" has a \"%\" without two hexadecimal digits; "
                                        "write a percent sign as %25"));
    }
    if (!endpoint->options.emplace(name, value).second) {
      return EndpointError(
          absl::StrCat("option ", number, " after \"?\" was given before; write each option once"));
    }
    endpoint->has_password = endpoint->has_password || IsPassword(name);
    if (hidden) continue;
    hidden = LooksSecret(name);
    absl::StrAppend(redacted, redacted->empty() ? "?" : "&", name, "=",
                    hidden ? "***" : std::string(item.substr(equals + 1)));
  }
  return absl::OkStatus();
}

}  // namespace storage
