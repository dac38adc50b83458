#include "tests/servers/certificates.h"

#include <fstream>

namespace storage::servers {

absl::Status Certificates::OpenSsl(const std::vector<std::string>& arguments) {
  ProcessSpec spec;
  spec.argv = {"/usr/bin/openssl"};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  spec.user = user_;
  spec.directory = dir_.path();
  spec.log = dir_.path() + "/openssl.log";
  return RunToEnd(spec, absl::Seconds(60));
}

absl::Status Certificates::MakeCa(const std::string& name) {
  return OpenSsl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                  "-nodes", "-days", "2", "-subj", "/CN=" + name, "-keyout", name + ".key", "-out",
                  name + ".crt"});
}

absl::Status Certificates::Make(const std::string& name, const std::string& ca) {
  std::ofstream(dir_.path() + "/ext") << "subjectAltName=IP:127.0.0.1\n";
  absl::Status made =
      OpenSsl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-subj", "/CN=" + name, "-keyout", name + ".key", "-out", name + ".csr"});
  if (!made.ok()) return made;
  return OpenSsl({"x509", "-req", "-in", name + ".csr", "-CA", ca + ".crt", "-CAkey", ca + ".key",
                  "-CAcreateserial", "-days", "2", "-extfile", "ext", "-out", name + ".crt"});
}

}  // namespace storage::servers
