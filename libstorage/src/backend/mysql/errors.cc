#include "src/backend/mysql/errors.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace storage::mysql {
namespace {

enum Session : uint8_t { kKeeps, kLoses };

struct Mapping {
  unsigned number;
  Code code;
  Session session;
  const char* remedy;  // "" = the server's text says it all
};

constexpr char kWait[] = "it is tried again";
constexpr char kDown[] = "check that the server runs and can be reached";
constexpr char kUser[] =
    "check user and password in the endpoint, and whether this user has to use TLS or a client "
    "certificate (certFile of backendTLS)";
constexpr char kGrant[] =
    "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, INDEX, ALTER on the database to this user";
constexpr char kFull[] = "free space on the server's file system";
constexpr char kDamaged[] = "run CHECK TABLE on the server and restore a backup";
constexpr char kReadOnlyText[] =
    "the endpoint must name the primary, and read_only must be OFF there";
constexpr char kPacket[] = "raise max_allowed_packet on the server, or store smaller values";
constexpr char kSlow[] = "the server is too slow, or the endpoint's readTimeout too short";

// docs/format-mysql.md explains the groups.
constexpr Mapping kMappings[] = {
    // Transactions that the server gave up, with nothing of them left.
    {1020, Code::kBusy, kKeeps, kWait},
    {1205, Code::kBusy, kKeeps, "another session holds the lane; it is tried again"},
    {1213, Code::kBusy, kKeeps, kWait},
    {3101, Code::kBusy, kKeeps, kWait},
    // Read-only servers.
    {1290, Code::kReadOnly, kLoses, kReadOnlyText},
    {1792, Code::kReadOnly, kLoses, kReadOnlyText},
    {1836, Code::kReadOnly, kLoses, kReadOnlyText},
    // Outages.
    {1040, Code::kUnavailable, kLoses, "raise max_connections, or lower maxOpen of the pools"},
    {1203, Code::kUnavailable, kLoses, "raise max_user_connections, or lower maxOpen of the pools"},
    {1226, Code::kUnavailable, kLoses, "raise the user's resource limits"},
    {1041, Code::kUnavailable, kLoses, "the server is out of memory"},
    {1037, Code::kUnavailable, kLoses, "the server is out of memory"},
    {1038, Code::kUnavailable, kKeeps, "raise sort_buffer_size on the server"},
    {1047, Code::kUnavailable, kLoses, "this Galera node is not part of the primary component"},
    {1053, Code::kUnavailable, kLoses, kDown},
    {1129, Code::kUnavailable, kLoses, "run FLUSH HOSTS on the server"},
    {1152, Code::kUnavailable, kLoses, kDown},
    {1158, Code::kUnavailable, kLoses, kDown},
    {1159, Code::kUnavailable, kLoses, kDown},
    {1160, Code::kUnavailable, kLoses, kDown},
    {1161, Code::kUnavailable, kLoses, kDown},
    {1184, Code::kUnavailable, kLoses, kDown},
    {1317, Code::kUnavailable, kKeeps, "somebody used KILL QUERY on the server"},
    {1927, Code::kUnavailable, kLoses, "the server ended the session"},
    {1969, Code::kUnavailable, kKeeps, kSlow},
    {3024, Code::kUnavailable, kKeeps, kSlow},
    {4031, Code::kUnavailable, kLoses, "the server ended the idle session"},
    {2000, Code::kUnavailable, kLoses, kDown},
    {2001, Code::kUnavailable, kLoses, kDown},
    {2002, Code::kUnavailable, kLoses, kDown},
    {2003, Code::kUnavailable, kLoses, kDown},
    {2004, Code::kUnavailable, kLoses, kDown},
    {2005, Code::kUnavailable, kLoses, "the host name in the endpoint cannot be resolved"},
    {2006, Code::kUnavailable, kLoses, kDown},
    {2008, Code::kUnavailable, kLoses, "the process is out of memory"},
    {2012, Code::kUnavailable, kLoses, kDown},
    {2013, Code::kUnavailable, kLoses, kDown},
    {2014, Code::kUnavailable, kLoses, kDown},
    {2026, Code::kUnavailable, kLoses, "TLS failed: see also the tls option of the endpoint"},
    {2027, Code::kUnavailable, kLoses, kDown},
    {2055, Code::kUnavailable, kLoses, kDown},
    {5013, Code::kUnavailable, kLoses, kDown},
    {5014, Code::kUnavailable, kLoses, kDown},
    {5015, Code::kUnavailable, kLoses, kDown},
    // Settings to be corrected by a person.
    {1044, Code::kInvalid, kLoses, kGrant},
    {1045, Code::kInvalid, kLoses, kUser},
    {1049, Code::kInvalid, kLoses, "create the database, or correct its name in the endpoint"},
    {1071, Code::kInvalid, kKeeps, "the server needs innodb_page_size=16k or more"},
    {1130, Code::kInvalid, kLoses, "allow this host for the user on the server"},
    {1142, Code::kInvalid, kKeeps, kGrant},
    {1143, Code::kInvalid, kKeeps, kGrant},
    {1193, Code::kInvalid, kLoses, "the endpoint sets a variable that this server does not have"},
    {1227, Code::kInvalid, kLoses, kGrant},
    {1231, Code::kInvalid, kLoses, "the endpoint sets a variable to a value that it cannot have"},
    {1232, Code::kInvalid, kLoses, "the endpoint sets a variable to a value that it cannot have"},
    {1251, Code::kInvalid, kLoses, "the user's authentication plugin is too old for this client"},
    {1286, Code::kInvalid, kKeeps, "the server has no InnoDB; enable it"},
    {1370, Code::kInvalid, kKeeps, kGrant},
    {1524, Code::kInvalid, kLoses, "the user's authentication plugin is not known"},
    {1665, Code::kInvalid, kKeeps, "set binlog_format=MIXED or ROW on the server"},
    {1698, Code::kInvalid, kLoses, kUser},
    {1862, Code::kInvalid, kLoses, "the user's password has expired"},
    {3159, Code::kInvalid, kLoses,
     "this server wants TLS: give backendTLS, or tls=true in the endpoint"},
    {2019, Code::kInvalid, kLoses, "the client library lacks this character set"},
    {2049, Code::kInvalid, kLoses,
     "old password hashes are not safe; give the user a new password"},
    {2054, Code::kInvalid, kLoses, "the client library lacks the user's authentication plugin"},
    {2059, Code::kInvalid, kLoses, "the client library lacks the user's authentication plugin"},
    {2061, Code::kInvalid, kLoses,
     "use TLS or a Unix socket for this authentication plugin, or a serverPubKey file"},
    {5010, Code::kInvalid, kLoses,
     "the server asks for an authentication plugin that the endpoint does not allow"},
    {5012, Code::kInvalid, kLoses, "the client library lacks the user's authentication plugin"},
    // Space and sizes.
    {1021, Code::kNoSpace, kKeeps, kFull},
    {1114, Code::kNoSpace, kKeeps, kFull},
    {1118, Code::kTooLarge, kKeeps, kPacket},
    {1153, Code::kTooLarge, kLoses, kPacket},
    {1162, Code::kTooLarge, kKeeps, kPacket},
    {1301, Code::kTooLarge, kKeeps, kPacket},
    {1406, Code::kTooLarge, kKeeps, "keys have at most 1,024 bytes"},
    {2020, Code::kTooLarge, kLoses, kPacket},
    // Damage.
    {1033, Code::kCorrupt, kKeeps, kDamaged},
    {1034, Code::kCorrupt, kKeeps, kDamaged},
    {1035, Code::kCorrupt, kKeeps, kDamaged},
    {1054, Code::kCorrupt, kKeeps, "a column of ours is gone; restore a backup"},
    {1146, Code::kCorrupt, kKeeps, "a table of ours is gone; restore a backup"},
    {1194, Code::kCorrupt, kKeeps, kDamaged},
    {1195, Code::kCorrupt, kKeeps, kDamaged},
    {1712, Code::kCorrupt, kKeeps, kDamaged},
    {1877, Code::kCorrupt, kKeeps, kDamaged},
    {1932, Code::kCorrupt, kKeeps, kDamaged},
    {1976, Code::kCorrupt, kKeeps, kDamaged},
};

// COMMIT answered with one of these: the transaction is rolled back, or will be
// when the session ends.
constexpr unsigned kNotCommitted[] = {1020, 1047, 1205, 1213, 1290, 1792, 1836, 3101};

// The server's text repeats a piece of the statement, and so maybe of a value.
constexpr unsigned kSaysTooMuch[] = {1064, 1062, 1292, 1366, 1411, 1690};

template <typename Numbers>
bool Has(const Numbers& numbers, unsigned number) {
  return std::find(std::begin(numbers), std::end(numbers), number) != std::end(numbers);
}

// Those of files, which are below 1000, and these carry the operating system's
// error number in their text.
constexpr unsigned kWithErrno[] = {1004, 1016, 1026, 1028, 1030, 1180};

const Mapping* FindByText(unsigned number, std::string_view detail) {
  static constexpr Mapping kFullDisk{0, Code::kNoSpace, kKeeps, kFull};
  static constexpr Mapping kDisk{0, Code::kUnavailable, kKeeps, "look for disk errors there"};
  static constexpr Mapping kDamage{0, Code::kCorrupt, kKeeps, kDamaged};
  if (number >= 1000 && !Has(kWithErrno, number)) return nullptr;
  const std::string text(detail);
  for (const char* full : {"error 28 ", "error 28,", "rrcode: 28 ", "error: 28 ", "error 122 ",
                           "error 135 ", "No space left"}) {
    if (absl::StrContains(text + " ", full)) return &kFullDisk;
  }
  for (const char* damaged :
       {"error 126 ", "error 127 ", "error 134 ", "error 145 ", "error 192 "}) {
    if (absl::StrContains(text + " ", damaged)) return &kDamage;
  }
  return &kDisk;
}

const Mapping* Find(unsigned number, std::string_view detail) {
  for (const Mapping& mapping : kMappings) {
    if (mapping.number == number) return &mapping;
  }
  return FindByText(number, detail);
}

std::string Text(unsigned number, std::string_view what, std::string_view detail, const Site& site,
                 const char* remedy) {
  std::string text(what);
  absl::StrAppend(&text, " in ", site.where, ": ");
  if (Has(kSaysTooMuch, number)) {
    text += "the server refused the statement";
  } else {
    text.append(detail);
  }
  absl::StrAppend(&text, " (MySQL error ", number, ")");
  if (remedy[0] != '\0') absl::StrAppend(&text, "; ", remedy);
  return text;
}

}  // namespace

