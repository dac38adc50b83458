// Before an old copy goes: that the new one is whole.
#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "src/engine/migrate.h"

namespace storage {

// All of it is read back, what was there before too.
absl::Status Migration::Verify() {
  int64_t done = 0, total = 0;
  for (const MigrationRecord::Expected& expected : record().expected) total += expected.objects;
  for (const MigrationRecord::Expected& expected : record().expected) {
    const auto database =
        std::find_if(databases_.begin(), databases_.end(),
                     [&](const Database& d) { return d.in_new && d.name == expected.place; });
    const auto resource =
        std::find_if(routes_.resources.begin(), routes_.resources.end(),
                     [&](const Resource& r) { return r.key_prefix == expected.collection; });
    if (database == databases_.end() || resource == routes_.resources.end()) {
      return MakeStatus(Code::kCorrupt,
                        "the record of the migration is damaged; run it with --abort");
    }
    const int number = static_cast<int>(resource - routes_.resources.begin());
    Pages pages(database->backend.get(), RangeUnder(expected.collection));
    Sum sum;
    std::vector<OwnedRow> page;
    for (;;) {
      if (absl::Status status = Stopped(); !status.ok()) return status;
      absl::StatusOr<bool> more = pages.Next(&page);
      if (!more.ok()) return At(*database, more.status());
      if (!*more) break;
      for (const OwnedRow& row : page) {
        const bool here =
            database->ahead || TargetOf(number, row.key) == database - databases_.begin();
        if (here && Owns(number, row.key)) sum.Add(row);
      }
      if (options_.progress != nullptr) options_.progress("verifying", done + sum.objects, total);
    }
    done += sum.objects;
    if (sum.objects == expected.objects && sum.hash == expected.sum) continue;
    return At(*database,
              MakeStatus(Code::kCorrupt,
                         absl::StrCat("after the copy it holds ", sum.objects, " objects of ",
                                      expected.collection, " with the checksum ", sum.hash,
                                      ", not ", expected.objects, " with ", expected.sum,
                                      ": nothing was removed anywhere. Run the migration with "
                                      "--abort, then again")));
  }
  return absl::OkStatus();
}

// Never the last copy, whatever else is wrong.
absl::Status Migration::CheckCopies(int from, int to, const RowBatch& rows) {
  std::vector<bool> there(rows.size());
  absl::Status status = LookUp(
      databases_[to].backend.get(), rows,
      [&](size_t i, const ObjectMeta& meta) { there[i] = meta.mod_rev == rows[i]->meta.mod_rev; });
  if (!status.ok()) return At(databases_[to], status);
  const auto missing = std::find(there.begin(), there.end(), false);
  if (missing == there.end()) return status;
  return At(
      databases_[to],
      MakeStatus(Code::kCorrupt,
                 absl::StrCat("the object ", absl::CHexEscape(rows[missing - there.begin()]->key),
                              " is not there as it is in ", databases_[from].label(),
                              ", which keeps its copies: was a database restored, or written "
                              "by something else, since they were verified?")));
}

}  // namespace storage
