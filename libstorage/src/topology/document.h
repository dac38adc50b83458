// Bytes to one YAML document.
#ifndef LIBSTORAGE_SRC_TOPOLOGY_DOCUMENT_H_
#define LIBSTORAGE_SRC_TOPOLOGY_DOCUMENT_H_

#include <yaml-cpp/yaml.h>

#include <optional>
#include <string>

#include "src/topology/diagnostics.h"

namespace storage {

// The root of the only document in yaml; a null node when there is none.
// nullopt: not YAML, or a second document; reported.
std::optional<YAML::Node> LoadDocument(const std::string& yaml, DiagnosticList* out);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_TOPOLOGY_DOCUMENT_H_
