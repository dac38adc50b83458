// Names of our own keys, and the part of etcd's key space that is not ours.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_KEYS_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_KEYS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "src/backend/backend.h"

namespace storage::etcd {

inline std::string Private(std::string_view name) {
  return std::string("\0libstorage/", 12).append(name);
}

// The lane row is in two keys that are read at once: head changes with every
// lane transaction, trim when history is deleted.
inline std::string LanePrefix() { return Private("lane/"); }
inline std::string HeadKey() { return Private("lane/head"); }
inline std::string TrimKey() { return Private("lane/trim"); }
inline std::string IdentityKey() { return Private("identity"); }
inline std::string KindPrefix() { return Private("kinds/"); }
inline std::string LogPrefix() { return Private("log/"); }
inline std::string ExpiryPrefix() { return Private("expiry/"); }

// 16 hexadecimal digits: they sort as the numbers do.
std::string Digits(int64_t number);
int64_t NumberOf(std::string_view digits);  // -1: these are none

std::string KindKey(std::string_view collection);
std::string LogKey(int64_t rev);  // rev: the highest of the batch
std::string ExpiryKey(int64_t expire_at_ms, int64_t create_rev);

// Where the keys end that begin with a prefix.
std::string PrefixEnd(std::string prefix);

// As etcd wants it: *end "\0" = no upper bound. False: nothing can be in it.
bool ToWire(const Range& range, std::string* start, std::string* end);

// Our own keys and whatever else begins with a zero byte.
inline bool IsPrivate(std::string_view key) { return key.empty() || key[0] == '\0'; }

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_KEYS_H_
