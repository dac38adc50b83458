// The contract suite on etcd: a server each test place.
#include "src/backend/etcd/etcd.h"
#include "tests/contract/event_suite.h"
#include "tests/contract/lane_suite.h"
#include "tests/contract/metadata_suite.h"
#include "tests/contract/move_suite.h"
#include "tests/contract/read_suite.h"
#include "tests/servers/etcd_server.h"

namespace storage::contract {
namespace {

EtcdOptions At(const std::string& place) {
  EtcdOptions options;
  options.name = "etcd";
  options.endpoints = servers::EtcdServer::ForPlace(place).Endpoints();
  return options;
}

Factory Etcd() {
  Factory factory;
  factory.name = "etcd";
  factory.persistent = true;
  factory.open = [](const std::string& place) { return OpenEtcdBackend(At(place)); };
  // etcd as it is delivered takes 1.5 MiB with everything that belongs to it.
  factory.largest_value = 1536 * 1024 - 4096;
  return factory;
}

INSTANTIATE_CONTRACT(ContractTest, Etcd());
INSTANTIATE_CONTRACT(PersistentTest, Etcd());

MetadataFactory EtcdMeta() {
  return {"etcd", [](const std::string& place) { return OpenEtcdMetadata(At(place)); }};
}

INSTANTIATE_CONTRACT(MetadataTest, EtcdMeta());
INSTANTIATE_CONTRACT(PersistentMetadataTest, EtcdMeta());

}  // namespace
}  // namespace storage::contract
