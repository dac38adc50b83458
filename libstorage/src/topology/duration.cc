#include "src/topology/duration.h"

#include <cmath>
#include <string>

namespace storage {
namespace {

constexpr double kMaxMs = 100.0 * 366 * 24 * 3600 * 1000;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes digits with at most one '.', at least one digit. nullopt: no number there.
std::optional<double> TakeNumber(std::string_view* text) {
  double value = 0;
  double place = 0;  // 0 before the point, then 0.1, 0.01, ...
  size_t i = 0;
  bool any = false;
  for (; i < text->size(); ++i) {
    char c = (*text)[i];
    if (IsDigit(c)) {
      any = true;
      if (place == 0) {
        value = value * 10 + (c - '0');
      } else {
        value += (c - '0') * place;
        place /= 10;
      }
    } else if (c == '.' && place == 0) {
      place = 0.1;
    } else {
      break;
    }
  }
  if (!any) return std::nullopt;
  text->remove_prefix(i);
  return value;
}

// Takes the unit, answers its length in milliseconds; 0 = not a unit.
double TakeUnit(std::string_view* text) {
  struct Unit {
    std::string_view name;
    double ms;
  };
  static constexpr Unit kUnits[] = {{"ns", 1e-6},        {"us", 1e-3},  {"\xc2\xb5s", 1e-3},
                                    {"\xce\xbcs", 1e-3}, {"ms", 1},     {"s", 1000},
                                    {"m", 60000},        {"h", 3600000}};
  for (const Unit& unit : kUnits) {
    if (text->substr(0, unit.name.size()) == unit.name) {
      text->remove_prefix(unit.name.size());
      return unit.ms;
    }
  }
  return 0;
}

}  // namespace

std::optional<int64_t> ParseDurationMs(std::string_view text) {
  if (text.empty()) return std::nullopt;
  bool plain = text.find_first_not_of("0123456789") == std::string_view::npos;
  double total = 0;
  bool nonzero = false;
  while (!text.empty()) {
    std::optional<double> number = TakeNumber(&text);
    if (!number.has_value()) return std::nullopt;
    double unit = plain ? 1000 : TakeUnit(&text);
    if (unit == 0) return std::nullopt;
    total += *number * unit;
    nonzero = nonzero || *number > 0;
    if (total > kMaxMs) return std::nullopt;
  }
  int64_t ms = std::llround(total);
  return nonzero && ms == 0 ? 1 : ms;
}

}  // namespace storage
