// Collects what is wrong with a topology file, with places and remedies.
// Values of one parse: not shared between threads.
#ifndef LIBSTORAGE_SRC_TOPOLOGY_DIAGNOSTICS_H_
#define LIBSTORAGE_SRC_TOPOLOGY_DIAGNOSTICS_H_

#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/topology/topology.h"

namespace storage {

// A place in the file, from 1. line 0 = the file as a whole.
struct Mark {
  int line = 0;
  int column = 0;
};

class DiagnosticList {
 public:
  explicit DiagnosticList(std::string file) : file_(std::move(file)) {}

  void Error(Mark mark, std::string message) { Add(true, mark, std::move(message)); }
  void Warning(Mark mark, std::string message) { Add(false, mark, std::move(message)); }

  bool has_errors() const { return errors_ > 0; }
  // INVALID, every diagnostic on a line of its own, in the order of the file.
  absl::Status ToStatus() const;
  std::vector<Diagnostic> Warnings() const;
  std::vector<Diagnostic> Sorted() const;

 private:
  void Add(bool error, Mark mark, std::string message);

  std::string file_;
  std::vector<Diagnostic> items_;
  int errors_ = 0;
};

// The text in double quotes, odd bytes escaped, long text cut.
std::string Quote(std::string_view text);

// "a, b and c".
std::string JoinNames(const std::vector<std::string>& names, const char* last = "and");

// The candidate that a misspelt word most likely meant; "" = none is near.
std::string Nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_TOPOLOGY_DIAGNOSTICS_H_
