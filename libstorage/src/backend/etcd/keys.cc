#include "src/backend/etcd/keys.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace storage::etcd {

std::string Digits(int64_t number) {
  return absl::StrCat(absl::Hex(static_cast<uint64_t>(number), absl::kZeroPad16));
}

int64_t NumberOf(std::string_view digits) {
  int64_t number = -1;
  if (!absl::SimpleHexAtoi(absl::string_view(digits.data(), digits.size()), &number)) return -1;
  return number;
}

std::string KindKey(std::string_view collection) { return KindPrefix().append(collection); }
std::string LogKey(int64_t rev) { return LogPrefix() + Digits(rev); }
std::string ExpiryKey(int64_t expire_at_ms, int64_t create_rev) {
  return ExpiryPrefix() + Digits(expire_at_ms) + Digits(create_rev);
}

std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

bool ToWire(const Range& range, std::string* start, std::string* end) {
  *start = std::max(range.start, std::string(1, '\1'));
  *end = range.end.empty() ? std::string(1, '\0') : range.end;
  return range.end.empty() || *start < range.end;
}

}  // namespace storage::etcd
