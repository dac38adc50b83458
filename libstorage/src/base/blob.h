// Blob: an immutable, reference-counted run of bytes in one allocation. It
// carries values from submit to the database and the watch ring without a
// second copy. Copying a Blob shares the bytes; threads may share one freely.
#ifndef LIBSTORAGE_SRC_BASE_BLOB_H_
#define LIBSTORAGE_SRC_BASE_BLOB_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace storage {

class Blob {
 public:
  Blob() = default;  // absent: differs from present-and-empty
  explicit Blob(std::string_view bytes) : rep_(Rep::New(bytes)) {}
  Blob(const Blob& other) : rep_(other.rep_) {
    if (rep_ != nullptr) rep_->refs.fetch_add(1, std::memory_order_relaxed);
  }
  Blob(Blob&& other) noexcept : rep_(std::exchange(other.rep_, nullptr)) {}
  Blob& operator=(Blob other) noexcept {
    std::swap(rep_, other.rep_);
    return *this;
  }
  ~Blob() {
    if (rep_ != nullptr && rep_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) Rep::Free(rep_);
  }

  bool present() const { return rep_ != nullptr; }
  std::string_view view() const {
    return rep_ == nullptr ? std::string_view() : std::string_view(rep_->data(), rep_->size);
  }
  size_t size() const { return rep_ == nullptr ? 0 : rep_->size; }

 private:
  struct Rep {
    std::atomic<uint32_t> refs{1};
    size_t size = 0;
    char* data() { return reinterpret_cast<char*>(this + 1); }
    static Rep* New(std::string_view bytes) {
      Rep* rep = new (::operator new(sizeof(Rep) + bytes.size())) Rep;
      rep->size = bytes.size();
      if (!bytes.empty()) std::memcpy(rep->data(), bytes.data(), bytes.size());
      return rep;
    }
    static void Free(Rep* rep) {
      rep->~Rep();
      ::operator delete(rep);
    }
  };
  Rep* rep_ = nullptr;
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BASE_BLOB_H_
