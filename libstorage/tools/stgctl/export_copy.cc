#include "tools/stgctl/export_copy.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tools/stgctl/sha256.h"

namespace storage::stgctl {
namespace {

// etcd's limits: 128 operations, and 1.5 MiB of which a single object may use all.
constexpr size_t kMostOperations = 128;
constexpr size_t kMostBytes = 1 << 20;
// As kube-apiserver shares its leases: objects that end in the same minute, so many of them.
constexpr int64_t kLeaseSpanMs = 60 * 1000;
constexpr int64_t kLeaseObjects = 1000;
// What ends sooner is over before the copy is.
constexpr int64_t kNearlyExpiredMs = 5 * 1000;

bool HasExpired(const OwnedRow& row) {
  return row.meta.expire_at_ms != 0 &&
         row.meta.expire_at_ms <= absl::ToUnixMillis(absl::Now()) + kNearlyExpiredMs;
}

// In the same order as the rows.
class Entries {
 public:
  Entries(PlainEtcd* etcd, Range range, int64_t revision)
      : etcd_(etcd), range_(std::move(range)), revision_(revision) {}
  // The one at hand; null: there are no more.
  absl::StatusOr<const PlainEntry*> Peek() {
    if (at_ == page_.size() && !done_) {
      absl::StatusOr<std::vector<PlainEntry>> page = etcd_->Page(range_, revision_);
      if (!page.ok()) return page.status();
      page_ = *std::move(page);
      at_ = 0;
      done_ = page_.empty();
      if (!done_) range_.start = page_.back().key + '\0';
    }
    return at_ == page_.size() ? nullptr : &page_[at_];
  }
  void Pop() { ++at_; }

