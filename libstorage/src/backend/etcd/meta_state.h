// Keys and values of the metadata store in etcd: docs/format-etcd.md. Pure functions:
// thread-safe.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_META_STATE_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_META_STATE_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "src/backend/metadata.h"

namespace storage::etcd {

inline std::string MetaKey(std::string_view name) {
  return std::string("\0libstorage-meta/", 17).append(name);
}
inline std::string StateKey() { return MetaKey("state"); }
inline std::string TopologyKey() { return MetaKey("topology"); }
// Claims, all with a lease: of who is alone, of who starts, of each server that shares.
inline std::string AloneKey() { return MetaKey("claim/alone"); }
inline std::string StartsKey() { return MetaKey("claim/start"); }
inline std::string SharePrefix() { return MetaKey("claim/share/"); }

constexpr uint8_t kStateVersion = 2;

// What changes with every take, small, and the random name of the write that stored it.
struct Stored {
  MetaState state;                       // topo only as version 1 kept it here
  std::map<std::string, int64_t> alloc;  // of state.backends, by their names
  int64_t txn = 0;
  std::string holder;     // who started last, for people
  bool has_topo = false;  // of version 1: written before there were claims
};

std::string EncodeState(const Stored& stored);
// INVALID when it is of a newer version, CORRUPT when it is damaged.
absl::Status DecodeState(std::string_view bytes, const std::string& backend, Stored* out);

std::string EncodeTopology(std::string_view topo);
absl::Status DecodeTopology(std::string_view bytes, const std::string& backend, std::string* out);

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_META_STATE_H_
