// etcd as a backend and as the metadata store. docs/format-etcd.md has the keys,
// the envelope of a value, the limits and the table of errors.
//
// Objects lie at their own keys, so that etcdctl and stock Kubernetes find them;
// what is ours alone lies below a prefix that begins with a zero byte.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_ETCD_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_ETCD_H_

#include <cstdint>
#include <memory>
#include <string>

#include "src/backend/backend.h"
#include "src/backend/metadata.h"
#include "src/backend/tls.h"
#include "src/base/log.h"

namespace storage {

struct EtcdOptions {
  std::string name;            // of the backend, for messages and metrics
  std::string endpoints;       // http://host:port or https://…, further members after commas
  BackendTls tls;              // "" = the system's roots; no client certificate
  std::string user, password;  // "" = none
  int64_t slow_ms = 0;         // calls that take longer are logged; 0 = off
  Logger* logger = nullptr;    // may be null; outlives the backend
};

absl::StatusOr<std::unique_ptr<Backend>> OpenEtcdBackend(const EtcdOptions& options);
// several: for servers that share it (MetadataStore::shared); otherwise BUSY while another
// process has it.
absl::StatusOr<std::unique_ptr<MetadataStore>> OpenEtcdMetadata(const EtcdOptions& options,
                                                                bool several = false);
// What it says now, beside the servers that use it: without a claim, and nothing is made or
// changed. Where there is none: nothing that existed.
absl::StatusOr<MetaState> PeekEtcdMetadata(const EtcdOptions& options);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_ETCD_H_
