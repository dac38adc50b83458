// The one place of the engine that knows which backends exist.
#ifndef LIBSTORAGE_SRC_ENGINE_BACKENDS_H_
#define LIBSTORAGE_SRC_ENGINE_BACKENDS_H_

#include <memory>
#include <string>

#include "src/backend/backend.h"
#include "src/backend/metadata.h"
#include "src/engine/engine.h"
#include "src/topology/topology.h"

namespace storage {

const char* EndpointKindName(EndpointKind kind);  // "sqlite"

// rule: null for the default database, whose TLS settings are in the options; its
// own TLS and pool settings count otherwise.
// several: other servers write it too, and are told of each commit.
absl::StatusOr<std::unique_ptr<Backend>> OpenBackend(const std::string& name,
                                                     const Endpoint& endpoint, const Rule* rule,
                                                     bool several, const EngineOptions& options);
absl::StatusOr<std::unique_ptr<MetadataStore>> OpenMetadata(const Endpoint& endpoint, bool several,
                                                            const EngineOptions& options);
// What the metadata store says now, beside the servers that use it: without a claim, and
// nothing is made or changed.
absl::StatusOr<MetaState> PeekMetadata(const Endpoint& endpoint, const EngineOptions& options);
// Several servers at once may have a database of this kind, and a metadata store there.
bool CanBeShared(EndpointKind kind);
// Read-only, without a lock: to count what an SQLite file holds.
absl::StatusOr<std::unique_ptr<Backend>> OpenForInspection(const std::string& name,
                                                           const std::string& path);
// Where the metadata store is when nothing says so: a file beside the default
// database, or a part of it.
Endpoint DefaultMetadataEndpoint(const Endpoint& default_database);
// One spelling for all names of a file: absolute, without symbolic links.
std::string RealPath(const std::string& path);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_BACKENDS_H_
