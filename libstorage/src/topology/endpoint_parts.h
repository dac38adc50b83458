// The endpoint forms one by one; ParseEndpoint chooses. No message of these
// functions repeats any of the text it was given: a typing error can make a
// password look like a host, a port or an option.
#ifndef LIBSTORAGE_SRC_TOPOLOGY_ENDPOINT_PARTS_H_
#define LIBSTORAGE_SRC_TOPOLOGY_ENDPOINT_PARTS_H_

#include <map>
#include <string>
#include <string_view>

#include "src/base/status.h"
#include "src/topology/topology.h"

namespace storage {

// rest = what follows "scheme://"; endpoint->text is set already.
absl::Status ParseEtcd(Endpoint* endpoint);
absl::Status ParseMysql(std::string_view rest, Endpoint* endpoint);
absl::Status ParsePostgres(std::string_view rest, Endpoint* endpoint);
absl::Status ParseSqlite(std::string_view rest, Endpoint* endpoint);
absl::Status ParseMemory(std::string_view rest, Endpoint* endpoint);

// "a=1&b=2" into options, values percent-decoded, and the same text up to the
// first secret-looking option, whose value is replaced, into *redacted ("?..." or "").
absl::Status ParseOptions(std::string_view query, const std::string& form, Endpoint* endpoint,
                          std::string* redacted);

// host, host:port, [v6]:port. *port = "" when there is none.
bool SplitHostPort(std::string_view text, std::string* host, std::string* port);

// Decodes %XX. False: a '%' without two hexadecimal digits.
bool PercentDecode(std::string_view text, std::string* out);

absl::Status EndpointError(const std::string& message);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_TOPOLOGY_ENDPOINT_PARTS_H_
