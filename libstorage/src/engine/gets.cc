// Point reads, one by one and together (protocol: "Which number a reader gets").
#include <algorithm>
#include <bit>
#include <map>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "src/engine/backends.h"
#include "src/engine/engine_impl.h"

namespace storage {
namespace {

absl::Status UnknownResource() { return MakeStatus(Code::kInvalid, "unknown resource id"); }

}  // namespace

absl::Status EngineImpl::Get(ResourceId resource, std::string_view key, const ReadOptions& options,
                             const RowSink& sink, ReadHeader* header) {
  const Entry* entry = Find(resource);
  if (entry == nullptr) return UnknownResource();
  const int lane = entry->route->Route(key);
  const bool alone = entry->reach.size() == 1;
  if (absl::Status status = CheckMinimum({lane}, alone, options, header); !status.ok()) {
    return status;
  }
  if (options.exact) {
    const Timed timed(Operation::kGet, parts_[lane].lane->times());
    const Range one{std::string(key), std::string(key) + '\0'};
    return ListOne(lane, one, options, sink, header);
  }
  PointGet get{resource, key, sink, *header, absl::OkStatus()};
  GetLatest(lane, {&get});
  *header = get.header;
  return std::move(get.status);
}

size_t EngineImpl::GetsTogether(uint64_t backends) const {
  // Of two databases each would answer a part.
  if (std::popcount(backends) != 1) return 1;
  const auto lane = static_cast<size_t>(std::countr_zero(backends));
  return lane < parts_.size() ? parts_[lane].backend->gets_together() : 1;
}

void EngineImpl::GetMany(absl::Span<PointGet> gets) {
  std::map<int, std::vector<PointGet*>> by_lane;
  const absl::Status closed = Closed();
  for (PointGet& get : gets) {
    const Entry* entry = Find(get.resource);
    get.status = entry == nullptr ? UnknownResource() : closed;
    if (get.status.ok()) by_lane[entry->route->Route(get.key)].push_back(&get);
  }
  for (auto& [lane, of_lane] : by_lane) GetLatest(lane, of_lane);
}

// An object, or that there is none, does not tell the database from an old copy of it.
absl::Status EngineImpl::Believe(int lane) const { return OpenSnapshot(lane).status(); }

void EngineImpl::GetLatest(int lane, absl::Span<PointGet* const> gets) {
  const Part& part = parts_[lane];
  CommitLane& of = *part.lane;
  const auto begin = OpTimes::Clock::now();
  absl::InlinedVector<std::string_view, 1> keys;
  absl::InlinedVector<absl::Status, 1> outcomes(gets.size(),
                                                of.went_back() ? Believe(lane) : absl::OkStatus());
  // Before the read: everything complete or shown now is in what the read sees.
  for (PointGet* get : gets) {
    const bool alone = Find(get->resource)->reach.size() == 1;
    get->header.revision = std::max(NumberOf(lane, alone), of.shown());
    keys.push_back(get->key);
  }
  const auto sink = [&](size_t i, const Row& row) {
    ReadHeader& header = gets[i]->header;
    header.rows = 1;
    if (row.meta.mod_rev > header.revision) {
      header.revision = row.meta.mod_rev;  // committed and not yet published
      of.Show(header.revision);
    }
    gets[i]->sink(row);
  };
  if (outcomes[0].ok()) part.backend->GetMany(keys, sink, absl::MakeSpan(outcomes));
  // Files cannot be taken from a server that runs.
  bool believed = !CanBeShared(part.endpoint.kind);
  absl::Status doubt;
  for (size_t i = 0; i < gets.size(); ++i) {
    const bool absent = outcomes[i].ok() && gets[i]->header.rows == 0;
    if (absent && !believed) {
      doubt = Believe(lane);
      believed = true;
    }
    gets[i]->status = absent ? doubt : outcomes[i];
    of.times()->Add(Operation::kGet, begin);
  }
}

}  // namespace storage
