#include "src/api/op_table.h"

#include <utility>

namespace storage {
namespace api {

OpTable::Slot* OpTable::New(uint64_t* id) {
  MutexLock lock(&mu_);
  if (free_.empty()) {
    const auto first = static_cast<uint32_t>(pages_.size()) * kSlotsPerPage;
    if (first >= kMaxOps) return nullptr;
    pages_.push_back(std::make_unique<Slot[]>(kSlotsPerPage));
    free_.reserve(pages_.size() * kSlotsPerPage);  // giving back never allocates
    for (uint32_t i = kSlotsPerPage; i-- > 0;) {
      pages_.back()[i].index = first + i;
      free_.push_back(first + i);
    }
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  Slot* slot = &pages_[index / kSlotsPerPage][index % kSlotsPerPage];
  slot->state = Slot::State::kFilling;
  ++slot->generation;
  ++in_flight_;
  *id = IdOf(*slot);
  return slot;
}

void OpTable::Publish(Slot* slot, std::shared_ptr<WriteOp> write) {
  MutexLock lock(&mu_);
  slot->read.cancelled.store(false, std::memory_order_relaxed);
  slot->write = std::move(write);
  slot->state = Slot::State::kQueued;
}

OpTable::Slot* OpTable::Find(uint64_t id) {
  const uint64_t index = (id & 0xffffffffu) - 1;  // 0 wraps to a slot that does not exist
  if (index >= pages_.size() * kSlotsPerPage) return nullptr;
  Slot* slot = &pages_[index / kSlotsPerPage][index % kSlotsPerPage];
  if (slot->state == Slot::State::kFree || IdOf(*slot) != id) return nullptr;
  return slot;
}

OpTable::Taken OpTable::Free(Slot* slot, std::shared_ptr<WriteOp>* write) {
  Taken taken;
  taken.user = slot->user;
  taken.was_write = slot->write != nullptr;
  if (taken.was_write) taken.key.swap(slot->key);
  *write = std::move(slot->write);  // dies after the lock
  slot->write = nullptr;
  slot->state = Slot::State::kFree;
  free_.push_back(slot->index);
  --in_flight_;
  return taken;
}

OpTable::Slot* OpTable::Start(uint64_t id) {
  MutexLock lock(&mu_);
  Slot* slot = Find(id);
  if (slot == nullptr || slot->state != Slot::State::kQueued) return nullptr;
  slot->state = Slot::State::kRunning;
  return slot;
}

std::optional<OpTable::Taken> OpTable::Take(uint64_t id) {
  std::shared_ptr<WriteOp> write;
  MutexLock lock(&mu_);
  Slot* slot = Find(id);
  if (slot == nullptr) return std::nullopt;
  return Free(slot, &write);
}

OpTable::Cancelled OpTable::Cancel(uint64_t id, Taken* taken) {
  std::shared_ptr<WriteOp> write;
  MutexLock lock(&mu_);
  Slot* slot = Find(id);
  if (slot == nullptr) return Cancelled::kNothing;
  if (slot->write != nullptr) {
    slot->write->cancelled.store(true);
    return Cancelled::kAsked;
  }
  if (slot->state == Slot::State::kQueued) {
    *taken = Free(slot, &write);
    return Cancelled::kTaken;
  }
  slot->read.cancelled.store(true, std::memory_order_relaxed);
  return Cancelled::kAsked;
}

std::vector<uint64_t> OpTable::CancelReads() {
  std::vector<uint64_t> ids;
  MutexLock lock(&mu_);
  for (auto& page : pages_) {
    for (uint32_t i = 0; i < kSlotsPerPage; ++i) {
      Slot& slot = page[i];
      if (slot.state == Slot::State::kFree) continue;
      ids.push_back(IdOf(slot));
      if (slot.write == nullptr) slot.read.cancelled.store(true, std::memory_order_relaxed);
    }
  }
  return ids;
}

int64_t OpTable::in_flight() const {
  MutexLock lock(&mu_);
  return in_flight_;
}

}  // namespace api
}  // namespace storage
