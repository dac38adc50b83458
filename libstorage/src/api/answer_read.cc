#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "src/api/answer.h"
#include "src/api/codes.h"

namespace storage {
namespace api {
namespace {

// How long a reader waits for others to release slabs before it gives up.
constexpr std::chrono::milliseconds kRoomWait{1000};

constexpr size_t kRowArrayBytes = 1024;

// Copies key and value of a row behind header bytes of the slab's memory.
// nullptr: no room in the budget.
uint8_t* CopyRow(Slab* slab, size_t header, const Row& row, stg_row* out) {
  auto* memory =
      static_cast<uint8_t*>(slab->TryAllocate(header + row.key.size() + row.value.size()));
  if (memory == nullptr) return nullptr;
  uint8_t* key = memory + header;
  uint8_t* value = key + row.key.size();
  if (!row.key.empty()) std::memcpy(key, row.key.data(), row.key.size());
  if (!row.value.empty()) std::memcpy(value, row.value.data(), row.value.size());
  *out = stg_row{{key, row.key.size()},
                 {value, row.value.size()},
                 row.meta.mod_rev,
                 row.meta.create_rev,
                 row.meta.expire_at_ms};
  return memory;
}

// Collects the rows of a page until the budget or the page is full.
struct Page {
  Slab* slab;
  const std::atomic<bool>* cancelled;
  size_t bytes = 0;
  size_t need = 0;   // > 0: of the first row, which had no room
  bool cut = false;  // ended before the range or the limit did

  bool Add(const Row& row) {
    if (cancelled->load(std::memory_order_relaxed)) return false;
    const size_t size = row.key.size() + row.value.size() + sizeof(stg_row);
    stg_row copy;
    if ((bytes > 0 && bytes + size > kMaxPageBytes) || CopyRow(slab, 0, row, &copy) == nullptr ||
        !slab->TryAddRow(copy)) {
      cut = true;
      if (bytes == 0) need = size;
      return false;
    }
    bytes += size;
    return true;
  }
};

// Receives the row of a point read.
struct Found {
  SlabPool* slabs = nullptr;
  stg_completion* out = nullptr;
  size_t need = 0;  // > 0: the budget had no room for so much

