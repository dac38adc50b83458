// Moves of a topology change: objects as they are, no entry in the log.
#include "src/backend/checks.h"
#include "src/backend/etcd/keys.h"
#include "src/backend/etcd/lane_txn.h"

namespace storage::etcd {

absl::Status EtcdLaneTxn::FetchMoved(const Keys& keys, const Keys& collections, bool exist) {
  if (applied_ || decided_) return Misused("a move comes before the lane is decided");
  if (absl::Status status = FetchKeys(keys, collections); !status.ok()) return status;
  for (const std::string& key : keys) {
    if ((seen_.find(key)->second.etcd_mod != 0) != exist) {
      return Misused("an import of a key that exists, or a discard of one that does not");
    }
  }
  moved_ = true;
  return absl::OkStatus();
}

absl::Status EtcdLaneTxn::Import(absl::Span<const MovedRow> rows) {
  absl::Status status = CheckImport(rows, lane_, store_->name());
  Keys keys, collections;
  for (const MovedRow& moved : rows) {
    keys.emplace_back(moved.row.key);
    collections.emplace_back(moved.collection);
  }
  if (status.ok()) status = FetchMoved(keys, collections, false);
  if (!status.ok()) return status;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i].row;
    Expect(keys[i], 0);
    Put(keys[i], EncodeObject({row.meta, row.attrs, row.value}));
    // Counted and indexed as a creation is.
    Mutation mutation;
    mutation.collection = collections[i];
    mutation.key = row.key;
    mutation.value = row.value;
    const Seen& seen = seen_.find(keys[i])->second;
    StageExpiry(mutation, seen, row.meta);
    Count(mutation, seen);
  }
  return Moved();
}

absl::Status EtcdLaneTxn::Discard(absl::Span<const DiscardedRow> rows) {
  absl::Status status = CheckDiscard(rows, lane_, store_->name());
  Keys keys, collections;
  for (const DiscardedRow& row : rows) {
    keys.emplace_back(row.key);
    collections.emplace_back(row.collection);
  }
  if (status.ok()) status = FetchMoved(keys, collections, true);
  if (!status.ok()) return status;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Seen& seen = seen_.find(keys[i])->second;
    Expect(keys[i], seen.etcd_mod);
    Delete(keys[i]);
    Mutation mutation;
    mutation.kind = ChangeKind::kDelete;
    mutation.collection = collections[i];
    mutation.key = keys[i];
    StageExpiry(mutation, seen, ObjectMeta());
    Count(mutation, seen);
  }
  return Moved();
}

absl::Status EtcdLaneTxn::Moved() {
  for (const auto& [collection, count] : counts_) Put(KindKey(collection), EncodeKind(count));
  return CheckSize(static_cast<size_t>(request_.compare_size()));
}

}  // namespace storage::etcd
