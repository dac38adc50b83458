#include "src/watch/ring.h"

#include <algorithm>

namespace storage {
namespace {

int64_t SizeOf(const Event& event) {
  return static_cast<int64_t>(sizeof(Event) + event.key.size() + event.value.size() +
                              event.prev.size());
}

}  // namespace

bool InRange(const Range& range, std::string_view key) {
  return key >= range.start && (range.end.empty() || key < range.end);
}

Ring::Collection& Ring::Get(ResourceId resource) {
  std::unique_ptr<Collection>& slot = collections_[resource];
  if (slot == nullptr) {
    slot = std::make_unique<Collection>();
    slot->start = base_;
  }
  return *slot;
}

void Ring::Clear(int64_t head) {
  order_.clear();
  bytes_ = 0;
  base_ = head;
  for (auto& [resource, collection] : collections_) {
    collection->events.clear();
    collection->start = head;
  }
}

bool Ring::Append(int64_t prev_head, absl::Span<const EventPtr> events, int64_t last) {
  MutexLock lock(&mu_);
  const bool gap = prev_head != head_;
  if (gap) Clear(prev_head);
  Add(events, last);
  return gap;
}

bool Ring::AppendNext(int64_t prev_head, absl::Span<const EventPtr> events, int64_t last,
                      int64_t creations) {
  MutexLock lock(&mu_);
  if (prev_head != head_) return false;
  if (creations >= 0) {
    if (creations != static_cast<int64_t>(collections_.size())) return false;
    base_ = std::max(base_, last);  // a resource that comes later has missed some
  }
  Add(events, last);
  return true;
}

int64_t Ring::head() const {
  MutexLock lock(&mu_);
  return head_;
}

int64_t Ring::Creations() const {
  MutexLock lock(&mu_);
  return static_cast<int64_t>(collections_.size());
}

void Ring::Add(absl::Span<const EventPtr> events, int64_t last) {
  for (const EventPtr& event : events) {
    Get(event->resource).events.push_back(event);
    order_.push_back(event);
    bytes_ += SizeOf(*event);
  }
  head_ = std::max(head_, last);
  Evict();
}

void Ring::Evict() {
  while (bytes_ > max_bytes_ && order_.size() > 1) {
    const EventPtr& oldest = order_.front();
    Collection& collection = Get(oldest->resource);
    collection.start = oldest->rev;
    collection.events.pop_front();
    bytes_ -= SizeOf(*oldest);
    order_.pop_front();
  }
}

bool Ring::Read(ResourceId resource, const Range& range, int64_t after, int64_t upto,
                int64_t max_events, int64_t max_bytes, std::vector<EventPtr>* out,
                bool* truncated) {
  *truncated = false;
  MutexLock lock(&mu_);
  auto found = collections_.find(resource);
  if (found == collections_.end()) return after >= base_;
  const Collection& collection = *found->second;
  if (after < collection.start) return false;
  auto next = std::upper_bound(collection.events.begin(), collection.events.end(), after,
                               [](int64_t rev, const EventPtr& e) { return rev < e->rev; });
  int64_t bytes = 0;
  for (; next != collection.events.end() && (*next)->rev <= upto; ++next) {
    if (!InRange(range, (*next)->key)) continue;
    if (static_cast<int64_t>(out->size()) >= max_events || bytes >= max_bytes) {
      *truncated = true;
      break;
    }
    bytes += SizeOf(**next);
    out->push_back(*next);
  }
  return true;
}

void Ring::Follow(ResourceId resource, const std::shared_ptr<Follower>& follower) {
  MutexLock lock(&mu_);
  Get(resource).followers.push_back(follower);
}

void Ring::Unfollow(ResourceId resource, Follower* follower) {
  MutexLock lock(&mu_);
  auto& followers = Get(resource).followers;
  auto same = [&](const std::shared_ptr<Follower>& f) { return f.get() == follower; };
  followers.erase(std::remove_if(followers.begin(), followers.end(), same), followers.end());
  absl::erase_if(blocked_, same);
}

void Ring::Block(const std::shared_ptr<Follower>& follower) {
  MutexLock lock(&mu_);
  blocked_.insert(follower);
}

std::vector<std::shared_ptr<Follower>> Ring::ToWake(absl::Span<const EventPtr> events, bool gap) {
  MutexLock lock(&mu_);
  std::vector<std::shared_ptr<Follower>> wake(blocked_.begin(), blocked_.end());
  blocked_.clear();
  if (gap) {
    for (const auto& [resource, collection] : collections_) {
      wake.insert(wake.end(), collection->followers.begin(), collection->followers.end());
    }
    return wake;
  }
  absl::flat_hash_map<ResourceId, std::vector<const Event*>> touched;
  for (const EventPtr& event : events) touched[event->resource].push_back(event.get());
  for (const auto& [resource, changes] : touched) {
    auto found = collections_.find(resource);
    if (found == collections_.end()) continue;
    for (const std::shared_ptr<Follower>& follower : found->second->followers) {
      const Range& range = follower->range();
      const bool hit = std::any_of(changes.begin(), changes.end(),
                                   [&](const Event* event) { return InRange(range, event->key); });
      if (hit) wake.push_back(follower);
    }
  }
  return wake;
}

int64_t Ring::bytes() const {
  MutexLock lock(&mu_);
  return bytes_;
}

int64_t Ring::watches() const {
  MutexLock lock(&mu_);
  int64_t n = 0;
  for (const auto& [resource, collection] : collections_) {
    n += static_cast<int64_t>(collection->followers.size());
  }
  return n;
}

}  // namespace storage
