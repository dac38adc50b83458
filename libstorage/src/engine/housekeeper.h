// Housekeeper: the engine's one timer thread. It reserves revisions ahead,
// flushes confirmed heads, reaps expired objects, compacts by age and size, and
// heals lanes that could not void. When nothing happens it runs nothing.
//
// Threads: Poke from any thread; Stop once.
#ifndef LIBSTORAGE_SRC_ENGINE_HOUSEKEEPER_H_
#define LIBSTORAGE_SRC_ENGINE_HOUSEKEEPER_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "src/base/mutex.h"
#include "src/engine/lane.h"

namespace storage {

// How long until the next compaction by age: compactInterval, up to
// compactIntervalJitter of it more or less. where: -1 is soonest, 1 is latest.
absl::Duration CompactInterval(const CompactSettings& settings, double where);

class Housekeeper {
 public:
  struct Watched {
    Backend* backend = nullptr;
    CommitLane* lane = nullptr;
    CompactSettings compact;
  };
  struct Env {
    Sequencer* sequencer = nullptr;
    MetadataStore* metadata = nullptr;
    Logger* logger = nullptr;  // may be null
    int64_t history_ms = 0;    // 0 = never compact
    int64_t history_bytes = 0;
    std::function<ResourceId(std::string_view key)> resource_of;  // -1 = unknown
    std::vector<Watched> lanes;
  };
  explicit Housekeeper(Env env);
  ~Housekeeper() { Stop(); }
  void Stop();
  void Poke();  // the sequencer wants a reservation, or confirmed heads moved

 private:
  struct State {
    absl::Time next_expiry = absl::InfinitePast();  // look in the database first
    absl::Time next_compact;                        // by age
    absl::Time next_size;                           // by size
    absl::Time next_heal = absl::InfiniteFuture();
    int64_t seen_head = 0;
    int64_t sized_head = 0;   // when the history was sized_bytes
    int64_t sized_bytes = 0;  // not asked for yet: all is behind the floor, which is above 0
    std::shared_ptr<std::atomic<int>> reaping = std::make_shared<std::atomic<int>>(0);
  };
  void Run();
  absl::Time Tick();  // returns when the next tick is due
  void Reap(size_t i, absl::Time now);
  void CompactIfDue(size_t i, absl::Time now);
  void Heal(size_t i, absl::Time now);
  bool HistoryMayBeTooLarge(const State& state, const Watched& watched) const;
  absl::StatusOr<int64_t> Target(size_t i, bool by_age, absl::Time now);
  void MarkTime(absl::Time now);
  void Warn(const std::string& what, const absl::Status& status);

  const Env env_;
  std::vector<State> states_;
  int64_t marked_rev_ = 0;
  absl::Time next_mark_ = absl::InfinitePast();
  absl::Time flush_at_ = absl::InfiniteFuture();
  bool failing_ = false;  // the last reservation failed: said once

  Mutex mu_;
  CondVar wake_;
  bool poked_ ABSL_GUARDED_BY(mu_) = true;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_HOUSEKEEPER_H_
