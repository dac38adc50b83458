#include "src/revision/ahead.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace storage {
namespace {

// Kept in databases, so it never changes. Versions that do not know it refuse the lane
// as that of another metadata store.
constexpr char kMark[] = "ahead:";

}  // namespace

std::string AheadOf(const std::string& m_id) { return absl::StrCat(kMark, m_id); }

bool IsAhead(const Lane& lane) { return absl::StartsWith(lane.m_id, kMark); }

absl::Status CheckNotAhead(const Lane& lane, const std::string& place, const std::string& name) {
  if (!IsAhead(lane)) return absl::OkStatus();
  return MakeStatus(
      Code::kInvalid,
      absl::StrCat(place,
                   " holds copies that `stgctl migrate --ahead` made of objects which are served "
                   "from elsewhere; nothing was started. Stop every API server and run `stgctl "
                   "migrate` with the new topology, or remove the copies with `stgctl migrate "
                   "--ahead --abort`"),
      name);
}

}  // namespace storage
