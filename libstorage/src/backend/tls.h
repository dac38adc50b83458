// The TLS settings that the databases with a server share: the files, checked
// before a client library gets them, and the words of a handshake that failed.
// Threads: any; pure but for looking at the files.
#ifndef LIBSTORAGE_SRC_BACKEND_TLS_H_
#define LIBSTORAGE_SRC_BACKEND_TLS_H_

#include <string>

#include "src/base/status.h"

namespace storage {

struct BackendTls {  // backendTLS of a rule; "" = not given
  std::string ca_file, cert_file, key_file;
  bool skip_verify = false;

  bool any_file() const { return !ca_file.empty() || !cert_file.empty() || !key_file.empty(); }
};

// INVALID, naming setting and file, unless the files that are given are files with
// something in them that this process may read, and certFile and keyFile come
// together. Client libraries pass over a missing file, or name none.
absl::Status CheckTlsFiles(const BackendTls& tls, const std::string& backend);

// The same for one file; what: "caFile of backendTLS".
absl::Status CheckTlsFile(const std::string& what, const std::string& path,
                          const std::string& backend);

// What to look at when the server's certificate, or ours, is not accepted: names
// the files. Begins with "; ".
std::string TlsRemedy(const BackendTls& tls);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BACKEND_TLS_H_
