#include "src/backend/etcd/memory_of_lane.h"

namespace storage::etcd {

size_t RowMemory::Weight(const Rows::value_type& row) {
  return row.first.size() + row.second.value.size() + sizeof(row);
}

const Seen* RowMemory::Find(std::string_view key) const {
  const auto at = at_.find(key);
  return at == at_.end() ? nullptr : &at->second->second;
}

void RowMemory::Put(const std::string& key, Seen seen) {
  Erase(key);
  rows_.emplace_front(key, std::move(seen));
  at_[rows_.front().first] = rows_.begin();
  bytes_ += Weight(rows_.front());
  while (bytes_ > max_bytes_) Erase(std::string(rows_.back().first));
}

void RowMemory::Erase(std::string_view key) {
  const auto at = at_.find(key);
  if (at == at_.end()) return;
  const Rows::iterator row = at->second;
  bytes_ -= Weight(*row);
  at_.erase(at);
  rows_.erase(row);
}

void RowMemory::Clear() {
  at_.clear();
  rows_.clear();
  bytes_ = 0;
}

}  // namespace storage::etcd
