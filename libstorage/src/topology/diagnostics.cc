#include "src/topology/diagnostics.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace storage {
namespace {

// A file that is wrong from end to end is not worth more lines than these.
constexpr size_t kMaxShown = 50;

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

// Case, '-' and '_' are how the same word differs between tools.
std::string Folded(std::string_view word) {
  std::string out;
  for (char c : word) {
    if (c != '-' && c != '_') out += absl::ascii_tolower(static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace

std::string Diagnostic::ToString() const {
  std::string place = file;
  if (line > 0) absl::StrAppend(&place, ":", line, ":", column);
  return absl::StrCat(place, error ? ": " : ": warning: ", message);
}

void DiagnosticList::Add(bool error, Mark mark, std::string message) {
  errors_ += error ? 1 : 0;
  items_.push_back({error, file_, mark.line, mark.column, std::move(message)});
}

std::vector<Diagnostic> DiagnosticList::Sorted() const {
  std::vector<Diagnostic> out = items_;
  std::stable_sort(out.begin(), out.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return a.line != b.line ? a.line < b.line : a.column < b.column;
  });
  return out;
}

absl::Status DiagnosticList::ToStatus() const {
  std::string text;
  size_t shown = 0;
  for (const Diagnostic& item : Sorted()) {
    if (++shown > kMaxShown) {
      absl::StrAppend(&text, "\n", file_, ": and ", items_.size() - kMaxShown, " more");
      break;
    }
    absl::StrAppend(&text, text.empty() ? "" : "\n", item.ToString());
  }
  return MakeStatus(Code::kInvalid, text);
}

std::vector<Diagnostic> DiagnosticList::Warnings() const {
  std::vector<Diagnostic> out;
  for (Diagnostic& item : Sorted()) {
    if (!item.error) out.push_back(std::move(item));
  }
  return out;
}

std::string Quote(std::string_view text) {
  constexpr size_t kMaxQuoted = 120;
  std::string out = "\"";
  for (char c : text.substr(0, kMaxQuoted)) {
    unsigned char byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) {
      char hex[8];
      std::snprintf(hex, sizeof(hex), "\\x%02x", byte);
      out += hex;
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  out += text.size() > kMaxQuoted ? "...\"" : "\"";
  return out;
}

std::string JoinNames(const std::vector<std::string>& names, const char* last) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) absl::StrAppend(&out, i + 1 < names.size() ? ", " : absl::StrCat(" ", last, " "));
    out += names[i];
  }
  return out;
}

std::string Nearest(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.size() > 64) return "";
  std::string folded = Folded(word);
  std::string best;
  size_t best_distance = folded.size() / 3 + 1;  // "ky" may mean "key", "abc" means nothing
  for (const std::string& candidate : candidates) {
    size_t distance = EditDistance(folded, Folded(candidate));
    if (distance < best_distance || (distance == best_distance && best.empty())) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace storage
