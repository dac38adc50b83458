#include "src/topology/document.h"

#include <yaml-cpp/eventhandler.h>

#include <sstream>

#include "absl/strings/str_cat.h"

namespace storage {
namespace {

Mark FromYaml(const YAML::Mark& mark) {
  if (mark.line < 0) return Mark{1, 1};
  return Mark{mark.line + 1, mark.column + 1};
}

// Notes where a document begins and whether anything is in it.
class Outline final : public YAML::EventHandler {
 public:
  Mark start;
  bool empty = true;

  void OnDocumentStart(const YAML::Mark& mark) override {
    start = FromYaml(mark);
    empty = true;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override { empty = false; }
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {
    empty = false;
  }
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    empty = false;
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    empty = false;
  }
  void OnMapEnd() override {}
};

// YAML::LoadAll is not used: at a token that begins no document (", a", or a
// "]" too many) yaml-cpp 0.7 answers empty documents without end. Two documents
// that begin at the same place show that.
bool CheckOneDocument(const std::string& yaml, DiagnosticList* out) {
  std::istringstream stream(yaml);
  YAML::Parser parser(stream);
  Outline outline;
  Mark before;
  constexpr int kEnough = 4;  // more empty documents than anyone writes by mistake
  for (int i = 0; i < kEnough && parser.HandleNextDocument(outline); ++i) {
    Mark start = outline.start;
    if (i > 0 && start.line == before.line && start.column == before.column) {
      out->Error(start,
                 "not valid YAML: this belongs to nothing before it; remove it, or put it in "
                 "quotes");
      return false;
    }
    if (i > 0 && (!outline.empty || i + 1 == kEnough)) {
      out->Error(start, "a second YAML document begins here; write one document, without \"---\"");
      return false;
    }
    before = start;
  }
  return true;
}

}  // namespace

std::optional<YAML::Node> LoadDocument(const std::string& yaml, DiagnosticList* out) {
  try {
    if (!CheckOneDocument(yaml, out)) return std::nullopt;
    return YAML::Load(yaml);
  } catch (const YAML::Exception& e) {
    out->Error(FromYaml(e.mark),
               absl::StrCat("not valid YAML: ", e.msg,
                            "; indent with blanks, and put text with \": \", \" #\" or a special "
                            "first character in quotes"));
    return std::nullopt;
  }
}

}  // namespace storage
