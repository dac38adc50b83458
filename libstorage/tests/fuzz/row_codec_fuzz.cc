// Any bytes as what stands in an etcd value: damaged is said or nothing is lost, and what
// was encoded comes back. The first byte chooses the row.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "src/backend/etcd/codec.h"

namespace {

using namespace storage::etcd;  // NOLINT(google-build-using-namespace)

void Require(bool condition) {
  if (!condition) std::abort();
}

// A row that decodes has one encoding: so nothing of it was ignored.
template <typename Row>
void Whole(std::string_view bytes, bool (*decode)(std::string_view, Row*),
           std::string (*encode)(const Row&)) {
  Row row;
  if (decode(bytes, &row)) Require(encode(row) == bytes);
}

void AnyObject(std::string_view bytes) {
  if (!HasEnvelope(bytes)) return;
  Object object;
  if (DecodeObject(bytes, &object)) Require(EncodeObject(object) == bytes);
}

// The input as fields: every row that can be written is read back.
void Written(std::string_view bytes) {
  Unpacker in(bytes);
  Object object;
  object.meta.mod_rev = in.Number();
  object.meta.create_rev = in.Number();
  object.meta.expire_at_ms = in.Number();
  object.attrs = in.rest().substr(0, in.rest().size() / 2);
  object.value = in.rest().substr(object.attrs.size());
  const std::string row = EncodeObject(object);
  Object back;
  Require(HasEnvelope(row));
  Require(DecodeObject(row, &back) == (object.meta.mod_rev > 0));
  Require(back.attrs == object.attrs && back.value == object.value);
  // A row that lost its end is damaged, and never read beyond.
  for (size_t size = 5; size < row.size() - object.value.size(); ++size) {
    Require(!DecodeObject(std::string_view(row).substr(0, size), &back));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // A copy of its own size: the sanitizer sees a byte too far.
  const std::string input(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 7) {
    case 0:
      AnyObject(input);
      break;
    case 1:
      Whole<Head>(input, DecodeHead, EncodeHead);
      break;
    case 2:
      Whole<Trim>(input, DecodeTrim, EncodeTrim);
      break;
    case 3:
      Whole<Batch>(input, DecodeBatch, EncodeBatch);
      break;
    case 4:
      Whole<KindCount>(input, DecodeKind, EncodeKind);
      break;
    case 5:
      Whole<Expiry>(input, DecodeExpiry, EncodeExpiry);
      break;
    default:
      Written(input);
  }
  return 0;
}
