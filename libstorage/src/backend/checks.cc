#include "src/backend/checks.h"

#include <chrono>
#include <random>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

namespace storage {
namespace {

absl::Status Invalid(const std::string& message, const std::string& backend) {
  return MakeStatus(Code::kInvalid, message, backend);
}

}  // namespace

absl::Status CheckMutations(absl::Span<const Mutation> mutations, int64_t head,
                            const std::string& backend) {
  absl::flat_hash_set<std::string_view> keys;
  keys.reserve(mutations.size());
  int64_t last = head;
  for (const Mutation& m : mutations) {
    if (m.rev <= last) {
      return Invalid(absl::StrCat("a batch must have ascending revisions above the head: ", m.rev,
                                  " follows ", last),
                     backend);
    }
    last = m.rev;
    if (m.key.empty() || m.collection.empty() || !m.key.starts_with(m.collection)) {
      return Invalid("a collection must be a prefix of its keys, and neither may be empty",
                     backend);
    }
    if (!keys.insert(m.key).second) {
      return Invalid(absl::StrCat("a batch may hold one operation per key: the key of revision ",
                                  m.rev, " occurs twice"),
                     backend);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckBatchRange(int64_t lowest, int64_t highest, int64_t first, int64_t last,
                             const std::string& backend) {
  const bool covers = highest == 0 || (first <= lowest && highest <= last);
  if (first > 0 && first <= last && covers) return absl::OkStatus();
  return Invalid(absl::StrCat("the batch does not fit the revisions ", first, " to ", last),
                 backend);
}

namespace {

absl::Status CheckMove(const Lane& lane, const std::string& backend) {
  if (lane.floor == lane.head) return absl::OkStatus();
  return Invalid(
      absl::StrCat("objects move only when no older revision can be read, but the floor ",
                   lane.floor, " is below the head ", lane.head),
      backend);
}

absl::Status CheckMovedKey(std::string_view collection, std::string_view key,
                           absl::flat_hash_set<std::string_view>* keys,
                           const std::string& backend) {
  if (key.empty() || collection.empty() || !key.starts_with(collection)) {
    return Invalid("a collection must be a prefix of its keys, and neither may be empty", backend);
  }
  return keys->insert(key).second ? absl::OkStatus()
                                  : Invalid("a move may hold each key once", backend);
}

}  // namespace

absl::Status CheckImport(absl::Span<const MovedRow> rows, const Lane& lane,
                         const std::string& backend) {
  absl::Status status = CheckMove(lane, backend);
  absl::flat_hash_set<std::string_view> keys;
  for (const MovedRow& moved : rows) {
    if (status.ok()) status = CheckMovedKey(moved.collection, moved.row.key, &keys, backend);
    const ObjectMeta& meta = moved.row.meta;
    if (!status.ok()) return status;
    if (0 < meta.create_rev && meta.create_rev <= meta.mod_rev && meta.mod_rev <= lane.head) {
      continue;
    }
    return Invalid(absl::StrCat("an object with the revisions ", meta.create_rev, " and ",
                                meta.mod_rev, " does not fit the head ", lane.head),
                   backend);
  }
  return status;
}

absl::Status CheckDiscard(absl::Span<const DiscardedRow> rows, const Lane& lane,
                          const std::string& backend) {
  absl::Status status = CheckMove(lane, backend);
  absl::flat_hash_set<std::string_view> keys;
  for (const DiscardedRow& row : rows) {
    if (status.ok()) status = CheckMovedKey(row.collection, row.key, &keys, backend);
  }
  return status;
}

absl::Status CheckReadRevision(const Lane& lane, int64_t rev, const std::string& backend) {
  if (rev == 0) return absl::OkStatus();
  if (rev < lane.floor) {
    return MakeStatus(Code::kCompacted,
                      absl::StrCat("revision ", rev, " is below the floor ", lane.floor), backend);
  }
  if (rev > lane.head) {
    return Invalid(absl::StrCat("revision ", rev, " is above the head ", lane.head), backend);
  }
  return absl::OkStatus();
}

absl::Status CheckEventsAfter(const Lane& lane, int64_t after, const std::string& backend) {
  if (after >= lane.floor) return absl::OkStatus();
  return MakeStatus(
      Code::kCompacted,
      absl::StrCat("events after revision ", after, " are gone: the floor is ", lane.floor),
      backend);
}

absl::Status CheckJump(const Lane& lane, int64_t jump_to, const std::string& backend) {
  if (jump_to == 0 || jump_to > lane.head) return absl::OkStatus();
  return Invalid(
      absl::StrCat("a new epoch must start above the head ", lane.head, ", not at ", jump_to),
      backend);
}

absl::Status GuardRefused(const Lane& found, const LaneOwner& owner, const std::string& backend) {
  std::string why;
  if (found.m_id != owner.m_id) {
    why = absl::StrCat("it belongs to the metadata store '", found.m_id, "', not to '", owner.m_id,
                       "'");
  } else if (found.epoch != owner.epoch) {
    why = absl::StrCat("it is in epoch ", found.epoch, ", not ", owner.epoch);
  } else if (found.gen != owner.gen) {
    why = absl::StrCat("it is at topology version ", found.gen, ", not ", owner.gen);
  } else {
    why = absl::StrCat("its head moved to ", found.head);
  }
  return MakeStatus(Code::kBusy, absl::StrCat("lane guard: ", why), backend);
}

absl::Status NumbersWentOn(int64_t handed_out, const std::string& backend) {
  return MakeStatus(Code::kBusy,
                    absl::StrCat("others took numbers behind ", handed_out,
                                 ", or the metadata store is in another epoch"),
                    backend);
}

int64_t SystemNowMs() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::string RandomIdentity() {
  std::random_device device;
  std::string id;
  for (int i = 0; i < 4; ++i) absl::StrAppend(&id, absl::Hex(device(), absl::kZeroPad8));
  return id;
}

}  // namespace storage
