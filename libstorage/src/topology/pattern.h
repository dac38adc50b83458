// Questions about prefixes and regular expressions that can be answered for
// all keys of a kind at once. RE2 is seen in src/topology only.
#ifndef LIBSTORAGE_SRC_TOPOLOGY_PATTERN_H_
#define LIBSTORAGE_SRC_TOPOLOGY_PATTERN_H_

#include <re2/re2.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"

namespace storage {

// How much of a set of keys is matched. kSome: not decided, any part of it.
enum class Cover { kNone, kSome, kAll };

// The prefix policy: "pods" is pods/..., "pods/team-*" lifts the boundary.
class PrefixPattern {
 public:
  explicit PrefixPattern(std::string_view text);
  bool Matches(std::string_view key) const;
  // Of the keys that begin with start, which ends in '/'.
  Cover Of(std::string_view start) const;
  // Does this match every key that other matches?
  bool Covers(const PrefixPattern& other) const;

  const std::string& text() const { return text_; }  // without '*' and a trailing '/'
  bool open() const { return open_; }                // had a '*'

 private:
  std::string text_;
  bool open_ = false;
};

// What may follow a start of a key. kSegment: nothing, or '/' and anything.
enum class Follow { kNothing, kSegment, kAnything };

class RegexPattern {
 public:
  static absl::StatusOr<std::unique_ptr<RegexPattern>> Create(const std::string& text);
  bool Matches(std::string_view text) const;
  // True: every text that begins with start and goes on as follow says is
  // matched. False: not decided.
  bool MatchesAll(std::string_view start, Follow follow) const;
  // Of the texts that begin with start.
  Cover Of(std::string_view start) const;
  const std::string& text() const { return text_; }

 private:
  explicit RegexPattern(const std::string& text);
  bool MatchesWithin(std::string_view start, char next) const;

  std::string text_;
  RE2 re_;
  RE2 then_;                           // re_ and one more byte; may be !ok()
  std::vector<std::string> literals_;  // every match begins the text with one; "" = not known
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_TOPOLOGY_PATTERN_H_
