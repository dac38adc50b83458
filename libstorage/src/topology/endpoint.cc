// ParseEndpoint: which kind of database an endpoint names, and the kinds whose
// form is short. Client/server databases: endpoint_server.cc.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/topology/diagnostics.h"
#include "src/topology/endpoint_parts.h"
#include "src/topology/topology.h"

namespace storage {
namespace {

constexpr char kForms[] = "http:// or https:// (etcd), mysql://, postgres:// or sqlite://";
constexpr char kSqliteForm[] = "sqlite://./db/name.db?_journal=WAL";
constexpr std::string_view kMulti = "multi://";
constexpr std::string_view kFile = "file://";

bool TakePrefix(std::string_view prefix, std::string_view* text) {
  if (text->substr(0, prefix.size()) != prefix) return false;
  text->remove_prefix(prefix.size());
  return true;
}

bool HasControlBytes(std::string_view text) {
  for (char c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) return true;
  }
  return false;
}

class OpenFile {
 public:
  explicit OpenFile(const std::string& path)
      // O_NONBLOCK: a FIFO in the place of the file must not stop the start.
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

// The mode is asked of the opened file, so it is that of the bytes read.
absl::StatusOr<std::string> ReadPrivateFile(const std::string& path) {
  OpenFile file(path);
  struct stat info;
  if (file.fd() < 0 || ::fstat(file.fd(), &info) != 0) {
    return EndpointError(
        absl::StrCat("the endpoint file ", Quote(path), " cannot be read: ", std::strerror(errno)));
  }
  if (!S_ISREG(info.st_mode)) {
    return EndpointError(absl::StrCat("the endpoint file ", Quote(path), " is not a regular file"));
  }
  if ((info.st_mode & 0077) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof(mode), "%04o", static_cast<unsigned>(info.st_mode & 07777));
    return EndpointError(absl::StrCat("the endpoint file ", Quote(path), " has mode ", mode,
                                      ", so others may read the password in it; run: chmod 600 ",
                                      path));
  }
  char buffer[8192];
  ssize_t got = ::read(file.fd(), buffer, sizeof(buffer));
  if (got < 0 || got == static_cast<ssize_t>(sizeof(buffer))) {
    return EndpointError(absl::StrCat("the endpoint file ", Quote(path), " is longer than ",
                                      sizeof(buffer) - 1, " bytes or cannot be read"));
  }
  std::string text(buffer, static_cast<size_t>(got));
  absl::StripAsciiWhitespace(&text);
  return text;
}

absl::Status UnknownScheme(std::string_view text) {
  std::vector<std::string> schemes = {"http", "https", "mysql", "postgres", "sqlite", "memory"};
  size_t end = text.find("://");
  // Only our own words are repeated: what stands before "://" may be a password.
  std::string nearest = end == std::string_view::npos ? "" : Nearest(text.substr(0, end), schemes);
  if (!nearest.empty()) {
    return EndpointError(absl::StrCat("the endpoint has an unknown scheme; did you mean ", nearest,
                                      "://? It must begin with ", kForms));
  }
  return EndpointError(absl::StrCat("the endpoint must begin with ", kForms));
}

absl::Status ParseByScheme(std::string_view rest, Endpoint* endpoint) {
  std::string_view text = rest;
  if (TakePrefix("http://", &rest) || TakePrefix("https://", &rest)) return ParseEtcd(endpoint);
  if (TakePrefix("mysql://", &rest)) return ParseMysql(rest, endpoint);
  if (TakePrefix("postgres://", &rest) || TakePrefix("postgresql://", &rest)) {
    return ParsePostgres(rest, endpoint);
  }
  if (TakePrefix("sqlite://", &rest)) return ParseSqlite(rest, endpoint);
  if (TakePrefix("memory://", &rest)) return ParseMemory(rest, endpoint);
  if (TakePrefix(kFile, &rest)) {
    return EndpointError(
        "file:// is for the default database only, as multi://file:///path; write the endpoint "
        "itself");
  }
  return UnknownScheme(text);
}

}  // namespace

absl::Status ParseSqlite(std::string_view rest, Endpoint* endpoint) {
  endpoint->kind = EndpointKind::kSqlite;
  size_t question = rest.find('?');
  endpoint->path = std::string(rest.substr(0, question));
  if (endpoint->path.empty() || endpoint->path.back() == '/') {
    return EndpointError(absl::StrCat("the sqlite endpoint names no file; write ", kSqliteForm));
  }
  if (endpoint->path[0] == ':' || endpoint->path.rfind("file:", 0) == 0) {
    return EndpointError(absl::StrCat(
        "\":memory:\" and \"file:\" are no places to keep objects in; write ", kSqliteForm));
  }
  // As a database these would be written over by the one whose files they are.
  for (const char* suffix : {"-wal", "-shm", "-journal", ".lock"}) {
    if (absl::EndsWith(endpoint->path, suffix)) {
      return EndpointError(absl::StrCat("the sqlite endpoint ends in \"", suffix,
                                        "\", the name of a file that SQLite or libstorage keeps "
                                        "beside a database; write ",
                                        kSqliteForm));
    }
  }
  std::string options;
  if (question != std::string_view::npos) {
    absl::Status status = ParseOptions(rest.substr(question + 1), kSqliteForm, endpoint, &options);
    if (!status.ok()) return status;
  }
  endpoint->redacted = absl::StrCat("sqlite://", endpoint->path, options);
  return absl::OkStatus();
}

absl::Status ParseMemory(std::string_view rest, Endpoint* endpoint) {
  endpoint->kind = EndpointKind::kMemory;
  endpoint->path = std::string(rest);
  for (char c : rest) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') {
      return EndpointError(
          "a memory endpoint is memory://name with letters, digits, \".\", \"_\" and \"-\"");
    }
  }
  if (rest.empty()) return EndpointError("the memory endpoint has no name; write memory://name");
  endpoint->redacted = endpoint->text;
  return absl::OkStatus();
}

absl::StatusOr<Endpoint> ParseEndpoint(std::string_view text) {
  Endpoint endpoint;
  if (TakePrefix(kMulti, &text) && TakePrefix(kFile, &text)) {
    absl::StatusOr<std::string> content = ReadPrivateFile(std::string(text));
    if (!content.ok()) return content.status();
    endpoint.from_file = true;
    endpoint.text = *std::move(content);
    text = endpoint.text;
    TakePrefix(kMulti, &text);
  }
  endpoint.text = std::string(text);
  if (endpoint.text.empty()) {
    return EndpointError(
        absl::StrCat("the endpoint is empty; write one that begins with ", kForms));
  }
  if (HasControlBytes(endpoint.text) || endpoint.text.front() == ' ' ||
      endpoint.text.back() == ' ') {
    return EndpointError(
        "the endpoint has control characters in it, or blanks around it; write it on one line");
  }
  std::string copy = endpoint.text;  // ParseByScheme reads it while it fills endpoint
  absl::Status status = ParseByScheme(copy, &endpoint);
  if (!status.ok()) return status;
  return endpoint;
}

}  // namespace storage
