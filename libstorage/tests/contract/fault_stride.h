// How densely fault loops try the points of a run: all of them in the release build, every
// third where a sanitizer makes each ten times slower. Odd, so that what alternates from
// point to point still does.
#ifndef LIBSTORAGE_TESTS_CONTRACT_FAULT_STRIDE_H_
#define LIBSTORAGE_TESTS_CONTRACT_FAULT_STRIDE_H_

namespace storage {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr int kFaultStride = 3;
#else
inline constexpr int kFaultStride = 1;
#endif

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_CONTRACT_FAULT_STRIDE_H_
