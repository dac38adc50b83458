#include "src/engine/mirror.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace storage {
namespace {

// Between two steps; a step is split as the database wants it.
constexpr size_t kMostRows = 500;
constexpr int64_t kMostBytes = 8 << 20;
// A page is short, and etcd may be compacted beside us while it is read.
constexpr int kTries = 3;

bool SameRevisions(const OwnedRow& a, const OwnedRow& b) {
  return a.meta.mod_rev == b.meta.mod_rev && a.meta.create_rev == b.meta.create_rev;
}

bool SameBytes(const OwnedRow& a, const OwnedRow& b) {
  return a.value == b.value && a.attrs == b.attrs && a.meta.expire_at_ms == b.meta.expire_at_ms;
}

RowBatch PointersTo(const std::vector<OwnedRow>& rows) {
  RowBatch batch;
  for (const OwnedRow& row : rows) batch.push_back(&row);
  return batch;
}

}  // namespace

absl::StatusOr<OwnedRow*> RowWalk::Front(const std::function<absl::Status()>& page) {
  for (;; ++at_) {
    if (at_ == page_.size()) {
      if (absl::Status status = page(); !status.ok()) return status;
      absl::StatusOr<bool> more = pages_.Next(&page_);
      for (int left = kTries - 1; left > 0 && CodeOf(more.status()) == Code::kUnavailable; --left) {
        more = pages_.Next(&page_);
      }
      at_ = 0;
      if (!more.ok()) return more.status();
      if (!*more) return nullptr;
    }
    if (pass_(page_[at_].key)) return &page_[at_];
  }
}

Mirror::Mirror(Env env, MirrorCounts* counts)
    : env_(std::move(env)),
      counts_(counts),
      target_(env_.target.backend, RangeUnder(env_.collection), env_.owned) {
  for (const Side& source : env_.sources) {
    sources_.emplace_back(source.backend, RangeUnder(env_.collection), env_.here);
  }
}

absl::Status Mirror::At(const Side& side, const absl::Status& status) {
  if (status.ok()) return status;
  return MakeStatus(CodeOf(status), absl::StrCat(side.label, ": ", status.message()),
                    BackendOf(status), DriverCodeOf(status));
}

absl::StatusOr<OwnedRow*> Mirror::Next() {
  OwnedRow* first = nullptr;
  for (size_t i = 0; i < sources_.size(); ++i) {
    const absl::StatusOr<OwnedRow*> row = sources_[i].Front(env_.page);
    if (!row.ok()) return At(env_.sources[i], row.status());
    if (*row == nullptr || (first != nullptr && first->key < (*row)->key)) continue;
    if (first != nullptr && first->key == (*row)->key) {
      return MakeStatus(Code::kInvalid,
                        absl::StrCat("the object ", absl::CHexEscape(first->key), " is in ",
                                     env_.sources[next_].label, " and in ", env_.sources[i].label,
                                     ", and it is not known which one is right: delete one of the "
                                     "two with the database's own tools"));
    }
    first = *row;
    next_ = i;
  }
  return first;
}

absl::Status Mirror::Run() {
  for (;;) {
    const absl::StatusOr<OwnedRow*> row = Next();
    if (!row.ok()) return row.status();
    const absl::StatusOr<OwnedRow*> there = target_.Front(env_.page);
    if (!there.ok()) return At(env_.target, there.status());
    if (*row == nullptr && *there == nullptr) return Flush();
    if (absl::Status status = Compare(*row, *there); !status.ok()) return status;
  }
}

absl::Status Mirror::Compare(OwnedRow* row, OwnedRow* there) {
  if (row == nullptr || (there != nullptr && there->key < row->key)) {
    ++counts_->discarded;
    return Discard(there);
  }
  ++counts_->rows;
  if (there == nullptr || row->key < there->key) {
    ++counts_->copied;
    return Import(row);
  }
  const bool same = SameRevisions(*row, *there);
  if (same && SameBytes(*row, *there)) {
    sources_[next_].Pop();
    target_.Pop();
    return absl::OkStatus();
  }
  ++(same ? counts_->repaired : counts_->replaced);
  // First the old one goes: the order of Flush.
  absl::Status status = Discard(there);
  return status.ok() ? Import(row) : status;
}

absl::Status Mirror::Discard(OwnedRow* there) {
  bytes_ += static_cast<int64_t>(there->value.size());
  gone_.push_back(std::move(*there));
  target_.Pop();
  return gone_.size() < kMostRows && bytes_ < kMostBytes ? absl::OkStatus() : Flush();
}

absl::Status Mirror::Import(OwnedRow* row) {
  bytes_ += static_cast<int64_t>(row->value.size());
  come_.push_back(std::move(*row));
  sources_[next_].Pop();
  return come_.size() < kMostRows && bytes_ < kMostBytes ? absl::OkStatus() : Flush();
}

absl::Status Mirror::Flush() {
  Backend* const target = env_.target.backend;
  absl::Status status =
      ForEachBatch(target->limits(), PointersTo(gone_), [&](const RowBatch& batch) {
        return env_.step([&] { return DiscardBatch(target, env_.owner, env_.collection, batch); });
      });
  if (status.ok()) status = FlushImports();
  gone_.clear();
  come_.clear();
  bytes_ = 0;
  return At(env_.target, status);
}

absl::Status Mirror::FlushImports() {
  if (come_.empty()) return absl::OkStatus();
  int64_t newest = 0, upto = 0;
  for (const OwnedRow& row : come_) newest = std::max(newest, row.meta.mod_rev);
  for (const RowWalk& source : sources_) upto = std::max(upto, source.head());
  if (absl::Status status = env_.raise(newest, upto); !status.ok()) return status;
  Backend* const target = env_.target.backend;
  return ForEachBatch(target->limits(), PointersTo(come_), [&](const RowBatch& batch) {
    return env_.step([&] { return ImportBatch(target, env_.owner, env_.collection, batch); });
  });
}

}  // namespace storage
