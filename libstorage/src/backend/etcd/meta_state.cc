#include "src/backend/etcd/meta_state.h"

#include "absl/strings/str_cat.h"
#include "src/backend/etcd/codec.h"
#include "src/backend/etcd/errors.h"

namespace storage::etcd {
namespace {

constexpr uint8_t kTopologyVersion = 1;

absl::Status TooNew(const std::string& what, int version, int known, const std::string& backend) {
  return MakeStatus(Code::kInvalid,
                    absl::StrCat(what, " of the metadata store has format version ", version,
                                 ", but this build knows versions up to ", known,
                                 "; use the newer build that wrote it, or restore a backup"),
                    backend);
}

}  // namespace

std::string EncodeState(const Stored& stored) {
  const MetaState& state = stored.state;
  Packer out;
  out.Byte(kStateVersion).Number(stored.txn).Bytes(stored.holder).Bytes(state.m_id);
  out.Number(state.epoch).Number(state.reserved).Byte(state.clean ? 1 : 0);
  out.Number(state.topo_version);
  for (const auto& [name, mark] : state.backends) {
    const auto alloc = stored.alloc.find(name);
    out.Bytes(name).Bytes(mark.identity).Number(mark.confirmed);
    out.Number(alloc == stored.alloc.end() ? 0 : alloc->second);
  }
  return out.Take();
}

absl::Status DecodeState(std::string_view bytes, const std::string& backend, Stored* out) {
  Unpacker in(bytes);
  MetaState& state = out->state;
  const int version = in.Byte();
  if (version > kStateVersion) return TooNew("the state", version, kStateVersion, backend);
  out->has_topo = version == 1;
  out->txn = in.Number();
  out->holder = std::string(in.Bytes());
  state.m_id = std::string(in.Bytes());
  state.epoch = in.Number();
  state.reserved = in.Number();
  state.clean = in.Byte() == 1;
  state.topo_version = in.Number();
  if (out->has_topo) state.topo = std::string(in.Bytes());
  while (in.ok() && !in.Done()) {
    const std::string name(in.Bytes());
    BackendMark& mark = state.backends[name];
    mark.identity = std::string(in.Bytes());
    mark.confirmed = in.Number();
    if (!out->has_topo) out->alloc[name] = in.Number();
  }
  state.existed = state.epoch > 0;  // made and never started: new
  if (version > 0 && in.Done()) return absl::OkStatus();
  return Damaged("the state of the metadata store", backend);
}

std::string EncodeTopology(std::string_view topo) {
  return std::string(1, static_cast<char>(kTopologyVersion)).append(topo);
}

absl::Status DecodeTopology(std::string_view bytes, const std::string& backend, std::string* out) {
  Unpacker in(bytes);
  const int version = in.Byte();
  if (version > kTopologyVersion) {
    return TooNew("the topology", version, kTopologyVersion, backend);
  }
  *out = std::string(in.rest());
  return version > 0 ? absl::OkStatus() : Damaged("the topology of the metadata store", backend);
}

}  // namespace storage::etcd
