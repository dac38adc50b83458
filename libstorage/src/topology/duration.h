// Durations as Go flags write them.
#ifndef LIBSTORAGE_SRC_TOPOLOGY_DURATION_H_
#define LIBSTORAGE_SRC_TOPOLOGY_DURATION_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace storage {

// "5m", "1h30m", "1.5s", "250ms": Go's time.ParseDuration without a sign. A
// plain whole number means seconds ("0", "300"). Rounded to milliseconds, but
// what is not zero stays at least 1. nullopt: not a duration, or over 100 years.
std::optional<int64_t> ParseDurationMs(std::string_view text);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_TOPOLOGY_DURATION_H_
