#include "src/api/slab.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace storage {
namespace api {
namespace {

constexpr size_t kAlign = alignof(std::max_align_t);
constexpr size_t kScratchBytes = 4096;         // a key, a small value and a row
constexpr size_t kMaxChunkBytes = 512 * 1024;  // a list page grows in chunks up to this
constexpr size_t kKeepElements = 64;           // vectors beyond this do not survive release
constexpr int kPoisonByte = 0xdd;
constexpr uint8_t kNothing = 0;

size_t RoundUp(size_t size) { return (size + kAlign - 1) & ~(kAlign - 1); }

template <typename T>
void Empty(std::vector<T>* vector) {
  if (vector->capacity() > kKeepElements) {
    std::vector<T>().swap(*vector);
  } else {
    vector->clear();
  }
}

}  // namespace

Slab::~Slab() = default;

void* Slab::Bump(size_t size) {
  Chunk* chunk = nullptr;
  if (!chunks_.empty()) {
    chunk = &chunks_.back();
  } else if (scratch_used_) {
    chunk = &scratch_;
  }
  if (chunk == nullptr || chunk->size - chunk->used < size) return nullptr;
  void* result = chunk->data.get() + chunk->used;
  chunk->used += size;
  return result;
}

// The first memory of most slabs is a scratch page that stays with the slot:
// no allocation. Then chunks that double; or, when the budget has no more, one
// of exactly the size.
void* Slab::Grow(size_t size, bool force) {
  const bool first = !scratch_used_ && chunks_.empty();
  if (first && size <= kScratchBytes && pool_->TryCharge(kScratchBytes)) {
    Charge(kScratchBytes, /*exclusive=*/true);
    if (scratch_.data == nullptr) scratch_.data.reset(new uint8_t[kScratchBytes]);
    scratch_.size = kScratchBytes;
    scratch_.used = 0;
    scratch_used_ = true;
    return Bump(size);
  }
  size_t want = first ? size : std::max(size, std::min(2 * charged_, kMaxChunkBytes));
  if (!pool_->TryCharge(want)) {
    want = size;
    if (!pool_->TryCharge(want)) {
      if (!force) return nullptr;
      pool_->used_.fetch_add(static_cast<int64_t>(want), std::memory_order_relaxed);
    }
  }
  Charge(want, /*exclusive=*/true);
  Chunk chunk;
  chunk.data.reset(new uint8_t[want]);
  chunk.size = want;
  chunks_.push_back(std::move(chunk));
  return Bump(size);
}

// Books memory that is already taken out of the budget, or shared memory.
void Slab::Charge(size_t size, bool exclusive) {
  SlabPool::Gauge& gauge = pool_->gauge(purpose_);
  if (exclusive) {
    charged_ += size;
    gauge.bytes.fetch_add(static_cast<int64_t>(size), std::memory_order_relaxed);
  } else {
    shared_ += size;
    gauge.shared.fetch_add(static_cast<int64_t>(size), std::memory_order_relaxed);
  }
}

void* Slab::TryAllocate(size_t size) {
  size = RoundUp(std::max<size_t>(size, 1));
  void* result = Bump(size);
  return result != nullptr ? result : Grow(size, /*force=*/false);
}

void* Slab::Allocate(size_t size) {
  size = RoundUp(std::max<size_t>(size, 1));
  void* result = Bump(size);
  return result != nullptr ? result : Grow(size, /*force=*/true);
}

stg_bytes Slab::Copy(std::string_view bytes) {
  auto* data = static_cast<uint8_t*>(Allocate(bytes.size()));
  if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
  return {data, bytes.size()};
}

bool Slab::TryAddRow(const stg_row& row) {
  if (rows_.size() == rows_.capacity()) {
    const size_t more = std::max<size_t>(rows_.capacity(), 16);
    if (!pool_->TryCharge(more * sizeof(stg_row))) return false;
    Charge(more * sizeof(stg_row), /*exclusive=*/true);
    rows_.reserve(rows_.capacity() + more);
  }
  rows_.push_back(row);
  return true;
}

void Slab::Hold(Blob blob, bool exclusive) {
  if (exclusive)
    pool_->used_.fetch_add(static_cast<int64_t>(blob.size()), std::memory_order_relaxed);
  Charge(blob.size(), exclusive);
  blobs_.push_back(std::move(blob));
}

void Slab::Hold(EventPtr event, bool exclusive) {
  const size_t bytes = event->key.size() + event->value.size() + event->prev.size();
  if (exclusive) pool_->used_.fetch_add(static_cast<int64_t>(bytes), std::memory_order_relaxed);
  Charge(bytes, exclusive);
  events_.push_back(std::move(event));
}

stg_bytes Slab::View(std::string_view bytes) {
  if (pool_->poison()) return Copy(bytes);
  if (bytes.empty()) return {&kNothing, 0};
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

void Slab::Poison() {
  if (scratch_used_) std::memset(scratch_.data.get(), kPoisonByte, scratch_.size);
  for (Chunk& chunk : chunks_) std::memset(chunk.data.get(), kPoisonByte, chunk.size);
  if (!rows_.empty()) {
    std::memset(static_cast<void*>(rows_.data()), kPoisonByte, rows_.size() * sizeof(stg_row));
  }
}

void Slab::Clear() {
  SlabPool::Gauge& gauge = pool_->gauge(purpose_);
  gauge.bytes.fetch_sub(static_cast<int64_t>(charged_), std::memory_order_relaxed);
  gauge.shared.fetch_sub(static_cast<int64_t>(shared_), std::memory_order_relaxed);
  gauge.count.fetch_sub(1, std::memory_order_relaxed);
  const size_t charged = std::exchange(charged_, 0);
  shared_ = 0;
  Empty(&chunks_);
  Empty(&rows_);
  Empty(&blobs_);
  Empty(&events_);
  scratch_used_ = false;
  pool_->Discharge(charged);
}

}  // namespace api
}  // namespace storage
