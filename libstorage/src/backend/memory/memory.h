// The executable specification of Backend and MetadataStore: std::map and a
// mutex, no cleverness. Every other backend is compared with it.
#ifndef LIBSTORAGE_SRC_BACKEND_MEMORY_MEMORY_H_
#define LIBSTORAGE_SRC_BACKEND_MEMORY_MEMORY_H_

#include <memory>
#include <string>

#include "src/backend/backend.h"
#include "src/backend/metadata.h"

namespace storage {

std::unique_ptr<Backend> NewMemoryBackend(const std::string& name);
std::unique_ptr<MetadataStore> NewMemoryMetadata();

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BACKEND_MEMORY_MEMORY_H_
