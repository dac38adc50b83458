// Reads: which revision an answer carries, and what it waits for (protocol:
// "Which number a reader gets", Resolve). No lock is held while sinks run.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/engine/engine_impl.h"
#include "src/engine/merge.h"

namespace storage {
namespace {

constexpr int64_t kMergeChunk = 500;
// How often compactions may overtake a list over several databases.
constexpr int kOvertakes = 16;

absl::Status Compacted(int64_t rev, int64_t floor, const std::string& backend, ReadHeader* header) {
  header->floor = floor;
  return MakeStatus(Code::kCompacted,
                    absl::StrCat("revision ", rev, " is too old: history begins at ", floor),
                    backend);
}

// Counts rows to a limit and remembers what the header needs.
struct Page {
  Page(const RowSink& to, int64_t max) : sink(to), limit(max) {}
  const RowSink& sink;
  const int64_t limit;  // 0 = all
  int64_t rows = 0;
  bool more = false;
  std::string last_key;

  bool Add(const Row& row) {
    if ((limit > 0 && rows >= limit) || !sink(row)) {
      more = true;
      return false;
    }
    ++rows;
    if (limit > 0 && rows == limit) last_key.assign(row.key);
    return true;
  }
};

}  // namespace

// A revision above everything handed out is FUTURE.
absl::Status EngineImpl::CheckHandedOut(int64_t rev, ReadHeader* header) const {
  if (rev <= sequencer_->Rev()) return absl::OkStatus();
  const absl::StatusOr<int64_t> now = FreshRev();
  if (!now.ok()) return now.status();
  if (rev <= *now) return absl::OkStatus();
  header->revision = *now;
  return MakeStatus(Code::kFutureRevision,
                    absl::StrCat("revision ", rev, " is too large: the current one is ", *now));
}

// One that is in flight is waited for, in every lane that the answer comes from.
absl::Status EngineImpl::WaitFor(const std::vector<int>& lanes, int64_t rev,
                                 ReadHeader* header) const {
  if (absl::Status status = CheckHandedOut(rev, header); !status.ok()) return status;
  const int behind = sequencer_->WaitComplete(lanes, rev, absl::Now() + kReadPatience);
  if (behind < 0) return absl::OkStatus();
  const absl::Status reason = parts_[behind].lane->Health();
  return MakeStatus(Code::kUnavailable,
                    absl::StrCat("does not answer: what happened up to revision ", rev,
                                 " is not decided there yet",
                                 reason.ok() ? "" : absl::StrCat(" (", reason.message(), ")")),
                    parts_[behind].name);
}

absl::Status EngineImpl::CheckMinimum(const std::vector<int>& lanes, bool alone,
                                      const ReadOptions& options, ReadHeader* header) const {
  if (options.revision < 0) {
    return MakeStatus(Code::kInvalid, absl::StrCat("revision ", options.revision));
  }
  if (absl::Status status = Closed(); !status.ok()) return status;
  if (options.revision == 0) return absl::OkStatus();
  const bool complete = std::all_of(lanes.begin(), lanes.end(), [&](int lane) {
    return NumberOf(lane, alone) >= options.revision;
  });
  if (complete) return absl::OkStatus();
  return several_ && alone ? RaiseTo(lanes[0], options.revision, header)
                           : WaitFor(lanes, options.revision, header);
}

absl::Status EngineImpl::List(ResourceId resource, const Range& range, const ReadOptions& options,
                              const RowSink& sink, ReadHeader* header) {
  const Entry* entry = Find(resource);
  if (entry == nullptr) return MakeStatus(Code::kInvalid, "unknown resource id");
  const std::vector<int> lanes = LanesOf(*entry, range);
  const Timed timed(Operation::kList, parts_[lanes[0]].lane->times());
  const bool alone = entry->reach.size() == 1;
  if (absl::Status status = CheckMinimum(lanes, alone, options, header); !status.ok()) {
    return status;
  }
  if (alone) return ListOne(lanes[0], range, options, sink, header);
  return ListMerged(lanes, range, options, sink, header);
}

absl::Status EngineImpl::ListOne(int lane, const Range& range, const ReadOptions& options,
                                 const RowSink& sink, ReadHeader* header) {
  const bool exact = options.exact && options.revision > 0;
  const int64_t complete = sequencer_->CompleteAlone(lane);
  absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = OpenSnapshot(lane);
  if (!snapshot.ok()) return snapshot.status();
  const Lane& row = (*snapshot)->lane();
  header->revision = exact ? options.revision : std::max(row.head, complete);
  if (row.head > complete) parts_[lane].lane->Show(row.head);
  if (exact && options.revision < row.floor) {
    return Compacted(options.revision, row.floor, parts_[lane].name, header);
  }
  const int64_t at = exact && options.revision < row.head ? options.revision : 0;
  Page page(sink, options.limit);
  const int64_t most = std::numeric_limits<int64_t>::max();
  const int64_t ask = options.limit > 0 && options.limit < most ? options.limit + 1 : 0;
  absl::Status status =
      (*snapshot)->List(range, at, ask, [&](const Row& r) { return page.Add(r); });
  if (!status.ok()) return status;
  header->rows = page.rows;
  header->more = page.more;
  header->remaining = page.more ? -1 : 0;
  if (page.more && options.want_remaining && !page.last_key.empty()) {
    absl::StatusOr<int64_t> rest = (*snapshot)->Count({page.last_key + '\0', range.end}, at);
    if (!rest.ok()) return rest.status();
    header->remaining = *rest;
  }
  return status;
}

absl::Status EngineImpl::OpenMerged(const std::vector<int>& lanes, const Range& range,
                                    const ReadOptions& options, std::vector<ChunkedRows>* sources,
                                    bool* overtaken, ReadHeader* header) {
  const bool exact = options.exact && options.revision > 0;
  const absl::StatusOr<int64_t> fresh =
      exact ? absl::StatusOr<int64_t>(options.revision) : FreshRev();
  if (!fresh.ok()) return fresh.status();
  const int64_t rev = *fresh;
  if (absl::Status status = WaitFor(lanes, rev, header); !status.ok()) return status;
  header->revision = rev;
  const bool small = options.limit > 0 && options.limit < kMergeChunk;
  for (int lane : lanes) {
    absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = OpenSnapshot(lane);
    if (!snapshot.ok()) return snapshot.status();
    const Lane row = (*snapshot)->lane();
    // A compaction since rev was chosen can only raise the floor to a revision
    // that was current: reading again finds a newer one.
    *overtaken = rev < row.floor;
    if (*overtaken) return Compacted(rev, row.floor, parts_[lane].name, header);
    const int64_t at = rev < row.head ? rev : 0;
    sources->emplace_back(std::move(*snapshot), range, at, small ? options.limit + 1 : kMergeChunk);
  }
  return absl::OkStatus();
}

// A list over several backends is taken at one revision that all of them have
// decided; it is never partial.
absl::Status EngineImpl::ListMerged(const std::vector<int>& lanes, const Range& range,
                                    const ReadOptions& options, const RowSink& sink,
                                    ReadHeader* header) {
  const bool exact = options.exact && options.revision > 0;
  std::vector<ChunkedRows> sources;
  bool overtaken = true;
  for (int left = kOvertakes; overtaken && left > 0; --left) {
    overtaken = false;
    sources.clear();
    absl::Status status = OpenMerged(lanes, range, options, &sources, &overtaken, header);
    if (!status.ok() && (exact || !overtaken)) return status;
  }
  if (overtaken) {
    return MakeStatus(Code::kUnavailable, "compactions overtook the list again and again");
  }
  Page page(sink, options.limit);
  bool stopped = false;
  absl::Status status = MergeRows(
      sources, [&](const Row& row) { return page.Add(row); }, &stopped);
  if (!status.ok()) return status;
  header->rows = page.rows;
  header->more = page.more;
  header->remaining = page.more ? -1 : 0;
  if (!page.more || !options.want_remaining || page.last_key.empty()) return status;
  header->remaining = 0;
  for (ChunkedRows& source : sources) {
    absl::StatusOr<int64_t> rest =
        source.snapshot().Count({page.last_key + '\0', range.end}, source.rev());
    if (!rest.ok()) return rest.status();
    header->remaining += *rest;
  }
  return status;
}

absl::StatusOr<int64_t> EngineImpl::Count(ResourceId resource, const Range& range,
                                          ReadHeader* header) {
  const Entry* entry = Find(resource);
  if (entry == nullptr) return MakeStatus(Code::kInvalid, "unknown resource id");
  if (absl::Status status = Closed(); !status.ok()) return status;
  int64_t count = 0;
  for (int lane : LanesOf(*entry, range)) {
    const Timed timed(Operation::kCount, parts_[lane].lane->times());
    header->revision = std::max(header->revision, NumberOf(lane, entry->reach.size() == 1));
    absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = OpenSnapshot(lane);
    if (!snapshot.ok()) return snapshot.status();
    absl::StatusOr<int64_t> part = (*snapshot)->Count(range, 0);
    if (!part.ok()) return part;
    count += *part;
  }
  return count;
}

absl::StatusOr<int64_t> EngineImpl::CurrentRevision(ResourceId resource) {
  const Entry* entry = Find(resource);
  if (entry == nullptr) return MakeStatus(Code::kInvalid, "unknown resource id");
  if (absl::Status status = Closed(); !status.ok()) return status;
  if (const int lane = entry->reach[0]; entry->reach.size() == 1) {
    if (several_) return FreshHead(lane);
    return std::max(sequencer_->Complete(lane), parts_[lane].lane->shown());
  }
  ReadHeader header;
  const absl::StatusOr<int64_t> rev = FreshRev();
  if (!rev.ok()) return rev;
  if (absl::Status status = WaitFor(entry->reach, *rev, &header); !status.ok()) return status;
  return rev;
}

}  // namespace storage
