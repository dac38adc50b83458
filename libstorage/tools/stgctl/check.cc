// stgctl topology check FILE
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tools/stgctl/commands.h"
#include "tools/stgctl/coverage.h"

namespace storage::stgctl {
namespace {

struct Report {
  std::vector<Diagnostic> problems;  // errors and warnings
  std::vector<Diagnostic> notes;
  std::unique_ptr<Router> router;  // null: the file is wrong
  size_t errors = 0, warnings = 0;
};

absl::StatusOr<Report> Examine(const std::string& file) {
  Report report;
  absl::StatusOr<Topology> topology = LoadTopology(file, &report.problems);
  if (topology.ok()) {
    absl::StatusOr<std::unique_ptr<Router>> router = Router::Create(*std::move(topology));
    if (!router.ok()) return router.status();
    report.router = *std::move(router);
    for (Diagnostic& problem : EndpointProblems(*report.router, file)) {
      report.problems.push_back(std::move(problem));
    }
    std::stable_sort(report.problems.begin(), report.problems.end(),
                     [](const Diagnostic& a, const Diagnostic& b) { return a.line < b.line; });
    report.notes = NotesOf(*report.router, file);
  }
  for (const Diagnostic& problem : report.problems) {
    (problem.error ? report.errors : report.warnings) += 1;
  }
  return report;
}

nlohmann::json ToJson(const Diagnostic& diagnostic, const char* severity) {
  return {{"severity", severity},
          {"file", diagnostic.file},
          {"line", diagnostic.line},
          {"column", diagnostic.column},
          {"message", diagnostic.message}};
}

void PrintReportJson(const Context& context, const Report& report, bool valid) {
  nlohmann::json out = {{"valid", valid}, {"diagnostics", nlohmann::json::array()}};
  for (const Diagnostic& problem : report.problems) {
    out["diagnostics"].push_back(ToJson(problem, problem.error ? "error" : "warning"));
  }
  for (const Diagnostic& note : report.notes) out["diagnostics"].push_back(ToJson(note, "note"));
  if (report.router != nullptr) {
    const std::vector<Rule>& rules = report.router->topology().rules;
    out["databases"] = nlohmann::json::array();
    for (const RuleCoverage& coverage : CoverageOf(*report.router)) {
      nlohmann::json item = {{"name", coverage.name},
                             {"match", coverage.match},
                             {"wholeKinds", coverage.whole},
                             {"partKinds", coverage.part}};
      if (out["databases"].size() < rules.size()) {
        item["endpoint"] = rules[out["databases"].size()].endpoint.redacted;
      }
      out["databases"].push_back(std::move(item));
    }
  }
  PrintJson(context, out);
}

std::string Plural(size_t count, const char* word) {
  return absl::StrCat(count, " ", word, count == 1 ? "" : "s");
}

// Long lists are for JSON.
std::string Kinds(const std::vector<std::string>& kinds) {
  constexpr size_t kShown = 6;
  if (kinds.empty()) return "-";
  if (kinds.size() <= kShown) return absl::StrJoin(kinds, ",");
  return Plural(kinds.size(), "kind");
}

void PrintTable(const Context& context, const Report& report) {
  Table table({"DATABASE", "ENDPOINT", "TAKES", "KINDS", "SHARED KINDS"});
  const std::vector<Rule>& rules = report.router->topology().rules;
  size_t number = 0;
  for (const RuleCoverage& coverage : CoverageOf(*report.router)) {
    table.Add({coverage.name,
               number < rules.size() ? rules[number].endpoint.redacted : "(--etcd-servers)",
               coverage.match, Kinds(coverage.whole), Kinds(coverage.part)});
    ++number;
  }
  table.Print(context.out);
}

}  // namespace

int RunCheck(const Context& context, const CheckFlags& flags) {
  absl::StatusOr<Report> report = Examine(flags.file);
  if (!report.ok()) return Fail(context, report.status());
  const bool valid = report->errors == 0 && (!flags.strict || report->warnings == 0);
  if (context.json) {
    PrintReportJson(context, *report, valid);
    return valid ? kExitOk : kExitError;
  }
  for (const Diagnostic& problem : report->problems) *context.err << problem.ToString() << "\n";
  for (const Diagnostic& note : report->notes) {
    *context.err << note.file << ":" << note.line << ":" << note.column
                 << ": note: " << note.message << "\n";
  }
  if (!valid) {
    *context.err << "error: " << flags.file << ": "
                 << (report->errors > 0 ? Plural(report->errors, "error")
                                        : Plural(report->warnings, "warning") + " (--strict)")
                 << std::endl;
    return kExitError;
  }
  *context.out << flags.file
               << " is valid: " << Plural(report->router->topology().rules.size(), "rule") << ", "
               << Plural(report->warnings, "warning") << ".\n\n";
  PrintTable(context, *report);
  return kExitOk;
}

}  // namespace storage::stgctl
