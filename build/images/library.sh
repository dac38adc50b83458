#!/usr/bin/env bash
# Compiles libstorage for one architecture, against the packages of build/images/sysroot.sh:
#
#   build/images/library.sh ARCH [TARGET...]     default target: storage (libstorage.so)
#
# into out/images/ARCH/library. Flags are those of the release preset, without debug information.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(($#)) || die "usage: $0 ARCH [TARGET...]"
arch=$1
shift
(($#)) || set -- storage
dir=$(work_dir "$arch")
tool "$arch" g++ >/dev/null
[[ -f $dir/sysroot.stamp ]] || die "$dir/sysroot is not there: run build/images/sysroot.sh $arch"
commit=$(revision)
mkdir -p "$dir/library"
cmake -S "$root" -B "$dir/library" -G Ninja --toolchain "$root/build/images/toolchain.cmake" \
  -DSTG_TRIPLET="$(arch_field "$arch" triplet)" -DSTG_CPU="$(arch_field "$arch" cpu)" -DSTG_SYSROOT="$dir/sysroot" \
  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_FLAGS_RELWITHDEBINFO='-O2 -DNDEBUG' \
  -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O2 -DNDEBUG' -DSTG_COMMIT="$(short_revision "$commit")" \
  >"$dir/configure.log" 2>&1 || { tail -n 20 "$dir/configure.log" >&2; die "$arch: cmake refuses; the whole log is in $dir/configure.log"; }
cmake --build "$dir/library" -j "${JOBS:-$(nproc)}" --target "$@" >"$dir/build.log" 2>&1 ||
  { tail -n 30 "$dir/build.log" >&2; die "$arch: $* does not compile; the whole log is in $dir/build.log"; }
say "$arch: $* compiled"
