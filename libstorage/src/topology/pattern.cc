#include "src/topology/pattern.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace storage {
namespace {

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// One byte of each class that RE2's assertions distinguish on their right: a
// word character (\b \B), a line end ((?m)$) and anything else.
constexpr char kClasses[] = {'a', '\n', '-'};

// The literal that an expression of the form ^literal..., without alternatives, must find
// at the begin of a text; "" when the form is another one.
std::string AnchoredLiteral(std::string_view text) {
  if (text.empty() || text[0] != '^') return "";
  size_t end = 1;
  while (end < text.size() && (absl::ascii_isalnum(static_cast<unsigned char>(text[end])) ||
                               text[end] == '/' || text[end] == '-')) {
    ++end;
  }
  // A quantifier behind it makes its last character optional.
  if (end < text.size() && std::string("?*{").find(text[end]) != std::string::npos && end > 1) {
    --end;
  }
  return std::string(text.substr(1, end - 1));
}

// The same of ^one...|^another...: one of them is found. Where something may enclose or
// escape a '|', nothing is known.
std::vector<std::string> AnchoredLiterals(const std::string& text) {
  const bool simple = text.find_first_of("()[]\\") == std::string::npos;
  if (text.find('|') != std::string::npos && !simple) return {""};
  std::vector<std::string> literals;
  for (size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = text.find('|', begin);
    literals.push_back(AnchoredLiteral(std::string_view(text).substr(begin, end - begin)));
  }
  return literals;
}

}  // namespace

PrefixPattern::PrefixPattern(std::string_view text) {
  open_ = !text.empty() && text.back() == '*';
  if (open_) text.remove_suffix(1);
  while (!open_ && !text.empty() && text.back() == '/') text.remove_suffix(1);
  text_ = std::string(text);
}

bool PrefixPattern::Matches(std::string_view key) const {
  if (!StartsWith(key, text_)) return false;
  return open_ || key.size() == text_.size() || key[text_.size()] == '/';
}

Cover PrefixPattern::Of(std::string_view start) const {
  if (open_) {
    if (StartsWith(start, text_)) return Cover::kAll;
    return StartsWith(text_, start) ? Cover::kSome : Cover::kNone;
  }
  // start ends in '/' and text_ does not, so they are never equal.
  if (StartsWith(start, text_) && start.size() > text_.size() && start[text_.size()] == '/') {
    return Cover::kAll;
  }
  return StartsWith(text_, start) ? Cover::kSome : Cover::kNone;
}

bool PrefixPattern::Covers(const PrefixPattern& other) const {
  if (open_) return StartsWith(other.text_, text_);
  if (!other.open_ && other.text_ == text_) return true;
  return StartsWith(other.text_, absl::StrCat(text_, "/"));
}

RegexPattern::RegexPattern(const std::string& text)
    : text_(text),
      re_(text, RE2::Quiet),
      // \C is one byte of any value. Where the text swallows the bracket (an
      // open \Q) this does not compile, and nothing is decided.
      then_(absl::StrCat("(?:", text, ")\\C"), RE2::Quiet),
      literals_(AnchoredLiterals(text)) {}

absl::StatusOr<std::unique_ptr<RegexPattern>> RegexPattern::Create(const std::string& text) {
  std::unique_ptr<RegexPattern> pattern(new RegexPattern(text));
  if (!pattern->re_.ok()) {
    return MakeStatus(Code::kInvalid,
                      absl::StrCat("bad regular expression: ", pattern->re_.error()));
  }
  return pattern;
}

bool RegexPattern::Matches(std::string_view text) const {
  return re_.Match(text, 0, text.size(), RE2::UNANCHORED, nullptr, 0);
}

// Is there a match in start + next that ends at or before the end of start?
// then_ asks for a byte behind the match, so yes when it matches.
bool RegexPattern::MatchesWithin(std::string_view start, char next) const {
  if (!then_.ok()) return false;
  std::string text(start);
  text += next;
  return then_.Match(text, 0, text.size(), RE2::UNANCHORED, nullptr, 0);
}

// Sound because a match is a run of bytes [s, e) plus assertions at places
// between s and e, and an assertion looks at most one byte to its right and one
// to its left (^ $ \A \z \b \B; RE2 has no look-around). Take a text K = start +
// c + ... and the match found in start + next with e <= |start|. Its bytes are
// the same in K. Its assertions before |start| see the same bytes in K. At
// |start| they see c instead of next: so one byte of each class of c that they
// can tell apart is tried, and all three must have a match. Neither text ends
// at |start|, so $ and \z are false there in both. The rest of K is never looked
// at. K = start itself, where nothing follows, is tried as it is.
bool RegexPattern::MatchesAll(std::string_view start, Follow follow) const {
  if (!Matches(start)) return false;
  if (follow == Follow::kNothing) return true;
  if (follow == Follow::kSegment) return MatchesWithin(start, '/');
  for (char next : kClasses) {
    if (!MatchesWithin(start, next)) return false;
  }
  return true;
}

Cover RegexPattern::Of(std::string_view start) const {
  if (MatchesAll(start, Follow::kAnything)) return Cover::kAll;
  // A match needs one of the literals at the begin of the text.
  for (const std::string& literal : literals_) {
    if (StartsWith(start, literal) || StartsWith(literal, start)) return Cover::kSome;
  }
  return Cover::kNone;
}

}  // namespace storage