void Log(const Site& site, LogLevel level, const std::string& message) {
  if (site.logger == nullptr) return;
  site.logger->Log(level, absl::StrCat(site.name, ": ", message));
}

absl::Status FromMysql(unsigned number, std::string_view what, std::string_view detail,
                       const Site& site) {
  const Mapping* const mapping = Find(number, detail);
  const Code code = mapping == nullptr ? Code::kInternal : mapping->code;
  const char* const remedy = mapping == nullptr ? "" : mapping->remedy;
  return MakeStatus(code, Text(number, what, detail, site, remedy), site.name,
                    static_cast<int32_t>(number));
}

absl::Status FromCommit(unsigned number, std::string_view detail, const Site& site) {
  if (Has(kNotCommitted, number)) return FromMysql(number, "committing", detail, site);
  const Mapping* const mapping = Find(number, detail);
  absl::Status status = MakeStatus(
      Code::kOutcomeUnknown,
      Text(number, "committing", detail, site, mapping == nullptr ? "" : mapping->remedy),
      site.name, static_cast<int32_t>(number));
  if (mapping != nullptr && mapping->code == Code::kNoSpace) SetCause(&status, Code::kNoSpace);
  return status;
}

bool IsClientError(unsigned number) {
  return (number >= 2000 && number < 3000) || (number >= 5000 && number < 6000);
}

bool LosesConnection(unsigned number) {
  for (const Mapping& mapping : kMappings) {
    if (mapping.number == number) return mapping.session == kLoses;
  }
  return IsClientError(number);
}

}  // namespace storage::mysql
