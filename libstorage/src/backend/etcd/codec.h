// What stands in etcd's values: docs/format-etcd.md, byte by byte. Numbers are
// fixed-width and big-endian. Pure functions: thread-safe.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_CODEC_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_CODEC_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/backend/backend.h"

namespace storage::etcd {

// An object's value: envelope, attributes, value. Views into what was decoded.
struct Object {
  ObjectMeta meta;
  std::string_view attrs;
  std::string_view value;
};
std::string EncodeObject(const Object& object);
bool HasEnvelope(std::string_view bytes);
bool DecodeObject(std::string_view bytes, Object* out);  // false: damaged

// The lane row and what its last transactions left.
struct Head {
  Lane lane;
  int64_t txn = 0;    // random name of the last lane transaction
  int64_t token = 0;  // of the last batch, with its first and last revision
  int64_t first = 0;
  int64_t last = 0;
  int64_t last_event = 0;  // highest revision of the last batch that had changes
  int64_t events = 0;      // ever written, and the bytes of the values before them
  int64_t event_bytes = 0;
  int64_t import_rev = 0;  // etcd's revision up to which values without envelope are taken over
};
std::string EncodeHead(const Head& head);
bool DecodeHead(std::string_view bytes, Head* out);

// How far history was deleted.
struct Trim {
  int64_t rev = 0;  // events at or below are gone
  int64_t events = 0;
  int64_t bytes = 0;
};
std::string EncodeTrim(const Trim& trim);
bool DecodeTrim(std::string_view bytes, Trim* out);

struct Change {
  int64_t rev = 0;
  ChangeKind kind = ChangeKind::kCreate;
  int64_t bytes = 0;       // of the value after it
  int64_t prev_bytes = 0;  // of the value before it
  std::string key;
};
// One batch: what changed, in the etcd revision of this key.
struct Batch {
  int64_t token = 0;
  int64_t prev_event = 0;  // last_event, events and event_bytes before this batch
  int64_t events_before = 0;
  int64_t bytes_before = 0;
  std::vector<Change> changes;  // ascending
};
std::string EncodeBatch(const Batch& batch);
bool DecodeBatch(std::string_view bytes, Batch* out);

struct KindCount {
  int64_t objects = 0;
  int64_t bytes = 0;
};
std::string EncodeKind(const KindCount& count);
bool DecodeKind(std::string_view bytes, KindCount* out);

struct Expiry {
  int64_t mod_rev = 0;
  std::string key;
};
std::string EncodeExpiry(const Expiry& expiry);
bool DecodeExpiry(std::string_view bytes, Expiry* out);

// Numbers and runs of bytes, one after the other.
class Packer {
 public:
  Packer& Byte(uint8_t value);
  Packer& Number(int64_t value);
  Packer& Bytes(std::string_view bytes);  // with their length before them
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : rest_(bytes) {}
  uint8_t Byte();
  int64_t Number();
  std::string_view Bytes();
  std::string_view rest() const { return rest_; }
  bool ok() const { return ok_; }  // nothing was missing so far
  bool Done() const { return ok_ && rest_.empty(); }

 private:
  bool Has(size_t size);
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_CODEC_H_
