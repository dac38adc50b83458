#include "src/backend/etcd/codec.h"

#include <utility>

namespace storage::etcd {
namespace {

// No value of Kubernetes begins like this: those begin with '{', "k8s\0" or "k8s:enc:".
constexpr std::string_view kEnvelope("\0stg\1", 5);
constexpr uint8_t kVersion = 1;

}  // namespace

Packer& Packer::Byte(uint8_t value) {
  out_.push_back(static_cast<char>(value));
  return *this;
}

Packer& Packer::Number(int64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    out_.push_back(static_cast<char>(static_cast<uint64_t>(value) >> shift & 0xff));
  }
  return *this;
}

Packer& Packer::Bytes(std::string_view bytes) {
  Number(static_cast<int64_t>(bytes.size()));
  out_.append(bytes);
  return *this;
}

bool Unpacker::Has(size_t size) {
  ok_ = ok_ && rest_.size() >= size;
  return ok_;
}

uint8_t Unpacker::Byte() {
  if (!Has(1)) return 0;
  const auto value = static_cast<uint8_t>(rest_[0]);
  rest_.remove_prefix(1);
  return value;
}

int64_t Unpacker::Number() {
  if (!Has(8)) return 0;
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<uint8_t>(rest_[i]);
  rest_.remove_prefix(8);
  return static_cast<int64_t>(value);
}

std::string_view Unpacker::Bytes() {
  const auto size = static_cast<uint64_t>(Number());
  if (!Has(size)) return {};
  const std::string_view bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return bytes;
}

std::string EncodeObject(const Object& object) {
  const ObjectMeta& meta = object.meta;
  std::string bytes(kEnvelope);
  bytes.reserve(kEnvelope.size() + 32 + object.attrs.size() + object.value.size());
  bytes += Packer()
               .Number(meta.mod_rev)
               .Number(meta.create_rev)
               .Number(meta.expire_at_ms)
               .Bytes(object.attrs)
               .Take();
  bytes.append(object.value);
  return bytes;
}

bool HasEnvelope(std::string_view bytes) { return bytes.starts_with(kEnvelope); }

bool DecodeObject(std::string_view bytes, Object* out) {
  Unpacker in(bytes.substr(kEnvelope.size()));
  out->meta.mod_rev = in.Number();
  out->meta.create_rev = in.Number();
  out->meta.expire_at_ms = in.Number();
  out->attrs = in.Bytes();
  out->value = in.rest();
  return in.ok() && out->meta.mod_rev > 0;
}

std::string EncodeHead(const Head& head) {
  const Lane& lane = head.lane;
  return Packer()
      .Byte(kVersion)
      .Number(lane.epoch)
      .Number(lane.gen)
      .Number(lane.head)
      .Number(lane.ver)
      .Number(lane.floor)
      .Number(head.txn)
      .Number(head.token)
      .Number(head.first)
      .Number(head.last)
      .Number(head.last_event)
      .Number(head.events)
      .Number(head.event_bytes)
      .Number(head.import_rev)
      .Bytes(lane.m_id)
      .Take();
}

bool DecodeHead(std::string_view bytes, Head* out) {
  Unpacker in(bytes);
  const bool known = in.Byte() == kVersion;
  Lane& lane = out->lane;
  for (int64_t* number : {&lane.epoch, &lane.gen, &lane.head, &lane.ver, &lane.floor, &out->txn,
                          &out->token, &out->first, &out->last, &out->last_event, &out->events,
                          &out->event_bytes, &out->import_rev}) {
    *number = in.Number();
  }
  lane.m_id = std::string(in.Bytes());
  return known && in.Done() && lane.floor <= lane.head;
}

std::string EncodeTrim(const Trim& trim) {
  return Packer().Byte(kVersion).Number(trim.rev).Number(trim.events).Number(trim.bytes).Take();
}

bool DecodeTrim(std::string_view bytes, Trim* out) {
  Unpacker in(bytes);
  const bool known = in.Byte() == kVersion;
  out->rev = in.Number();
  out->events = in.Number();
  out->bytes = in.Number();
  return known && in.Done();
}

std::string EncodeBatch(const Batch& batch) {
  Packer out;
  out.Byte(kVersion).Number(batch.token).Number(batch.prev_event);
  out.Number(batch.events_before).Number(batch.bytes_before);
  for (const Change& change : batch.changes) {
    out.Number(change.rev).Byte(static_cast<uint8_t>(change.kind));
    out.Number(change.bytes).Number(change.prev_bytes).Bytes(change.key);
  }
  return out.Take();
}

bool DecodeBatch(std::string_view bytes, Batch* out) {
  Unpacker in(bytes);
  const bool known = in.Byte() == kVersion;
  out->token = in.Number();
  out->prev_event = in.Number();
  out->events_before = in.Number();
  out->bytes_before = in.Number();
  out->changes.clear();
  while (known && in.ok() && !in.Done()) {
    Change change;
    change.rev = in.Number();
    change.kind = static_cast<ChangeKind>(in.Byte());
    change.bytes = in.Number();
    change.prev_bytes = in.Number();
    change.key = std::string(in.Bytes());
    out->changes.push_back(std::move(change));
  }
  return known && in.Done() && !out->changes.empty();
}

std::string EncodeKind(const KindCount& count) {
  return Packer().Byte(kVersion).Number(count.objects).Number(count.bytes).Take();
}

bool DecodeKind(std::string_view bytes, KindCount* out) {
  Unpacker in(bytes);
  const bool known = in.Byte() == kVersion;
  out->objects = in.Number();
  out->bytes = in.Number();
  return known && in.Done();
}

std::string EncodeExpiry(const Expiry& expiry) {
  return Packer().Byte(kVersion).Number(expiry.mod_rev).Bytes(expiry.key).Take();
}

bool DecodeExpiry(std::string_view bytes, Expiry* out) {
  Unpacker in(bytes);
  const bool known = in.Byte() == kVersion;
  out->mod_rev = in.Number();
  out->key = std::string(in.Bytes());
  return known && in.Done();
}

}  // namespace storage::etcd
