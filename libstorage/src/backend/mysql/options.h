// The options of a MySQL DSN: those of the Go driver go-sql-driver/mysql, which
// users have in their topologies. Pure functions: thread-safe.
#ifndef LIBSTORAGE_SRC_BACKEND_MYSQL_OPTIONS_H_
#define LIBSTORAGE_SRC_BACKEND_MYSQL_OPTIONS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "src/backend/mysql/mysql_backend.h"

namespace storage::mysql {

enum class TlsMode : uint8_t { kOff, kPreferred, kSkipVerify, kVerify };

struct Settings {
  // Whole seconds, which is what the client library counts in.
  unsigned connect_s = 2;
  unsigned read_s = 2;
  unsigned write_s = 2;
  TlsMode tls = TlsMode::kOff;
  bool compress = false;
  bool cleartext_passwords = false;
  bool native_passwords = true;
  bool check_liveness = true;
  int64_t max_packet = 0;  // bytes of one statement; 0 = what the server takes
  std::string server_key_file;
  std::map<std::string, std::string> attributes;
  std::vector<std::pair<std::string, std::string>> variables;  // SET SESSION name = value
  std::vector<std::string> without_effect;  // "name=value" of what was accepted and ignored
};

// INVALID, naming the option and what to write instead. No message repeats a value.
absl::StatusOr<Settings> ParseOptions(const MysqlOptions& options);

}  // namespace storage::mysql

#endif  // LIBSTORAGE_SRC_BACKEND_MYSQL_OPTIONS_H_
