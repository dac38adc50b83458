#include "src/api/codes.h"

#include <cstddef>
#include <cstring>
#include <exception>
#include <new>
#include <string>

namespace storage {
namespace api {
namespace {

#define STG_SAME(abi, inside) \
  static_assert((abi) == static_cast<int32_t>(inside), #abi " differs from " #inside)
STG_SAME(STG_CODE_OK, Code::kOk);
STG_SAME(STG_CODE_NOT_FOUND, Code::kNotFound);
STG_SAME(STG_CODE_EXISTS, Code::kExists);
STG_SAME(STG_CODE_CONFLICT, Code::kConflict);
STG_SAME(STG_CODE_COMPACTED, Code::kCompacted);
STG_SAME(STG_CODE_FUTURE_REVISION, Code::kFutureRevision);
STG_SAME(STG_CODE_INVALID, Code::kInvalid);
STG_SAME(STG_CODE_TOO_LARGE, Code::kTooLarge);
STG_SAME(STG_CODE_BUSY, Code::kBusy);
STG_SAME(STG_CODE_UNAVAILABLE, Code::kUnavailable);
STG_SAME(STG_CODE_READ_ONLY, Code::kReadOnly);
STG_SAME(STG_CODE_NO_SPACE, Code::kNoSpace);
STG_SAME(STG_CODE_OUTCOME_UNKNOWN, Code::kOutcomeUnknown);
STG_SAME(STG_CODE_DEADLINE, Code::kDeadline);
STG_SAME(STG_CODE_CANCELLED, Code::kCancelled);
STG_SAME(STG_CODE_SLOW_CONSUMER, Code::kSlowConsumer);
STG_SAME(STG_CODE_CORRUPT, Code::kCorrupt);
STG_SAME(STG_CODE_UNIMPLEMENTED, Code::kUnimplemented);
STG_SAME(STG_CODE_INTERNAL, Code::kInternal);
STG_SAME(STG_CLASS_FINAL, CodeClass::kFinal);
STG_SAME(STG_CLASS_RETRY, CodeClass::kRetry);
STG_SAME(STG_CLASS_MAYBE_COMMITTED, CodeClass::kMaybeCommitted);
#undef STG_SAME

// Copies with a terminating NUL; never cuts a UTF-8 sequence in the middle.
template <size_t N>
void CopyText(std::string_view text, char (&out)[N]) {
  size_t size = text.size();
  if (size > N - 1) {
    size = N - 1;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  }
  if (size > 0) std::memcpy(out, text.data(), size);
  out[size] = '\0';
}

}  // namespace

stg_code AbiCode(const absl::Status& status) {
  return status.ok() ? STG_CODE_OK : AbiCode(CodeOf(status));
}

stg_code FillError(const absl::Status& status, stg_error* error) {
  const stg_code code = AbiCode(status);
  if (error == nullptr) return code;
  error->code = code;
  error->driver_code = status.ok() ? 0 : DriverCodeOf(status);
  CopyText(status.ok() ? std::string() : BackendOf(status), error->backend);
  CopyText(std::string_view(status.message().data(), status.message().size()), error->message);
  return code;
}

absl::Status StatusOfCurrentException() noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return MakeStatus(Code::kBusy, "out of memory");
  } catch (const std::exception& e) {
    return MakeStatus(Code::kInternal, std::string("unexpected exception: ") + e.what());
  } catch (...) {
    return MakeStatus(Code::kInternal, "unexpected exception of an unknown type");
  }
}

}  // namespace api
}  // namespace storage
