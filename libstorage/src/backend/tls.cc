#include "src/backend/tls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace storage {
namespace {

// "" = good.
std::string WrongWith(const std::string& path) {
  // O_NONBLOCK: a FIFO in the place of the file must not stop the start.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::StrCat("cannot be read: ", std::strerror(errno));
  struct stat info;
  const bool known = ::fstat(fd, &info) == 0;
  ::close(fd);
  if (!known || S_ISDIR(info.st_mode)) return "is a directory";
  if (!S_ISREG(info.st_mode)) return "is no regular file";
  return info.st_size == 0 ? "is empty" : "";
}

}  // namespace

absl::Status CheckTlsFile(const std::string& what, const std::string& path,
                          const std::string& backend) {
  if (path.empty()) return absl::OkStatus();
  const std::string wrong = WrongWith(path);
  if (wrong.empty()) return absl::OkStatus();
  return MakeStatus(
      Code::kInvalid,
      absl::StrCat(what, ", ", path, ", ", wrong, "; name a PEM file that this process may read"),
      backend);
}

absl::Status CheckTlsFiles(const BackendTls& tls, const std::string& backend) {
  if (tls.cert_file.empty() != tls.key_file.empty()) {
    return MakeStatus(Code::kInvalid,
                      "certFile and keyFile of backendTLS belong together; give both", backend);
  }
  absl::Status status = CheckTlsFile("caFile of backendTLS", tls.ca_file, backend);
  if (status.ok()) status = CheckTlsFile("certFile of backendTLS", tls.cert_file, backend);
  if (status.ok()) status = CheckTlsFile("keyFile of backendTLS", tls.key_file, backend);
  return status;
}

std::string TlsRemedy(const BackendTls& tls) {
  std::string text = "; check backendTLS: ";
  if (tls.skip_verify) {
    text += "the server's certificate is not verified (skipVerify)";
  } else if (tls.ca_file.empty()) {
    text += "no caFile is given, so only public CAs are trusted: name the CA of the server there";
  } else {
    absl::StrAppend(&text, "caFile ", tls.ca_file,
                    " must hold the CA of the server, whose certificate must name its host");
  }
  if (tls.cert_file.empty()) return text + ", no certFile is given: the server may want one";
  return absl::StrCat(text, ", and the server must accept certFile ", tls.cert_file,
                      " with keyFile ", tls.key_file);
}

}  // namespace storage
