#include "tools/stgctl/context.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace storage::stgctl {

int Fail(const Context& context, const absl::Status& status) {
  *context.err << "error: ";
  if (const std::string backend = BackendOf(status); !backend.empty()) {
    *context.err << "database \"" << backend << "\": ";
  }
  *context.err << status.message() << std::endl;
  return kExitError;
}

void PrintJson(const Context& context, const nlohmann::json& json) {
  // Keys are bytes: what is no UTF-8 is replaced rather than refused.
  *context.out << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
}

void Table::Print(std::ostream* out) const {
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const std::vector<std::string>& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 3, ' ');
    }
    *out << line << "\n";
  }
}

std::string HumanBytes(int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof(text), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

void SayProgress(const Context& context, const std::string& line) {
  if (isatty(STDERR_FILENO) == 0 && !context.progress) return;
  *context.err << line << std::endl;
}

Progress::Progress(const Context& context, std::string label)
    : context_(context), label_(std::move(label)), terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() {
  if (terminal_ && shown_ >= 0) *context_.err << std::endl;
}

void Progress::Update(int64_t done, int64_t total) {
  if (!terminal_ && !context_.progress) return;
  int percent = total <= 0 ? 100 : static_cast<int>(std::min(done, total) * 100 / total);
  const int step = terminal_ ? 1 : 10;
  if (shown_ >= 0 && percent / step == shown_ / step) return;
  shown_ = percent;
  *context_.err << (terminal_ ? "\r" : "") << label_ << ": " << percent << " %"
                << (terminal_ ? "" : "\n") << std::flush;
}

}  // namespace storage::stgctl
