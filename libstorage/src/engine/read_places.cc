// Which databases a read asks, and what it may answer from.
#include <string>
#include <string_view>
#include <vector>

#include "src/engine/engine_impl.h"

namespace storage {
namespace {

// The longest start, ending in '/', of all keys in the range. Below "a/" is what is less
// than "a0", as '0' follows '/'.
std::string_view StartOf(const Range& range) {
  const std::string_view first = range.start;
  for (size_t n = first.rfind('/'); n != std::string_view::npos; n = first.rfind('/', n - 1)) {
    if (!range.end.empty() && range.end <= std::string(first.substr(0, n)) + "0") {
      return first.substr(0, n + 1);
    }
    if (n == 0) break;
  }
  return "";
}

}  // namespace

// One namespace of a kind that is spread is often in one lane: nobody waits for others.
std::vector<int> EngineImpl::LanesOf(const Entry& entry, const Range& range) const {
  if (entry.reach.size() == 1) return entry.reach;
  const std::string_view start = StartOf(range);
  return start.size() <= entry.resource.key_prefix.size() ? entry.reach
                                                          : entry.route->ReachBelow(start);
}

// What this server may answer from. A migration that found nobody in its way, as this
// server had lost its claim, took objects to where it does not look: it must not call
// them deleted.
absl::StatusOr<std::unique_ptr<Snapshot>> EngineImpl::OpenSnapshot(int lane) const {
  const Part& part = parts_[lane];
  const int64_t known = part.lane->head();
  absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = part.backend->OpenSnapshot();
  if (!snapshot.ok()) return snapshot;
  const Lane& row = (*snapshot)->lane();
  if (row.gen != owner_.gen || row.m_id != owner_.m_id) {
    return MakeStatus(Code::kUnavailable,
                      "another process has taken this database, for another topology: nothing "
                      "here is up to date; start this server again",
                      part.name);
  }
  if (absl::Status status = part.lane->CheckHead(row.head, known); !status.ok()) return status;
  part.lane->Saw(row.head);
  return snapshot;
}

bool EngineImpl::FastGet(ResourceId resource, std::string_view key) const {
  const Entry* entry = Find(resource);
  return entry != nullptr && parts_[entry->route->Route(key)].backend->fast_reads();
}

uint64_t EngineImpl::BackendsOf(ResourceId resource, std::string_view key) const {
  const Entry* entry = Find(resource);
  return entry == nullptr ? 0 : uint64_t{1} << (entry->route->Route(key) % 64);
}

uint64_t EngineImpl::BackendsOf(ResourceId resource, const Range& range) const {
  const Entry* entry = Find(resource);
  if (entry == nullptr) return 0;
  uint64_t places = 0;
  for (int lane : LanesOf(*entry, range)) places |= uint64_t{1} << (lane % 64);
  return places;
}

}  // namespace storage
