#include "src/topology/fields.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "src/topology/duration.h"

namespace storage {
namespace {

// A key that is not a plain word is not repeated: a line that lost its
// "endpoint: " makes a key of an endpoint, with its password.
bool IsPlainWord(const std::string& text) {
  for (char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '-') return false;
  }
  return !text.empty() && text.size() <= 40;
}

}  // namespace

Mark MarkOf(const YAML::Node& node) {
  YAML::Mark mark = node.Mark();
  if (mark.line < 0) return Mark{1, 1};
  return Mark{mark.line + 1, mark.column + 1};
}

const char* KindOf(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      return "text";
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a mapping";
    default:
      return "empty";
  }
}

Fields::Fields(const YAML::Node& node, Mark place, std::string what,
               const std::vector<std::string>& known, const std::string& example,
               DiagnosticList* out)
    : place_(place), what_(std::move(what)), out_(out) {
  if (!node.IsMap()) {
    out_->Error(place, absl::StrCat(what_, " must be a mapping, but it is ", KindOf(node),
                                    "; write ", example));
    return;
  }
  ok_ = true;
  for (const auto& pair : node) Take(pair.first, pair.second, known);
}

void Fields::Take(const YAML::Node& key, const YAML::Node& value,
                  const std::vector<std::string>& known) {
  Mark mark = MarkOf(key);
  if (!key.IsScalar()) {
    out_->Error(mark, absl::StrCat("a field name in ", what_, " must be a word, but it is ",
                                   KindOf(key), "; known fields are ", JoinNames(known)));
    return;
  }
  const std::string& name = key.Scalar();
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    Unknown(mark, name, known);
    return;
  }
  auto [at, fresh] = items_.emplace(name, Item{mark, value});
  if (!fresh) {
    out_->Error(mark, absl::StrCat("the field \"", name, "\" is given twice in ", what_,
                                   " (first on line ", at->second.key.line, "); remove one"));
  }
}

void Fields::Unknown(Mark mark, const std::string& name, const std::vector<std::string>& known) {
  if (name == "<<") {
    out_->Error(mark, "YAML merge keys (<<) are not supported; write the fields out");
    return;
  }
  std::string message =
      absl::StrCat("unknown field ", IsPlainWord(name) ? Quote(name) : "name", " in ", what_);
  std::string nearest = Nearest(name, known);
  if (!nearest.empty()) {
    suggested_.insert(nearest);
    absl::StrAppend(&message, "; did you mean \"", nearest, "\"?");
  } else {
    absl::StrAppend(&message, "; known fields are ", JoinNames(known));
  }
  out_->Error(mark, message);
}

Mark Fields::ValueMark(const std::string& name) const {
  const Item& item = items_.at(name);
  // yaml-cpp places an empty value where the next token is.
  return item.value.IsNull() ? item.key : MarkOf(item.value);
}

std::optional<std::string> Fields::Scalar(const std::string& name,
                                          const std::string& wanted) const {
  if (!Has(name)) return std::nullopt;
  const YAML::Node& value = Value(name);
  if (value.IsScalar() && !value.Scalar().empty()) return value.Scalar();
  out_->Error(ValueMark(name), absl::StrCat("\"", name, "\" must be ", wanted, ", but it is ",
                                            value.IsScalar() ? "empty" : KindOf(value)));
  return std::nullopt;
}

std::optional<std::string> Fields::Text(const std::string& name, const std::string& example) const {
  std::optional<std::string> text = Scalar(name, absl::StrCat("text like ", name, ": ", example));
  if (!text.has_value()) return std::nullopt;
  if (name != "endpoint" && absl::StrContains(*text, "://")) {
    // Not repeated, and not kept: later messages would show its password.
    out_->Error(ValueMark(name),
                absl::StrCat("\"", name, "\" looks like an endpoint; write ", name, ": ", example));
    return std::nullopt;
  }
  return text;
}

std::optional<std::vector<std::string>> Fields::TextList(const std::string& name,
                                                         const std::string& example) const {
  if (!Has(name)) return std::nullopt;
  const YAML::Node& value = Value(name);
  if (!value.IsSequence() || value.size() == 0) {
    out_->Error(ValueMark(name),
                absl::StrCat("\"", name, "\" must be a list like ", name, ": ", example,
                             ", but it is ", value.IsSequence() ? "empty" : KindOf(value)));
    return std::nullopt;
  }
  std::vector<std::string> out;
  for (const YAML::Node& item : value) {
    if (!item.IsScalar() || item.Scalar().empty() || absl::StrContains(item.Scalar(), "://")) {
      out_->Error(
          item.IsNull() ? ValueMark(name) : MarkOf(item),
          absl::StrCat("an item of \"", name, "\" is not a name; write ", name, ": ", example));
      return std::nullopt;
    }
    out.push_back(item.Scalar());
  }
  return out;
}

std::optional<bool> Fields::Bool(const std::string& name) const {
  std::optional<std::string> text = Scalar(name, "true or false");
  if (!text.has_value()) return std::nullopt;
  std::string lower = absl::AsciiStrToLower(*text);
  if (lower == "true" || lower == "yes" || lower == "on") return true;
  if (lower == "false" || lower == "no" || lower == "off") return false;
  out_->Error(ValueMark(name), absl::StrCat("\"", name, "\" must be true or false"));
  return std::nullopt;
}

std::optional<int64_t> Fields::Int(const std::string& name, int64_t min, int64_t max) const {
  std::string wanted = absl::StrCat("a whole number from ", min, " to ", max);
  std::optional<std::string> text = Scalar(name, wanted);
  if (!text.has_value()) return std::nullopt;
  int64_t number = 0;
  if (!absl::SimpleAtoi(*text, &number) || number < min || number > max) {
    out_->Error(ValueMark(name), absl::StrCat("\"", name, "\" must be ", wanted));
    return std::nullopt;
  }
  return number;
}

std::optional<int64_t> Fields::DurationMs(const std::string& name) const {
  std::string wanted = "a duration like 5m, 1h30m or 500ms (a plain number means seconds)";
  std::optional<std::string> text = Scalar(name, wanted);
  if (!text.has_value()) return std::nullopt;
  std::optional<int64_t> ms = ParseDurationMs(*text);
  if (!ms.has_value()) {
    out_->Error(ValueMark(name), absl::StrCat("\"", name, "\" must be ", wanted));
  }
  return ms;
}

}  // namespace storage
