#include "src/backend/etcd/errors.h"

#include <grpcpp/support/status_code_enum.h>

#include "absl/strings/str_cat.h"

namespace storage::etcd {
namespace {

struct Entry {
  int grpc_code;      // -1 = any
  const char* words;  // in the message; "" = any
  Code code;
  Fate fate;
  const char* remedy;
};

constexpr char kSpaceRemedy[] =
    "; let it compact, defragment its members (etcdctl defrag), raise --quota-backend-bytes if "
    "need be, and lift the alarm (etcdctl alarm disarm): etcd refuses every write until then";
constexpr char kUserRemedy[] = "; check the user and the password that the server is given";
constexpr char kTlsRemedy[] = "; check http:// and https://";

// The first that fits.
constexpr Entry kEntries[] = {
    {-1, "required revision has been compacted", Code::kCompacted, Fate::kRefused, ""},
    {-1, "required revision is a future revision", Code::kUnavailable, Fate::kElsewhere,
     ": this member, or the cluster, went back to an older state"},
    {-1, "database space exceeded", Code::kNoSpace, Fate::kRefused, kSpaceRemedy},
    {-1, "no space", Code::kNoSpace, Fate::kRefused, kSpaceRemedy},
    {-1, "request is too large", Code::kTooLarge, Fate::kRefused,
     ": the limit is etcd's --max-request-bytes, 1.5 MiB unless set, for value, key and our "
     "bookkeeping together"},
    {-1, "received message larger than max", Code::kTooLarge, Fate::kRefused,
     ": the limit is etcd's --max-request-bytes, 1.5 MiB unless set"},
    {-1, "too many operations in txn", Code::kTooLarge, Fate::kRefused,
     ": the limit is etcd's --max-txn-ops, which must be 128 or more"},
    {-1, "invalid auth token", Code::kInvalid, Fate::kStaleToken, kUserRemedy},
    {-1, "revision of auth store is old", Code::kInvalid, Fate::kStaleToken, kUserRemedy},
    {-1, "authentication failed", Code::kInvalid, Fate::kRefused, kUserRemedy},
    {-1, "user name is empty", Code::kInvalid, Fate::kRefused,
     "; authentication is on there: give the server a user, or a client certificate"},
    {-1, "authentication is not enabled", Code::kInvalid, Fate::kRefused,
     "; leave user and password out"},
    {grpc::StatusCode::PERMISSION_DENIED, "", Code::kInvalid, Fate::kRefused,
     "; grant the user readwrite on all keys (also those that begin with a zero byte)"},
    {grpc::StatusCode::UNAUTHENTICATED, "", Code::kInvalid, Fate::kRefused, kUserRemedy},
    {-1, "requested lease not found", Code::kUnavailable, Fate::kRefused,
     ": the claim of this server on its metadata store ran out"},
    {-1, "no leader", Code::kUnavailable, Fate::kElsewhere, ": it lost the majority"},
    {-1, "too many requests", Code::kUnavailable, Fate::kElsewhere, ""},
    {-1, "learner", Code::kUnavailable, Fate::kElsewhere, ""},
    {-1, "corrupt", Code::kCorrupt, Fate::kRefused, "; replace this member"},
    {-1, "Ssl handshake failed", Code::kUnavailable, Fate::kElsewhere, kTlsRemedy},
    {-1, "CERTIFICATE_VERIFY_FAILED", Code::kUnavailable, Fate::kElsewhere, kTlsRemedy},
    {grpc::StatusCode::UNAVAILABLE, "failed to connect to all addresses", Code::kUnavailable,
     Fate::kElsewhere, ""},
    {grpc::StatusCode::UNAVAILABLE, "DNS resolution failed", Code::kUnavailable, Fate::kElsewhere,
     ""},
    {grpc::StatusCode::UNIMPLEMENTED, "", Code::kUnimplemented, Fate::kRefused,
     ": this is no etcd, or one older than 3.4"},
    {grpc::StatusCode::INVALID_ARGUMENT, "", Code::kInternal, Fate::kRefused, ""},
    {grpc::StatusCode::DEADLINE_EXCEEDED, "", Code::kUnavailable, Fate::kUnsure, ""},
    {-1, "", Code::kUnavailable, Fate::kUnsure, ""},
};

bool Fits(const Entry& entry, int code, const std::string& message) {
  if (entry.grpc_code != -1 && entry.grpc_code != code) return false;
  return message.find(entry.words) != std::string::npos;
}

}  // namespace

Failure Explain(int code, const std::string& message, const std::string& member,
                const std::string& backend) {
  for (const Entry& entry : kEntries) {
    if (!Fits(entry, code, message)) continue;
    const std::string said = code == grpc::StatusCode::DEADLINE_EXCEEDED ? "does not answer in time"
                             : message.empty() ? absl::StrCat("gRPC code ", code)
                                               : message;
    return {MakeStatus(entry.code, absl::StrCat("etcd ", member, ": ", said, entry.remedy), backend,
                       code),
            entry.fate};
  }
  return {};  // the last entry fits all
}

absl::Status Unknown(const absl::Status& cause) {
  absl::Status status =
      MakeStatus(Code::kOutcomeUnknown,
                 absl::StrCat("a write was sent and its outcome is not known: ", cause.message()),
                 BackendOf(cause), DriverCodeOf(cause));
  SetCause(&status, CodeOf(cause));
  return status;
}

absl::Status Damaged(const std::string& what, const std::string& backend) {
  return MakeStatus(Code::kCorrupt,
                    absl::StrCat(what,
                                 " cannot be read: it is damaged, or was written by a newer "
                                 "version"),
                    backend);
}

}  // namespace storage::etcd
