// What the rules of a topology mean for the built-in kinds.
#ifndef LIBSTORAGE_TOOLS_STGCTL_COVERAGE_H_
#define LIBSTORAGE_TOOLS_STGCTL_COVERAGE_H_

#include <string>
#include <vector>

#include "src/topology/topology.h"

namespace storage::stgctl {

struct RuleCoverage {
  std::string name;                // "default" for what no rule takes
  std::string match;               // in words
  std::vector<std::string> whole;  // kinds that live here and nowhere else
  std::vector<std::string> part;   // kinds that live here and elsewhere too
};

// By backend number, the default database last.
std::vector<RuleCoverage> CoverageOf(const Router& router);

// What the operator should know although nothing is wrong: a rule that splits
// kinds over databases, and what that costs; file:line:column included.
std::vector<Diagnostic> NotesOf(const Router& router, const std::string& file);

// What the server would refuse at start although the file is well-formed:
// databases that this build lacks (warnings) and SQLite options (errors).
std::vector<Diagnostic> EndpointProblems(const Router& router, const std::string& file);

}  // namespace storage::stgctl

#endif  // LIBSTORAGE_TOOLS_STGCTL_COVERAGE_H_
