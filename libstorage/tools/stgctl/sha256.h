// SHA-256 (FIPS 180-4): whether a file is the one that was written.
#ifndef LIBSTORAGE_TOOLS_STGCTL_SHA256_H_
#define LIBSTORAGE_TOOLS_STGCTL_SHA256_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace storage::stgctl {

class Sha256 {
 public:
  void Add(const void* data, size_t size);
  std::string Finish();  // 64 hexadecimal digits; the object is used up

 private:
  void Block(const uint8_t* block);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> buffer_ = {};
  size_t buffered_ = 0;
  uint64_t total_ = 0;
};

}  // namespace storage::stgctl

#endif  // LIBSTORAGE_TOOLS_STGCTL_SHA256_H_
