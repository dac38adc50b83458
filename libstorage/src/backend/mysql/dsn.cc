// The Go driver's DSN: user, password, address and database.
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "src/backend/mysql/mysql_backend.h"

namespace storage {
namespace {

absl::Status Wrong(const char* what) {
  return MakeStatus(Code::kInvalid,
                    absl::StrCat("the mysql endpoint ", what,
                                 "; write mysql://user:password@tcp(host:3306)/database"));
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool PercentDecode(std::string_view text, std::string* out) {
  out->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      *out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = high < 0 ? -1 : HexDigit(text[i + 2]);
    if (low < 0) return false;
    *out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return true;
}

// tcp(host:port), tcp([v6]:port), unix(/path), tcp or nothing.
bool ReadAddress(std::string_view text, MysqlOptions* options) {
  if (text.empty() || text == "tcp") return true;
  const size_t open = text.find('(');
  if (open == std::string_view::npos || text.back() != ')') return false;
  const std::string_view protocol = text.substr(0, open);
  std::string_view address = text.substr(open + 1, text.size() - open - 2);
  if (protocol == "unix") {
    options->socket = std::string(address);
    return !address.empty();
  }
  if (protocol != "tcp" || address.empty()) return false;
  if (address.front() == '[') {
    const size_t close = address.find(']');
    if (close == std::string_view::npos) return false;
    options->host = std::string(address.substr(1, close - 1));
    address.remove_prefix(close + 1);
  } else {
    const size_t colon = address.find(':');
    options->host = std::string(address.substr(0, colon));
    address.remove_prefix(std::min(address.size(), options->host.size()));
  }
  if (options->host.empty()) return false;
  if (address.empty()) return true;
  return address.front() == ':' &&
         absl::SimpleAtoi(std::string(address.substr(1)), &options->port) && options->port > 0 &&
         options->port < 65536;
}

}  // namespace

// The last '/' ends the address, in what is before it the last '@' ends the
// credentials, and their first ':' begins the password, which is taken as it is.
absl::Status ReadMysqlDsn(std::string_view endpoint, MysqlOptions* options) {
  constexpr std::string_view kScheme = "mysql://";
  const size_t begin = endpoint.find(kScheme);
  if (begin == std::string_view::npos) return Wrong("does not begin with mysql://");
  endpoint.remove_prefix(begin + kScheme.size());
  const size_t slash = endpoint.rfind('/');
  if (slash == std::string_view::npos) return Wrong("has no \"/\" before the database name");
  const std::string_view before = endpoint.substr(0, slash);
  std::string_view database = endpoint.substr(slash + 1);
  database = database.substr(0, database.find('?'));
  const size_t at = before.rfind('@');
  const std::string_view user = at == std::string_view::npos ? "" : before.substr(0, at);
  const size_t colon = user.find(':');
  options->user = std::string(user.substr(0, colon));
  options->password =
      colon == std::string_view::npos ? std::string() : std::string(user.substr(colon + 1));
  if (!ReadAddress(at == std::string_view::npos ? before : before.substr(at + 1), options)) {
    return Wrong("has no address of the form tcp(host:port) or unix(/socket)");
  }
  if (!PercentDecode(database, &options->database) || options->database.empty()) {
    return Wrong("names no database after the last \"/\"");
  }
  return absl::OkStatus();
}

}  // namespace storage
