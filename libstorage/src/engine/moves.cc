#include "src/engine/moves.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace storage {
namespace {

constexpr int64_t kPageRows = 500;
constexpr int64_t kPageBytes = 8 << 20;

// FNV-1a, with the length in front so that no two fields run together.
class Hash {
 public:
  Hash& Number(uint64_t value) {
    for (int i = 0; i < 8; ++i, value >>= 8) Byte(static_cast<uint8_t>(value));
    return *this;
  }
  Hash& Bytes(std::string_view bytes) {
    Number(bytes.size());
    for (const char c : bytes) Byte(static_cast<uint8_t>(c));
    return *this;
  }
  // Mixed once more (splitmix64): sums of raw FNV values would cancel out easily.
  uint64_t Take() const {
    uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

 private:
  void Byte(uint8_t byte) { state_ = (state_ ^ byte) * 0x100000001b3; }
  uint64_t state_ = 0xcbf29ce484222325;
};

bool SameRevisions(const ObjectMeta& a, const ObjectMeta& b) {
  return a.mod_rev == b.mod_rev && a.create_rev == b.create_rev;
}

int64_t BytesOf(const OwnedRow& row) {
  return static_cast<int64_t>(row.key.size() + row.value.size() + row.attrs.size());
}

absl::Status VoidAndCommit(LaneTxn* txn, const LaneOwner& owner) {
  absl::Status status = txn->Void(owner, 0);
  return status.ok() ? txn->Commit() : status;
}

}  // namespace

void Sum::Add(const OwnedRow& row) {
  ++objects;
  bytes += static_cast<int64_t>(row.value.size());
  hash += Hash()
              .Bytes(row.key)
              .Bytes(row.value)
              .Bytes(row.attrs)
              .Number(static_cast<uint64_t>(row.meta.mod_rev))
              .Number(static_cast<uint64_t>(row.meta.create_rev))
              .Number(static_cast<uint64_t>(row.meta.expire_at_ms))
              .Take();
}

void Sum::Add(const Sum& other) {
  objects += other.objects;
  bytes += other.bytes;
  hash += other.hash;
}

absl::StatusOr<bool> Pages::Next(std::vector<OwnedRow>* page) {
  page->clear();
  if (done_) return false;
  absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = backend_->OpenSnapshot();
  if (!snapshot.ok()) return snapshot.status();
  head_ = (*snapshot)->lane().head;
  int64_t bytes = 0;
  absl::Status status = (*snapshot)->List(range_, 0, kPageRows, [&](const Row& row) {
    page->push_back(
        {std::string(row.key), std::string(row.value), std::string(row.attrs), row.meta});
    bytes += BytesOf(page->back());
    return bytes < kPageBytes;
  });
  if (!status.ok()) return status;
  done_ = static_cast<int64_t>(page->size()) < kPageRows && bytes < kPageBytes;
  if (!page->empty()) range_.start = page->back().key + '\0';
  return !page->empty();
}

Range RangeUnder(const std::string& prefix) {
  std::string end = prefix;
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) ++end.back();
  return {prefix, end};
}

absl::Status LookUp(Backend* backend, const RowBatch& rows,
                    const std::function<void(size_t, const ObjectMeta&)>& found) {
  if (rows.empty()) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = backend->OpenSnapshot();
  if (!snapshot.ok()) return snapshot.status();
  size_t at = 0;
  Range range{rows.front()->key, rows.back()->key + '\0'};
  // In parts: much may lie between two of the keys.
  for (int64_t part = kPageRows; part == kPageRows;) {
    part = 0;
    std::string last;
    absl::Status status = (*snapshot)->List(range, 0, kPageRows, [&](const Row& row) {
      while (at < rows.size() && rows[at]->key < row.key) ++at;
      if (at < rows.size() && rows[at]->key == row.key) found(at, row.meta);
      if (++part == kPageRows) last.assign(row.key);
      return true;
    });
    if (!status.ok()) return status;
    range.start = last + '\0';
  }
  return absl::OkStatus();
}

absl::Status ForEachBatch(const BatchLimits& limits, const RowBatch& rows,
                          const std::function<absl::Status(const RowBatch&)>& body) {
  RowBatch batch;
  int64_t bytes = 0;
  // Rows that expire are not told apart here: as if all did.
  const int64_t most = limits.operations / std::max(limits.expiring_put, limits.removal);
  for (const OwnedRow* row : rows) {
    const bool full = static_cast<int64_t>(batch.size()) >= std::max<int64_t>(most, 1) ||
                      bytes + BytesOf(*row) > limits.bytes;
    if (full && !batch.empty()) {
      if (absl::Status status = body(batch); !status.ok()) return status;
      batch.clear();
      bytes = 0;
    }
    batch.push_back(row);
    bytes += BytesOf(*row);
  }
  return batch.empty() ? absl::OkStatus() : body(batch);
}

absl::Status ImportBatch(Backend* backend, const LaneOwner& owner, const std::string& collection,
                         const RowBatch& rows) {
  absl::StatusOr<std::unique_ptr<LaneTxn>> txn = backend->BeginLane();
  if (!txn.ok()) return txn.status();
  std::vector<std::string_view> keys;
  keys.reserve(rows.size());
  for (const OwnedRow* row : rows) keys.push_back(row->key);
  std::vector<Current> there(keys.size());
  absl::Status status = (*txn)->Read(keys, absl::MakeSpan(there));
  std::vector<MovedRow> moved;
  for (size_t i = 0; i < rows.size() && status.ok(); ++i) {
    if (there[i].meta.mod_rev == 0) {
      moved.push_back({collection, rows[i]->row()});
    } else if (!SameRevisions(there[i].meta, rows[i]->meta)) {
      return MakeStatus(
          Code::kConflict,
          absl::StrCat("it holds another object ", absl::CHexEscape(rows[i]->key), " (revision ",
                       there[i].meta.mod_rev, ", not ", rows[i]->meta.mod_rev, ")"),
          backend->name());
    }
  }
  if (!status.ok() || moved.empty()) return status;
  status = (*txn)->Import(moved);
  return status.ok() ? VoidAndCommit(txn->get(), owner) : status;
}

absl::Status DiscardBatch(Backend* backend, const LaneOwner& owner, const std::string& collection,
                          const RowBatch& rows) {
  absl::StatusOr<std::unique_ptr<LaneTxn>> txn = backend->BeginLane();
  if (!txn.ok()) return txn.status();
  std::vector<DiscardedRow> gone;
  gone.reserve(rows.size());
  for (const OwnedRow* row : rows) {
    gone.push_back(
        {collection, row->key, row->meta.create_rev, static_cast<int64_t>(row->value.size())});
  }
  absl::Status status = (*txn)->Discard(gone);
  return status.ok() ? VoidAndCommit(txn->get(), owner) : status;
}

}  // namespace storage
