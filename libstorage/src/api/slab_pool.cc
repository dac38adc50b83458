#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/api/slab.h"

#if defined(__SANITIZE_ADDRESS__)
#define STG_UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STG_UNDER_ASAN 1
#endif
#endif

namespace storage {
namespace api {
namespace {

// Under ASan released memory goes back to the heap at once: its own quarantine
// reports a late reader by name. Elsewhere the poison has to be found to be seen.
#if defined(STG_UNDER_ASAN)
constexpr size_t kQuarantine = 0;
#else
constexpr size_t kQuarantine = 128;
#endif

#if defined(STG_POISON)
constexpr bool kAlwaysPoison = true;
#else
constexpr bool kAlwaysPoison = false;
#endif

constexpr const char* kNames[kPurposes] = {"get", "list", "conflict", "event",
                                           "log", "info", "error"};

uint64_t MakeId(uint32_t slot, uint32_t generation) {
  return (static_cast<uint64_t>(generation) << 32) | (slot + 1);
}

}  // namespace

const char* PurposeName(Purpose purpose) { return kNames[static_cast<size_t>(purpose)]; }

SlabPool::SlabPool(int64_t budget_bytes, bool poison)
    : budget_(budget_bytes), poison_(poison || kAlwaysPoison) {}

Slab* SlabPool::SlotAt(uint32_t slot) {
  return &pages_[slot / kSlotsPerPage][slot % kSlotsPerPage];
}

Slab* SlabPool::TakeFree() {
  if (free_.empty()) {
    const auto first = static_cast<uint32_t>(pages_.size()) * kSlotsPerPage;
    pages_.push_back(std::make_unique<Slab[]>(kSlotsPerPage));
    // Room for every slot: giving one back never allocates.
    free_.reserve(pages_.size() * kSlotsPerPage);
    for (uint32_t i = kSlotsPerPage; i-- > 0;) {
      SlotAt(first + i)->slot_ = first + i;
      free_.push_back(first + i);
    }
  }
  Slab* slab = SlotAt(free_.back());
  free_.pop_back();
  return slab;
}

Slab* SlabPool::New(Purpose purpose) {
  Slab* slab;
  {
    MutexLock lock(&mu_);
    slab = TakeFree();
    slab->id_ = MakeId(slab->slot_, ++slab->generation_);
  }
  slab->pool_ = this;
  slab->purpose_ = purpose;
  gauge(purpose).count.fetch_add(1, std::memory_order_relaxed);
  return slab;
}

Slab* SlabPool::Detach(uint64_t id) {
  const uint64_t slot = (id & 0xffffffffu) - 1;  // 0 wraps to a slot that does not exist
  if (slot >= pages_.size() * kSlotsPerPage) return nullptr;
  Slab* slab = SlotAt(static_cast<uint32_t>(slot));
  if (slab->id_ != id) return nullptr;
  slab->id_ = 0;
  return slab;
}

void SlabPool::Release(const uint64_t* ids, size_t count) {
  constexpr size_t kBatch = 64;
  while (count > 0) {
    Slab* found[kBatch];
    size_t found_len = 0;
    const size_t batch = std::min(count, kBatch);
    {
      MutexLock lock(&mu_);
      for (size_t i = 0; i < batch; ++i) {
        if (ids[i] == 0) continue;
        Slab* slab = Detach(ids[i]);
        if (slab != nullptr) {
          found[found_len++] = slab;
        } else {
          bad_releases_.fetch_add(1, std::memory_order_relaxed);
        }
      }
    }
    Recycle(found, found_len);
    ids += batch;
    count -= batch;
  }
}

// Values may be freed here: not under the lock.
void SlabPool::Recycle(Slab* const* slabs, size_t count) {
  if (!poison_) {
    for (size_t i = 0; i < count; ++i) slabs[i]->Clear();
    MutexLock lock(&mu_);
    for (size_t i = 0; i < count; ++i) free_.push_back(slabs[i]->slot_);
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    slabs[i]->Poison();
    Slab* out = slabs[i];
    std::vector<Slab::Chunk> chunks;
    std::vector<stg_row> rows;
    if (kQuarantine > 0) {
      chunks.swap(out->chunks_);
      rows.swap(out->rows_);
    }
    out->Clear();
    if (kQuarantine == 0) out->scratch_ = Slab::Chunk();
    MutexLock lock(&mu_);
    out->chunks_.swap(chunks);
    out->rows_.swap(rows);
    quarantine_.push_back(out);
    while (quarantine_.size() > kQuarantine) {
      Slab* oldest = quarantine_.front();
      quarantine_.pop_front();
      oldest->chunks_.clear();
      oldest->rows_.clear();
      free_.push_back(oldest->slot_);
    }
  }
}

bool SlabPool::TryCharge(size_t bytes) {
  const auto size = static_cast<int64_t>(bytes);
  if (used_.fetch_add(size, std::memory_order_relaxed) + size <= budget_) return true;
  Discharge(bytes);
  return false;
}

void SlabPool::Discharge(size_t bytes) {
  if (bytes == 0) return;
  used_.fetch_sub(static_cast<int64_t>(bytes));
  if (waiters_.load() == 0) return;
  // Taking the lock orders this with a waiter that has just looked at used_.
  { MutexLock lock(&mu_); }
  room_.SignalAll();
}

bool SlabPool::WaitForRoom(size_t bytes, SteadyTime deadline) {
  const auto size = static_cast<int64_t>(bytes);
  MutexLock lock(&mu_);
  waiters_.fetch_add(1);
  bool room = used_.load() + size <= budget_;
  while (!room && room_.WaitUntil(&mu_, deadline)) room = used_.load() + size <= budget_;
  waiters_.fetch_sub(1);
  return room || used_.load() + size <= budget_;
}

int64_t SlabPool::count(Purpose purpose) const {
  return gauges_[static_cast<size_t>(purpose)].count.load(std::memory_order_relaxed);
}

int64_t SlabPool::outstanding() const {
  int64_t total = 0;
  for (const Gauge& gauge : gauges_) total += gauge.count.load(std::memory_order_relaxed);
  return total;
}

std::string SlabPool::StatsJson() const {
  std::string json = absl::StrCat("{\"budget_bytes\":", budget_, ",\"used_bytes\":", used(),
                                  ",\"bad_releases\":", bad_releases_.load(), ",\"purposes\":{");
  for (int i = 0; i < kPurposes; ++i) {
    const Gauge& gauge = gauges_[static_cast<size_t>(i)];
    absl::StrAppend(&json, i == 0 ? "\"" : ",\"", kNames[i], "\":{\"bytes\":", gauge.bytes.load(),
                    ",\"shared_bytes\":", gauge.shared.load(), ",\"count\":", gauge.count.load(),
                    "}");
  }
  json += "}}";
  return json;
}

}  // namespace api
}  // namespace storage
