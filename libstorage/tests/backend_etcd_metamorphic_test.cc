// Random histories on memory and etcd (contract/metamorphic.h).
#include "src/backend/etcd/etcd.h"
#include "tests/contract/metamorphic.h"
#include "tests/servers/etcd_server.h"

namespace storage::contract {
namespace {

TEST(MetamorphicTest, EtcdAnswersAsMemoryDoes) {
  Metamorphic([]() -> Metamorphic::Open {
    return [dir = std::make_shared<TempDir>("/dev/shm")]() {
      EtcdOptions options;
      options.name = "etcd";
      options.endpoints = servers::EtcdServer::ForPlace(dir->path()).Endpoints();
      return OpenEtcdBackend(options);
    };
  }).Run(std::chrono::seconds(3));
}

}  // namespace
}  // namespace storage::contract
