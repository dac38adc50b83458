// The four policies of a rule.
#include <re2/re2.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/topology/rule_parser.h"

namespace storage {
namespace {

struct PolicyForm {
  const char* name;
  Policy policy;
  std::vector<std::string> fields;
  const char* example;
};

const std::vector<PolicyForm>& Forms() {
  static const std::vector<PolicyForm>* const forms = new std::vector<PolicyForm>{
      {"prefix", Policy::kPrefix, {"name", "prefix"}, "prefix: {prefix: pods}"},
      {"regexp", Policy::kRegexp, {"name", "prefix", "key"}, "regexp: {prefix: ^(pods|secrets)$}"},
      {"namespace",
       Policy::kNamespace,
       {"name", "namespace", "kinds"},
       "namespace: {namespace: kube-system}"},
      {"customresource",
       Policy::kCustomResource,
       {"name", "group", "kind"},
       "customresource: {group: stable.example.com, kind: shirts}"}};
  return *forms;
}

// "/registry/pods" -> "pods": what the writer of an absolute key meant.
std::string WithoutRoot(std::string_view text) {
  while (!text.empty() && text[0] == '/') text.remove_prefix(1);
  if (text.substr(0, 9) == "registry/") text.remove_prefix(9);
  return std::string(text);
}

void CheckPrefix(const Fields& fields, Rule* rule, DiagnosticList* out) {
  std::optional<std::string> text = fields.Text("prefix", "pods");
  if (fields.Lacks("prefix")) {
    out->Error(fields.place(), "the policy \"prefix\" has no \"prefix\"; write prefix: pods");
  }
  if (!text.has_value()) return;
  rule->prefix = *text;
  Mark mark = fields.ValueMark("prefix");
  if ((*text)[0] == '/') {
    out->Error(mark, absl::StrCat("the prefix ", Quote(*text),
                                  " begins with \"/\", but keys are matched without the storage "
                                  "root; write ",
                                  Quote(WithoutRoot(*text))));
  } else if (text->find('*') < text->size() - 1) {
    out->Error(mark, absl::StrCat("the prefix ", Quote(*text),
                                  " has a \"*\" before its end; write it last, or use the policy "
                                  "\"regexp\""));
  }
}

// Tries a pattern in the file; its error names the part that is wrong.
void CheckPattern(const Fields& fields, const char* field, const std::string& text,
                  DiagnosticList* out) {
  RE2 re(text, RE2::Quiet);
  Mark mark = fields.ValueMark(field);
  if (!re.ok()) {
    out->Error(mark, absl::StrCat("bad regular expression in \"", field, "\": ", re.error(),
                                  "; write it in RE2 syntax "
                                  "(https://github.com/google/re2/wiki/Syntax)"));
  } else if (absl::StartsWith(text, "^/") || absl::StartsWith(text, "/registry/")) {
    out->Warning(mark, absl::StrCat("the expression ", Quote(text),
                                    " matches no key, because keys are matched without the "
                                    "storage root; write it without \"/registry/\""));
  }
}

void CheckRegexp(const Fields& fields, Rule* rule, DiagnosticList* out) {
  std::optional<std::string> prefix = fields.Text("prefix", "^(pods|secrets)$");
  std::optional<std::string> key = fields.Text("key", "^pods/team-");
  if (fields.Lacks("prefix") && fields.Lacks("key")) {
    out->Error(fields.place(),
               "the policy \"regexp\" has neither \"prefix\" nor \"key\"; write prefix: with an "
               "expression for the resource, or key: with one for the whole key");
  }
  if (prefix.has_value()) CheckPattern(fields, "prefix", *prefix, out);
  if (key.has_value()) CheckPattern(fields, "key", *key, out);
  rule->prefix = prefix.value_or("");
  rule->key = key.value_or("");
}

void CheckNamespace(const Fields& fields, Rule* rule, DiagnosticList* out) {
  std::optional<std::string> text = fields.Text("namespace", "kube-system");
  if (fields.Lacks("namespace")) {
    out->Error(fields.place(),
               "the policy \"namespace\" has no \"namespace\"; write namespace: kube-system");
  }
  if (text.has_value()) {
    rule->ns = *text;
    bool valid = text->size() <= 63;
    for (char c : *text) {
      valid = valid && (absl::ascii_islower(static_cast<unsigned char>(c)) ||
                        absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '-');
    }
    if (!valid) {
      out->Error(fields.ValueMark("namespace"),
                 absl::StrCat(Quote(*text),
                              " is not the name of one namespace (lower-case letters, digits and "
                              "\"-\", at most 63); for several write a rule for each"));
    }
  }
  rule->kinds = fields.TextList("kinds", "[pods, configmaps]").value_or(std::vector<std::string>());
}

void CheckCustomResource(const Fields& fields, Rule* rule, DiagnosticList* out) {
  std::optional<std::string> group = fields.Text("group", "stable.example.com");
  if (fields.Lacks("group")) {
    out->Error(fields.place(),
               "the policy \"customresource\" has no \"group\"; write group: stable.example.com");
  }
  rule->kind = fields.Text("kind", "shirts").value_or("");
  if (!group.has_value()) return;
  rule->group = *group;
  if (group->find_first_of("/ *") != std::string::npos) {
    out->Error(fields.ValueMark("group"),
               absl::StrCat(Quote(*group),
                            " is not the name of one API group; write it without "
                            "version and \"*\", like group: stable.example.com"));
  }
  if (rule->kind.find_first_of("./ *") != std::string::npos) {
    out->Error(fields.ValueMark("kind"),
               absl::StrCat(Quote(rule->kind),
                            " is not the name of one kind; write the plural resource name like "
                            "kind: shirts, or leave it out for the whole group"));
  }
}

std::vector<std::string> PolicyNames() {
  std::vector<std::string> names;
  for (const PolicyForm& form : Forms()) names.push_back(form.name);
  return names;
}

// The one policy of the rule; every other one is reported. null: none.
const PolicyForm* ChoosePolicy(const Fields& rule_fields, DiagnosticList* out) {
  std::vector<const PolicyForm*> given;
  bool misspelt = false;
  for (const PolicyForm& form : Forms()) {
    if (rule_fields.Has(form.name)) given.push_back(&form);
    misspelt = misspelt || (!rule_fields.Has(form.name) && !rule_fields.Lacks(form.name));
  }
  if (given.empty() && misspelt) return nullptr;
  if (given.empty()) {
    out->Error(rule_fields.place(), absl::StrCat("the rule has no policy; add exactly one of ",
                                                 JoinNames(PolicyNames(), "or")));
    return nullptr;
  }
  auto before = [&](const PolicyForm* a, const PolicyForm* b) {
    Mark left = rule_fields.KeyMark(a->name), right = rule_fields.KeyMark(b->name);
    return left.line != right.line ? left.line < right.line : left.column < right.column;
  };
  std::sort(given.begin(), given.end(), before);
  for (size_t i = 1; i < given.size(); ++i) {
    out->Error(rule_fields.KeyMark(given[i]->name),
               absl::StrCat("a second policy \"", given[i]->name, "\" in a rule that has \"",
                            given[0]->name, "\" (line ", rule_fields.KeyMark(given[0]->name).line,
                            "); a rule holds exactly one: write another rule for it"));
  }
  return given[0];
}

}  // namespace

bool ParsePolicy(const Fields& rule_fields, Rule* rule, std::optional<std::string>* inner_name,
                 Mark* inner_mark, Mark* policy_mark, DiagnosticList* out) {
  const PolicyForm* form = ChoosePolicy(rule_fields, out);
  if (form == nullptr) return false;
  rule->policy = form->policy;
  *policy_mark = rule_fields.KeyMark(form->name);
  Fields fields(rule_fields.Value(form->name), rule_fields.ValueMark(form->name),
                absl::StrCat("the policy \"", form->name, "\""), form->fields, form->example, out);
  if (!fields.ok()) return false;
  if (fields.Has("name")) {
    *inner_name = fields.Text("name", "my-backend");
    *inner_mark = fields.ValueMark("name");
  }
  switch (form->policy) {
    case Policy::kPrefix:
      CheckPrefix(fields, rule, out);
      break;
    case Policy::kRegexp:
      CheckRegexp(fields, rule, out);
      break;
    case Policy::kNamespace:
      CheckNamespace(fields, rule, out);
      break;
    case Policy::kCustomResource:
      CheckCustomResource(fields, rule, out);
      break;
  }
  return true;
}

}  // namespace storage
