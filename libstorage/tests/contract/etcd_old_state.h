// The state of a metadata store in etcd as version 1 wrote it (docs/format-etcd.md).
#ifndef LIBSTORAGE_TESTS_CONTRACT_ETCD_OLD_STATE_H_
#define LIBSTORAGE_TESTS_CONTRACT_ETCD_OLD_STATE_H_

#include <string>

#include "src/backend/etcd/codec.h"
#include "src/backend/etcd/meta_state.h"

namespace storage {

inline std::string StateOfVersion1(const etcd::Stored& stored, const std::string& topo) {
  const MetaState& state = stored.state;
  etcd::Packer out;
  out.Byte(1).Number(stored.txn).Bytes(stored.holder).Bytes(state.m_id).Number(state.epoch);
  out.Number(state.reserved).Byte(state.clean ? 1 : 0);
  out.Number(state.topo_version).Bytes(topo);
  for (const auto& [name, mark] : state.backends) {
    out.Bytes(name).Bytes(mark.identity).Number(mark.confirmed);
  }
  return out.Take();
}

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_CONTRACT_ETCD_OLD_STATE_H_
