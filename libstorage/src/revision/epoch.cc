#include "src/revision/epoch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/revision/ahead.h"

namespace storage {
namespace {

// max(heads) + 1 is not enough: a list may have published a revision whose
// transaction never committed (counterexample 1).
int64_t JumpTarget(const StartFacts& facts) {
  int64_t top = facts.meta.reserved;
  for (const LaneFacts& lane : facts.lanes) top = std::max(top, lane.lane.head);
  return std::max(top + (int64_t{1} << 32), (facts.unix_seconds - 1700000000) << 20);
}

StartPlan Jump(const StartFacts& facts, std::string reason) {
  StartPlan plan;
  plan.jump = true;
  plan.reason = std::move(reason);
  plan.rev = JumpTarget(facts);
  plan.adopt_jump.assign(facts.lanes.size(), plan.rev);
  return plan;
}

bool Untouched(const LaneFacts& lane) { return lane.lane.head == 0 && lane.empty; }

// A lane row of another store tells that there was one: it may have published
// numbers that nothing ever committed.
bool FirstStart(const StartFacts& facts) {
  return std::all_of(facts.lanes.begin(), facts.lanes.end(), [&](const LaneFacts& lane) {
    return Untouched(lane) && (lane.lane.m_id.empty() || lane.lane.m_id == facts.meta.m_id);
  });
}

// Beyond what centuries of writing use up: damage, and no sum may overflow.
constexpr int64_t kMostRevisions = int64_t{1} << 62;

absl::Status Absurd(const std::string& where, int64_t rev, const std::string& backend) {
  return MakeStatus(Code::kCorrupt,
                    absl::StrCat(where, " claims the revision ", rev,
                                 ", which cannot be: it is damaged; restore a backup"),
                    backend);
}

// Whatever the operator says: copies made ahead are older than what they were made of.
absl::Status CheckNoneAhead(const StartFacts& facts) {
  for (const LaneFacts& lane : facts.lanes) {
    absl::Status status = CheckNotAhead(lane.lane, lane.place, lane.name);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CheckNumbers(const StartFacts& facts) {
  if (facts.meta.reserved > kMostRevisions) {
    return Absurd("the metadata store", facts.meta.reserved, "metadata");
  }
  for (const LaneFacts& lane : facts.lanes) {
    if (lane.lane.head > kMostRevisions) return Absurd(lane.place, lane.lane.head, lane.name);
  }
  return absl::OkStatus();
}

// The store was never opened: numbers are reserved only after every lane is fenced.
bool NeverOpened(const MetaState& meta) { return !meta.existed || meta.reserved == 0; }

absl::Status CheckOwner(const StartFacts& facts, const LaneFacts& lane) {
  if (lane.lane.m_id.empty() || lane.lane.m_id == facts.meta.m_id) return absl::OkStatus();
  return MakeStatus(
      Code::kInvalid,
      absl::StrCat(lane.place, " belongs to the metadata store ", lane.lane.m_id,
                   ", but this server's metadata store is ", facts.meta.m_id,
                   "; point --metadata-store to the store this database was used with, or, if it "
                   "was restored from a backup or moved here for good, start once with "
                   "--storage-restored (all objects stay, old resource versions answer 410)"),
      lane.name);
}

absl::Status CheckTail(const StartFacts& facts, const LaneFacts& lane) {
  auto mark = facts.meta.backends.find(lane.name);
  if (mark == facts.meta.backends.end()) return absl::OkStatus();
  constexpr char kRemedy[] =
      "; put the right file back or restore a backup, or accept the loss and start once with "
      "--storage-restored (old resource versions answer 410)";
  if (!mark->second.identity.empty() && mark->second.identity != lane.identity) {
    if (mark->second.confirmed == 0) return absl::OkStatus();
    if (Untouched(lane)) {
      return MakeStatus(
          Code::kInvalid,
          absl::StrCat(lane.place, " is new and empty, but there were writes up to revision ",
                       mark->second.confirmed,
                       ": the file was removed or emptied, or its disk is not mounted", kRemedy),
          lane.name);
    }
    return MakeStatus(
        Code::kInvalid,
        absl::StrCat(lane.place, " is another database than before: it has the identity ",
                     lane.identity, ", the metadata store remembers ", mark->second.identity,
                     " with writes up to revision ", mark->second.confirmed, kRemedy),
        lane.name);
  }
  // With relaxed durability an unclean end may lose the tail: a new epoch, below.
  const bool may_lose = !lane.durable && !facts.meta.clean;
  if (lane.lane.head < mark->second.confirmed && !may_lose) {
    return MakeStatus(
        Code::kInvalid,
        absl::StrCat(lane.place, " ends at revision ", lane.lane.head,
                     ", but writes up to revision ", mark->second.confirmed,
                     " were acknowledged: it is an older copy, or its -wal file is lost", kRemedy),
        lane.name);
  }
  return absl::OkStatus();
}

// History goes on: only the epoch changes.
StartPlan GoOn(const StartFacts& facts) {
  StartPlan plan;
  plan.rev = std::max<int64_t>(1, facts.meta.reserved);
  plan.void_lanes = !facts.meta.clean;
  for (const LaneFacts& lane : facts.lanes) {
    // A database new to this topology has no history of the keys it will hold.
    const bool joins = lane.lane.m_id.empty();
    plan.adopt_jump.push_back(joins ? std::max(plan.rev, lane.lane.head + 1) : 0);
    if (joins) plan.rev = std::max(plan.rev, plan.adopt_jump.back());
  }
  return plan;
}

}  // namespace

absl::Status CheckJoin(const StartFacts& facts) {
  if (absl::Status status = CheckNoneAhead(facts); !status.ok()) return status;
  if (facts.restored) {
    return MakeStatus(Code::kInvalid,
                      "--storage-restored begins a new history, but other servers are running "
                      "with this metadata store; stop them first",
                      "metadata");
  }
  if (absl::Status status = CheckNumbers(facts); !status.ok()) return status;
  for (const LaneFacts& lane : facts.lanes) {
    if (absl::Status status = CheckOwner(facts, lane); !status.ok()) return status;
    if (lane.lane.m_id.empty() || lane.lane.epoch != facts.meta.epoch ||
        lane.lane.gen != facts.meta.topo_version) {
      return MakeStatus(
          Code::kBusy,
          absl::StrCat(lane.place,
                       " is not as the servers that run with this metadata store use "
                       "it (epoch ",
                       lane.lane.epoch, " instead of ", facts.meta.epoch, ", topology ",
                       lane.lane.gen, " instead of ", facts.meta.topo_version,
                       "): one of them is starting, or was killed during its start; try again"),
          lane.name);
    }
    if (absl::Status status = CheckTail(facts, lane); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<StartPlan> PlanStart(const StartFacts& facts) {
  if (absl::Status status = CheckNoneAhead(facts); !status.ok()) return status;
  if (absl::Status status = CheckNumbers(facts); !status.ok()) return status;
  if (facts.restored) return Jump(facts, "started with --storage-restored");
  if (NeverOpened(facts.meta)) {
    if (!FirstStart(facts)) return Jump(facts, "the metadata store is new, the databases are not");
    StartPlan plan;
    plan.adopt_jump.assign(facts.lanes.size(), 0);
    return plan;
  }
  bool meta_is_older = false;
  bool relaxed = false;
  for (const LaneFacts& lane : facts.lanes) {
    if (absl::Status status = CheckOwner(facts, lane); !status.ok()) return status;
    if (absl::Status status = CheckTail(facts, lane); !status.ok()) return status;
    meta_is_older |= !lane.lane.m_id.empty() && lane.lane.head > facts.meta.reserved;
    meta_is_older |= lane.lane.epoch > facts.meta.epoch;
    relaxed |= !lane.durable;
  }
  if (meta_is_older) return Jump(facts, "the metadata store is an older copy");
  if (relaxed && !facts.meta.clean) {
    return Jump(facts, "unclean end with relaxed durability");
  }
  return GoOn(facts);
}

}  // namespace storage