  bool Set(const Row& row) {
    Slab* slab = slabs->New(Purpose::kGet);
    const uint64_t id = slab->id();
    stg_row copy;
    uint8_t* memory = CopyRow(slab, sizeof(stg_row), row, &copy);
    if (memory == nullptr) {
      need = sizeof(stg_row) + row.key.size() + row.value.size();
      slabs->Release(&id, 1);
      return false;
    }
    std::memcpy(memory, &copy, sizeof(copy));
    out->rows = reinterpret_cast<const stg_row*>(memory);
    out->rows_len = 1;
    out->slab = id;
    return false;  // there is no second row
  }
};

void SetHeader(const ReadHeader& header, const absl::Status& status, SlabPool* slabs,
               stg_completion* out) {
  SetError(status, slabs, out);
  out->revision = header.revision;
  out->floor = header.floor;
}

void FinishGet(const ReadHeader& header, const absl::Status& status, SlabPool* slabs,
               stg_completion* out) {
  if (!status.ok() && out->slab != 0) {
    slabs->Release(&out->slab, 1);
    *out = NewCompletion(out->op, out->user);
  }
  SetHeader(header, status, slabs, out);
  if (status.ok() && out->rows_len == 0) out->code = STG_CODE_NOT_FOUND;
}

bool TooLate(const ReadRequest& request, SlabPool* slabs, stg_completion* out) {
  if (request.deadline_ms == 0 || SteadyNowMs() <= request.deadline_ms) return false;
  SetError(MakeStatus(Code::kDeadline, "the deadline passed while the operation waited"), slabs,
           out);
  return true;
}

void DropCancelled(const ReadRequest& request, SlabPool* slabs, stg_completion* out) {
  if (!request.cancelled.load(std::memory_order_relaxed) || request.verb == STG_VERB_COMPACT) {
    return;
  }
  slabs->Release(&out->slab, 1);  // 0 is skipped
  *out = NewCompletion(out->op, out->user);
  SetError(MakeStatus(Code::kCancelled, "cancelled"), slabs, out);
}

bool AnswerList(Engine* engine, SlabPool* slabs, const ReadRequest& request, stg_completion* out,
                size_t* need) {
  Slab* slab = slabs->New(Purpose::kList);
  const uint64_t id = slab->id();
  Page page{slab, &request.cancelled};
  ReadHeader header;
  absl::Status status;
  try {
    status = engine->List(
        request.resource, Range{request.key, request.end}, request.options,
        [&page](const Row& row) { return page.Add(row); }, &header);
  } catch (...) {
    status = StatusOfCurrentException();
  }
  if (!status.ok() || page.need > 0 || slab->rows_len() == 0) {
    slabs->Release(&id, 1);
    *need = page.need;
    if (status.ok() && page.need > 0) return false;
    SetHeader(header, status, slabs, out);
    out->count = header.remaining;
    return true;
  }
  out->revision = header.revision;
  out->rows = slab->rows();
  out->rows_len = slab->rows_len();
  out->slab = id;
  out->count = page.cut ? -1 : header.remaining;
  if (page.cut || header.more) out->flags |= STG_COMPLETION_MORE;
  return true;
}

void AnswerSmall(Engine* engine, SlabPool* slabs, const ReadRequest& request, stg_completion* out) {
  switch (request.verb) {
    case STG_VERB_COUNT: {
      ReadHeader header;
      absl::StatusOr<int64_t> count =
          engine->Count(request.resource, Range{request.key, request.end}, &header);
      SetHeader(header, count.status(), slabs, out);
      out->count = count.ok() ? *count : 0;
      return;
    }
    case STG_VERB_CURRENT_REVISION: {
      absl::StatusOr<int64_t> revision = engine->CurrentRevision(request.resource);
      SetError(revision.status(), slabs, out);
      out->revision = revision.ok() ? *revision : 0;
      return;
    }
    case STG_VERB_COMPACT:
      SetError(engine->Compact(request.options.revision), slabs, out);
      return;
    default:
      SetError(MakeStatus(Code::kInternal, "no such verb on the read pool"), slabs, out);
  }
}

SteadyTime RoomDeadline(const ReadRequest& request) {
  const SteadyTime limit = std::chrono::steady_clock::now() + kRoomWait;
  if (request.deadline_ms == 0) return limit;
  return std::min(limit, SteadyTime(std::chrono::milliseconds(request.deadline_ms)));
}

}  // namespace

bool AnswerGet(Engine* engine, SlabPool* slabs, ResourceId resource, std::string_view key,
               const ReadOptions& options, stg_completion* out, size_t* need) {
  Found found{slabs, out};
  ReadHeader header;
  absl::Status status;
  try {
    // One pointer of capture: the function object does not allocate.
    status = engine->Get(
        resource, key, options, [&found](const Row& row) { return found.Set(row); }, &header);
  } catch (...) {
    status = StatusOfCurrentException();
  }
  *need = found.need;
  if (status.ok() && found.need > 0) return false;
  FinishGet(header, status, slabs, out);
  return true;
}

void AnswerRead(Engine* engine, SlabPool* slabs, const ReadRequest& request, stg_completion* out) {
  if (TooLate(request, slabs, out)) return;
  const SteadyTime room_deadline = RoomDeadline(request);
  size_t need = 0;
  while (true) {
    bool answered = true;
    if (request.verb == STG_VERB_GET) {
      answered =
          AnswerGet(engine, slabs, request.resource, request.key, request.options, out, &need);
    } else if (request.verb == STG_VERB_LIST) {
      answered = AnswerList(engine, slabs, request, out, &need);
    } else {
      AnswerSmall(engine, slabs, request, out);
    }
    if (answered) break;
    // A list has its array of rows beside the row.
    if (!slabs->WaitForRoom(need + kRowArrayBytes, room_deadline) ||
        std::chrono::steady_clock::now() > room_deadline) {
      SetError(
          MakeStatus(Code::kBusy, absl::StrCat("all ", slabs->budget(),
                                               " bytes of buffers are in use; release results")),
          slabs, out);
      return;
    }
  }
  DropCancelled(request, slabs, out);
}

std::vector<bool> AnswerGets(Engine* engine, SlabPool* slabs,
                             absl::Span<const ReadRequest* const> requests,
                             absl::Span<stg_completion> out) {
  std::vector<Found> found(requests.size());  // not moved any more: sinks point into it
  std::vector<PointGet> gets;
  std::vector<bool> answered(requests.size(), true);
  std::vector<size_t> asked;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (TooLate(*requests[i], slabs, &out[i])) continue;
    Found* const row = &(found[i] = {slabs, &out[i]});
    gets.push_back({requests[i]->resource, requests[i]->key,
                    [row](const Row& r) { return row->Set(r); }, ReadHeader(), absl::OkStatus()});
    asked.push_back(i);
  }
  absl::Status failed;
  try {
    engine->GetMany(absl::MakeSpan(gets));
  } catch (...) {
    failed = StatusOfCurrentException();
  }
  for (size_t n = 0; n < gets.size(); ++n) {
    const size_t i = asked[n];
    const absl::Status& status = failed.ok() ? gets[n].status : failed;
    if (status.ok() && found[i].need > 0) {
      answered[i] = false;
      continue;
    }
    FinishGet(gets[n].header, status, slabs, &out[i]);
    DropCancelled(*requests[i], slabs, &out[i]);
  }
  return answered;
}

}  // namespace api
}  // namespace storage
