// Certificates for tests of TLS, made by openssl in a private directory that a
// server's user can read. CAs sign for 127.0.0.1, not for localhost.
#ifndef LIBSTORAGE_TESTS_SERVERS_CERTIFICATES_H_
#define LIBSTORAGE_TESTS_SERVERS_CERTIFICATES_H_

#include <string>
#include <vector>

#include "tests/servers/process.h"

namespace storage::servers {

class Certificates {
 public:
  explicit Certificates(const std::string& user) : user_(user), dir_(user) {}

  absl::Status MakeCa(const std::string& name);  // <name>.crt, <name>.key
  // A certificate for a server or for the client of this name.
  absl::Status Make(const std::string& name, const std::string& ca);

  std::string Crt(const std::string& name) const { return dir_.path() + "/" + name + ".crt"; }
  std::string Key(const std::string& name) const { return dir_.path() + "/" + name + ".key"; }
  const std::string& directory() const { return dir_.path(); }

 private:
  absl::Status OpenSsl(const std::vector<std::string>& arguments);

  const std::string user_;
  const ServerDir dir_;
};

}  // namespace storage::servers

#endif  // LIBSTORAGE_TESTS_SERVERS_CERTIFICATES_H_
