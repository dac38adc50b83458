// Slab: the memory behind one answer that leaves through the C ABI, and
// SlabPool: all of them, named by ids, counted by purpose, under one budget.
//
// Threads: SlabPool from any. A Slab belongs to the thread that fills it until
// its id is handed out; after that nobody writes to it.
#ifndef LIBSTORAGE_SRC_API_SLAB_H_
#define LIBSTORAGE_SRC_API_SLAB_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libstorage.h"
#include "src/base/blob.h"
#include "src/base/mutex.h"
#include "src/engine/engine.h"

namespace storage {
namespace api {

// What a slab is for; names in the statistics.
enum class Purpose : uint8_t { kGet, kList, kConflict, kEvent, kLog, kInfo, kError };
inline constexpr int kPurposes = 7;
const char* PurposeName(Purpose purpose);

class SlabPool;

class Slab {
 public:
  Slab() = default;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab();

  uint64_t id() const { return id_; }

  // Memory aligned for any struct of the ABI, or nullptr when the budget does
  // not have it. Never moves.
  void* TryAllocate(size_t size);
  // The same, over the budget if it must be: for what is small, or is held anyway.
  void* Allocate(size_t size);
  // A copy of bytes that views can point into. Within Allocate.
  stg_bytes Copy(std::string_view bytes);
  // Appends to the slab's row array, which may move; false: over the budget.
  bool TryAddRow(const stg_row& row);
  const stg_row* rows() const { return rows_.data(); }
  size_t rows_len() const { return rows_.size(); }

  // Keep the owner of bytes alive until release. exclusive: nobody else holds
  // them, so they are charged; otherwise they are only reported.
  void Hold(Blob blob, bool exclusive);
  void Hold(EventPtr event, bool exclusive);
  // A view of bytes whose owner is held (a copy where released slabs are
  // poisoned). Present bytes have an address even when there are none.
  stg_bytes View(std::string_view bytes);

  // Bytes of memory that this slab owns.
  size_t charged() const { return charged_; }

 private:
  friend class SlabPool;
  struct Chunk {
    std::unique_ptr<uint8_t[]> data;
    size_t size = 0;
    size_t used = 0;
  };
  void* Bump(size_t size);
  void* Grow(size_t size, bool force);
  void Charge(size_t size, bool exclusive);
  void Clear();   // gives everything back to the budget and the heap
  void Poison();  // overwrites what views may still point to

  SlabPool* pool_ = nullptr;
  uint64_t id_ = 0;  // slot and generation; 0 = free
  uint32_t slot_ = 0;
  uint32_t generation_ = 0;
  Purpose purpose_ = Purpose::kInfo;
  bool scratch_used_ = false;
  Chunk scratch_;  // survives release: most answers need no other
  std::vector<Chunk> chunks_;
  std::vector<stg_row> rows_;
  std::vector<Blob> blobs_;
  std::vector<EventPtr> events_;
  size_t charged_ = 0;
  size_t shared_ = 0;
};

class SlabPool {
 public:
  // poison: released memory is overwritten, so that a late reader is found out.
  // Always so in builds with STG_POISON.
  explicit SlabPool(int64_t budget_bytes, bool poison = false);
  SlabPool(const SlabPool&) = delete;
  SlabPool& operator=(const SlabPool&) = delete;

  // A slab to fill; hand out its id() or Release it.
  Slab* New(Purpose purpose) ABSL_LOCKS_EXCLUDED(mu_);
  // Ids that are not out (released twice, made up) are counted and skipped.
  void Release(const uint64_t* ids, size_t count) ABSL_LOCKS_EXCLUDED(mu_);

  // Waits until bytes fit into the budget; false when they did not in time.
  bool WaitForRoom(size_t bytes, SteadyTime deadline) ABSL_LOCKS_EXCLUDED(mu_);
  int64_t budget() const { return budget_; }
  bool poison() const { return poison_; }
  int64_t used() const { return used_.load(std::memory_order_relaxed); }
  int64_t count(Purpose purpose) const;
  int64_t outstanding() const;
  // {"budget_bytes":…, "used_bytes":…, "purposes":{"get":{"bytes":…,"count":…},…}}
  std::string StatsJson() const;

 private:
  friend class Slab;
  struct Gauge {
    std::atomic<int64_t> count{0};
    std::atomic<int64_t> bytes{0};
    std::atomic<int64_t> shared{0};
  };
  static constexpr uint32_t kSlotsPerPage = 256;

  bool TryCharge(size_t bytes);
  void Discharge(size_t bytes);
  Gauge& gauge(Purpose purpose) { return gauges_[static_cast<size_t>(purpose)]; }
  Slab* SlotAt(uint32_t slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Slab* Detach(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Slab* TakeFree() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Recycle(Slab* const* slabs, size_t count) ABSL_LOCKS_EXCLUDED(mu_);

  const int64_t budget_;
  const bool poison_;
  std::atomic<int64_t> used_{0};
  std::atomic<int64_t> bad_releases_{0};
  std::atomic<int> waiters_{0};
  std::array<Gauge, kPurposes> gauges_;

  Mutex mu_;
  CondVar room_;
  std::vector<std::unique_ptr<Slab[]>> pages_ ABSL_GUARDED_BY(mu_);
  std::vector<uint32_t> free_ ABSL_GUARDED_BY(mu_);
  // Poisoned memory is kept for a while, so that a reader that comes too late
  // sees the poison and not the next answer.
  std::deque<Slab*> quarantine_ ABSL_GUARDED_BY(mu_);
};

}  // namespace api
}  // namespace storage

#endif  // LIBSTORAGE_SRC_API_SLAB_H_
