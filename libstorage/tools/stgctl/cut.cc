#include "tools/stgctl/cut.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/backend/sqlite/backup.h"
#include "src/backend/sqlite/connection.h"

// Why R is exact.
//
// R is the highest head of all lanes, read at the beginning. So some lane has
// committed R, and every number handed out after that reading is above R
// (revisions come from one sequence). Every write acknowledged before it is
// committed and has a number at most its lane's head, hence at most R.
//
// A lane commits in the order of its numbers (the guard: head < first), and it
// takes numbers only inside a write transaction of its file. So once, at some
// moment after the reading, either
//   - the lane's head is R or more: no number up to R can be committed there
//     any more (guard), or
//   - no write transaction is open in the file: whoever took a number up to R
//     took it before the reading, in a transaction that has ended since, by
//     COMMIT or by ROLLBACK; whoever comes later gets numbers above R,
// the set of the lane's writes up to R is final and in the file. A copy made
// later has all of them, and RewindSqlite removes what is above R. That is the
// state of revision R, lane by lane, and lanes share no keys.
//
// A minimum of the heads would be exact as well and useless: a quiet database
// stays at an old head while the others go on, and their history does not reach
// back that far. Not waiting (the second condition) would lose the write with
// number 5 that is still in flight in one lane while another has committed 6.
//
// "No write transaction is open" is asked by taking the write lock of SQLite for
// an instant; nothing is written under it. A lane that is so busy that this
// never succeeds commits numbers above R soon. The server's own writer waits for
// a lock, so it does not notice.

namespace storage::stgctl {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(2);
constexpr absl::Duration kInstant = absl::Milliseconds(200);

// True: at one moment during this call nobody was writing the file.
absl::StatusOr<bool> NobodyWrites(const std::string& path) {
  const sqlite::Site site{"", path};
  auto connection = sqlite::Connection::Open(&site, sqlite::Connection::Mode::kReadWrite, 0);
  if (!connection.ok()) return connection.status();
  absl::Status begun = (*connection)->Exec("BEGIN IMMEDIATE");
  if (CodeOf(begun) == Code::kBusy) return false;
  if (!begun.ok()) return begun;
  absl::Status ended = (*connection)->Exec("ROLLBACK");
  if (!ended.ok()) return ended;
  return true;
}

absl::Status Settle(const CutSource& source, int64_t cut, absl::Time deadline,
                    const std::function<bool()>& stop,
                    const std::function<void(const CutSource&)>& waiting) {
  const absl::Time began = absl::Now();
  bool said = false;
  while (true) {
    absl::StatusOr<RevisionSpan> span = SqliteRevisions(source.path);
    if (!span.ok()) return span.status();
    if (span->head >= cut) return absl::OkStatus();
    absl::StatusOr<bool> quiet = NobodyWrites(source.path);
    if (!quiet.ok()) return quiet.status();
    if (*quiet) return absl::OkStatus();
    if (stop()) return MakeStatus(Code::kCancelled, "stopped");
    if (absl::Now() > deadline) {
      return MakeStatus(Code::kDeadline,
                        absl::StrCat("a write transaction in ", source.path,
                                     " does not end, so no revision is complete: the disk or the "
                                     "process that writes it hangs. Look at them, or wait longer "
                                     "with --wait"),
                        source.name);
    }
    if (!said && absl::Now() > began + kInstant) {
      waiting(source);
      said = true;
    }
    absl::SleepFor(kPause);
  }
}

}  // namespace

absl::StatusOr<int64_t> ChooseCut(const std::vector<CutSource>& sources, absl::Duration wait,
                                  const std::function<bool()>& stop,
                                  const std::function<void(const CutSource&)>& waiting) {
  int64_t cut = 0;
  for (const CutSource& source : sources) {
    absl::StatusOr<RevisionSpan> span = SqliteRevisions(source.path);
    if (!span.ok()) {
      return MakeStatus(CodeOf(span.status()), std::string(span.status().message()), source.name,
                        DriverCodeOf(span.status()));
    }
    cut = std::max(cut, span->head);
  }
  const absl::Time deadline = absl::Now() + wait;
  for (const CutSource& source : sources) {
    absl::Status status = Settle(source, cut, deadline, stop, waiting);
    if (!status.ok()) return status;
  }
  return cut;
}

}  // namespace storage::stgctl