 private:
  PlainEtcd* const etcd_;
  Range range_;
  const int64_t revision_;
  std::vector<PlainEntry> page_;
  size_t at_ = 0;
  bool done_ = false;
};

// nullopt: they are the same.
std::optional<Difference> DifferenceOf(const OwnedRow* row, const PlainEntry* entry) {
  // It may be there or not, as long as it goes.
  if (row != nullptr && HasExpired(*row)) {
    const bool stays = entry != nullptr && !entry->leased;
    return stays ? std::optional(Difference::kExtra) : std::nullopt;
  }
  if (entry == nullptr) return Difference::kMissing;
  if (row == nullptr) return Difference::kExtra;
  const bool same = row->value == entry->value && entry->leased == (row->meta.expire_at_ms != 0);
  return same ? std::nullopt : std::optional(Difference::kDiffers);
}

std::string Describe(Difference difference, const std::string& key) {
  const std::string name = absl::CHexEscape(key);
  switch (difference) {
    case Difference::kMissing:
      return absl::StrCat(name, " is not there");
    case Difference::kDiffers:
      return absl::StrCat(name, " is another than in the databases");
    case Difference::kExtra:
      return absl::StrCat(name, " is there, and in none of the databases");
  }
  return name;
}

void AddTo(Sha256* sum, const std::string& bytes) {
  uint8_t size[8];
  for (int i = 0; i < 8; ++i) size[i] = static_cast<uint8_t>(bytes.size() >> (8 * (7 - i)));
  sum->Add(size, sizeof(size));
  sum->Add(bytes.data(), bytes.size());
}

}  // namespace

absl::Status PlainCopy::ForEachKey(int64_t revision, const Told& told, const Pair& pair) {
  MergedRows rows(set_, range_);
  Entries entries(to_, range_, revision);
  absl::StatusOr<const OwnedRow*> row = rows.Next();
  for (int64_t done = 0;;) {
    if (!row.ok()) return row.status();
    absl::StatusOr<const PlainEntry*> entry = entries.Peek();
    if (!entry.ok()) return entry.status();
    if (*row == nullptr && *entry == nullptr) return absl::OkStatus();
    const bool both = *row != nullptr && *entry != nullptr;
    const int order = both ? (*row)->key.compare((*entry)->key) : *row == nullptr ? 1 : -1;
    absl::StatusOr<bool> more = pair(order <= 0 ? *row : nullptr, order >= 0 ? *entry : nullptr);
    if (!more.ok()) return more.status();
    if (!*more) return absl::OkStatus();
    if (order >= 0) entries.Pop();
    if (order > 0) continue;
    if (!told(++done)) return MakeStatus(Code::kCancelled, "stopped; run it again to go on");
    row = rows.Next();
  }
}

absl::StatusOr<CopyCounts> PlainCopy::Make(const Told& told) {
  absl::StatusOr<PlainEtcd::About> about = to_->Describe();
  if (!about.ok()) return about.status();
  CopyCounts counts;
  const auto pair = [&](const OwnedRow* row, const PlainEntry* entry) -> absl::StatusOr<bool> {
    if (row != nullptr && HasExpired(*row)) {
      ++counts.expired;
    } else if (row != nullptr) {
      ++counts.objects;
      counts.bytes += static_cast<int64_t>(row->value.size());
      counts.expiring += row->meta.expire_at_ms != 0 ? 1 : 0;
    }
    const std::optional<Difference> difference = DifferenceOf(row, entry);
    if (!difference.has_value()) return true;
    const bool extra = *difference == Difference::kExtra;
    ++(extra ? counts.removed : counts.written);
    const absl::Status status = extra ? Remove(entry->key) : Put(*row);
    if (!status.ok()) return status;
    return true;
  };
  absl::Status status = ForEachKey(about->revision, told, pair);
  if (status.ok()) status = Flush();
  if (!status.ok()) return status;
  return counts;
}

absl::StatusOr<PlainCopy::Found> PlainCopy::Compare(int64_t revision, const Told& told) {
  Found found;
  Sha256 sum;
  const auto pair = [&](const OwnedRow* row, const PlainEntry* entry) -> absl::StatusOr<bool> {
    if (const std::optional<Difference> difference = DifferenceOf(row, entry)) {
      found.difference = Describe(*difference, row != nullptr ? row->key : entry->key);
      return false;
    }
    if (entry == nullptr || HasExpired(*row)) return true;
    ++found.objects;
    AddTo(&sum, entry->key);
    AddTo(&sum, entry->value);
    return true;
  };
  absl::Status status = ForEachKey(revision, told, pair);
  if (!status.ok()) return status;
  found.sha256 = sum.Finish();
  return found;
}

absl::Status PlainCopy::Put(const OwnedRow& row) {
  const size_t bytes = row.key.size() + row.value.size();
  if (absl::Status status = FlushIfFull(bytes); !status.ok()) return status;
  int64_t lease = 0;
  if (row.meta.expire_at_ms != 0) {
    absl::StatusOr<int64_t> granted = LeaseFor(row.meta.expire_at_ms);
    if (!granted.ok()) return granted.status();
    lease = *granted;
  }
  puts_.push_back({row.key, row.value, lease});
  bytes_ += bytes;
  return absl::OkStatus();
}

absl::Status PlainCopy::Remove(const std::string& key) {
  if (absl::Status status = FlushIfFull(key.size()); !status.ok()) return status;
  removals_.push_back(key);
  bytes_ += key.size();
  return absl::OkStatus();
}

absl::Status PlainCopy::FlushIfFull(size_t next) {
  const bool full = puts_.size() + removals_.size() >= kMostOperations;
  return full || bytes_ + next > kMostBytes ? Flush() : absl::OkStatus();
}

absl::Status PlainCopy::Flush() {
  if (puts_.empty() && removals_.empty()) return absl::OkStatus();
  absl::Status status = to_->Write(puts_, removals_);
  // Its limits are lower than etcd's own.
  if (CodeOf(status) == Code::kTooLarge) status = FlushOneByOne();
  puts_.clear();
  removals_.clear();
  bytes_ = 0;
  return status;
}

absl::Status PlainCopy::FlushOneByOne() {
  for (const PlainPut& put : puts_) {
    absl::Status status = to_->Write({put}, {});
    if (CodeOf(status) == Code::kTooLarge) {
      return MakeStatus(
          Code::kTooLarge,
          absl::StrCat("the object ", absl::CHexEscape(put.key), " has ", put.value.size(),
                       " bytes, which this etcd does not take: start it with a higher "
                       "--max-request-bytes (and stock Kubernetes may write it), and run this "
                       "again; ",
                       status.message()));
    }
    if (!status.ok()) return status;
  }
  for (const std::string& key : removals_) {
    if (absl::Status status = to_->Write({}, {key}); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// One that ends when the object expires, or up to a minute later.
absl::StatusOr<int64_t> PlainCopy::LeaseFor(int64_t expire_at_ms) {
  const int64_t end_ms = (expire_at_ms + kLeaseSpanMs - 1) / kLeaseSpanMs * kLeaseSpanMs;
  Lease& lease = leases_[end_ms];
  if (lease.id == 0 || lease.objects >= kLeaseObjects) {
    const int64_t left_ms = end_ms - absl::ToUnixMillis(absl::Now());
    absl::StatusOr<int64_t> granted = to_->Grant((left_ms + 999) / 1000);
    if (!granted.ok()) return granted.status();
    lease = {*granted, 0};
  }
  ++lease.objects;
  return lease.id;
}

}  // namespace storage::stgctl
