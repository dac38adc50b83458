#include "src/base/status.h"

#include <charconv>
#include <string>
#include <utility>

#include "absl/strings/cord.h"

namespace storage {
namespace {

// One payload per status: "<code> <driver code> <backend>".
constexpr char kPayload[] = "libstorage";
constexpr char kCausePayload[] = "libstorage.cause";

struct Entry {
  const char* name;
  CodeClass code_class;
  absl::StatusCode absl_code;
};

// Indexed by Code.
constexpr Entry kEntries[] = {
    {"OK", CodeClass::kFinal, absl::StatusCode::kOk},
    {"NOT_FOUND", CodeClass::kFinal, absl::StatusCode::kNotFound},
    {"EXISTS", CodeClass::kFinal, absl::StatusCode::kAlreadyExists},
    {"CONFLICT", CodeClass::kFinal, absl::StatusCode::kAborted},
    {"COMPACTED", CodeClass::kFinal, absl::StatusCode::kOutOfRange},
    {"FUTURE_REVISION", CodeClass::kRetry, absl::StatusCode::kOutOfRange},
    {"INVALID", CodeClass::kFinal, absl::StatusCode::kInvalidArgument},
    {"TOO_LARGE", CodeClass::kFinal, absl::StatusCode::kInvalidArgument},
    {"BUSY", CodeClass::kRetry, absl::StatusCode::kUnavailable},
    {"UNAVAILABLE", CodeClass::kRetry, absl::StatusCode::kUnavailable},
    {"READ_ONLY", CodeClass::kFinal, absl::StatusCode::kPermissionDenied},
    {"NO_SPACE", CodeClass::kRetry, absl::StatusCode::kResourceExhausted},
    {"OUTCOME_UNKNOWN", CodeClass::kMaybeCommitted, absl::StatusCode::kUnknown},
    {"DEADLINE", CodeClass::kRetry, absl::StatusCode::kDeadlineExceeded},
    {"CANCELLED", CodeClass::kRetry, absl::StatusCode::kCancelled},
    {"SLOW_CONSUMER", CodeClass::kRetry, absl::StatusCode::kResourceExhausted},
    {"CORRUPT", CodeClass::kFinal, absl::StatusCode::kDataLoss},
    {"UNIMPLEMENTED", CodeClass::kFinal, absl::StatusCode::kUnimplemented},
    {"INTERNAL", CodeClass::kFinal, absl::StatusCode::kInternal},
};
constexpr int32_t kCodes = sizeof(kEntries) / sizeof(kEntries[0]);
static_assert(kCodes == static_cast<int32_t>(Code::kInternal) + 1);

const Entry& EntryOf(Code code) {
  const auto number = static_cast<int32_t>(code);
  return kEntries[number >= 0 && number < kCodes ? number : kCodes - 1];
}

struct Details {
  Code code = Code::kInternal;
  int32_t driver_code = 0;
  std::string backend;
};

Details DetailsOf(const absl::Status& status) {
  Details details;
  if (status.ok()) {
    details.code = Code::kOk;
    return details;
  }
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return details;
  const std::string text(*payload);
  const char* const end = text.data() + text.size();
  int32_t code = 0;
  auto parsed = std::from_chars(text.data(), end, code);
  details.code = static_cast<Code>(code);
  parsed = std::from_chars(parsed.ptr + 1, end, details.driver_code);
  details.backend.assign(parsed.ptr + 1, end);
  return details;
}

}  // namespace

CodeClass ClassOf(Code code) { return EntryOf(code).code_class; }

const char* CodeName(Code code) { return EntryOf(code).name; }

absl::Status MakeStatus(Code code, const std::string& message, const std::string& backend,
                        int32_t driver_code) {
  if (code == Code::kOk) return absl::OkStatus();
  absl::Status status(EntryOf(code).absl_code, message);
  status.SetPayload(kPayload, absl::Cord(std::to_string(static_cast<int32_t>(code)) + " " +
                                         std::to_string(driver_code) + " " + backend));
  return status;
}

Code CodeOf(const absl::Status& status) { return DetailsOf(status).code; }
std::string BackendOf(const absl::Status& status) { return DetailsOf(status).backend; }
int32_t DriverCodeOf(const absl::Status& status) { return DetailsOf(status).driver_code; }

void SetCause(absl::Status* status, Code cause) {
  status->SetPayload(kCausePayload, absl::Cord(std::to_string(static_cast<int32_t>(cause))));
}

Code CauseOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kCausePayload);
  if (!payload.has_value()) return Code::kUnavailable;
  return static_cast<Code>(std::stoi(std::string(*payload)));
}

}  // namespace storage
