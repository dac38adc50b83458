// One YAML mapping with a known set of fields: every misuse becomes a
// diagnostic with its place. yaml-cpp is seen in src/topology only.
#ifndef LIBSTORAGE_SRC_TOPOLOGY_FIELDS_H_
#define LIBSTORAGE_SRC_TOPOLOGY_FIELDS_H_

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "src/topology/diagnostics.h"

namespace storage {

Mark MarkOf(const YAML::Node& node);
// "text", "a list", "a mapping", "empty": for messages.
const char* KindOf(const YAML::Node& node);

class Fields {
 public:
  // what: "a rule", "the policy \"prefix\"". Reports unknown and repeated fields
  // at once. A node that is no mapping is reported with the example; ok() is false.
  Fields(const YAML::Node& node, Mark place, std::string what,
         const std::vector<std::string>& known, const std::string& example, DiagnosticList* out);

  bool ok() const { return ok_; }
  Mark place() const { return place_; }  // of the mapping, for what is missing in it
  bool Has(const std::string& name) const { return items_.count(name) > 0; }
  // Not there, and no misspelt field was reported that means it.
  bool Lacks(const std::string& name) const { return !Has(name) && suggested_.count(name) == 0; }
  Mark KeyMark(const std::string& name) const { return items_.at(name).key; }
  Mark ValueMark(const std::string& name) const;
  const YAML::Node& Value(const std::string& name) const { return items_.at(name).value; }

  // Absent, or wrong and reported: nullopt. An empty value is wrong.
  std::optional<std::string> Text(const std::string& name, const std::string& example) const;
  std::optional<std::vector<std::string>> TextList(const std::string& name,
                                                   const std::string& example) const;
  std::optional<bool> Bool(const std::string& name) const;
  std::optional<int64_t> Int(const std::string& name, int64_t min, int64_t max) const;
  std::optional<int64_t> DurationMs(const std::string& name) const;

 private:
  struct Item {
    Mark key;
    YAML::Node value;
  };
  void Take(const YAML::Node& key, const YAML::Node& value, const std::vector<std::string>& known);
  void Unknown(Mark mark, const std::string& name, const std::vector<std::string>& known);
  // The scalar's text, or nullopt with a diagnostic that says what to write.
  std::optional<std::string> Scalar(const std::string& name, const std::string& wanted) const;

  bool ok_ = false;
  Mark place_;
  std::string what_;
  DiagnosticList* out_;
  std::map<std::string, Item> items_;
  std::set<std::string> suggested_;
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_TOPOLOGY_FIELDS_H_
