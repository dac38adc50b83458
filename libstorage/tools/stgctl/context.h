// What every command of stgctl shares: how it prints and how it fails.
#ifndef LIBSTORAGE_TOOLS_STGCTL_CONTEXT_H_
#define LIBSTORAGE_TOOLS_STGCTL_CONTEXT_H_

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "src/base/status.h"

namespace storage::stgctl {

// Exit codes, as docs/stgctl.md has them.
inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;  // what was asked for failed, or the topology is wrong
inline constexpr int kExitUsage = 2;  // the command line is wrong

struct Context {
  bool json = false;
  bool progress = false;  // shown although standard error is no terminal
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
};

// "error: <message>" on standard error, as kubectl writes it.
int Fail(const Context& context, const absl::Status& status);

void PrintJson(const Context& context, const nlohmann::json& json);

// Columns as wide as their widest cell, three blanks between them, as kubectl's.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void Print(std::ostream* out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string HumanBytes(int64_t bytes);  // "1.5 MiB"

// One line on standard error that tells how far long work is: redrawn on a
// terminal, a line for each tenth with --progress, nothing otherwise.
// A line for who watches; nothing where Progress would show nothing.
void SayProgress(const Context& context, const std::string& line);

class Progress {
 public:
  Progress(const Context& context, std::string label);
  ~Progress();  // ends the line
  void Update(int64_t done, int64_t total);

 private:
  const Context& context_;
  const std::string label_;
  const bool terminal_;
  int shown_ = -1;  // per cent
};

}  // namespace storage::stgctl

#endif  // LIBSTORAGE_TOOLS_STGCTL_CONTEXT_H_
