#!/usr/bin/env bash
# Builds the two Kubernetes programs of the images, for one architecture:
#
#   build/images/kube.sh ARCH VERSION      out/images/ARCH/kube/VERSION/bin
#
# kube-apiserver with cgo against the library of build/images/library.sh, and
# kube-controller-manager, upstream's sources, without. What has not changed is left alone.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(($# == 2)) || die "usage: $0 ARCH VERSION"
arch=$1 version=$2
dir=$(work_dir "$arch")
compiler=$(tool "$arch" gcc)
[[ -f $dir/library/libstorage/libstorage.so ]] || die "$dir/library has no libstorage.so: run build/images/library.sh $arch"

export GOOS=linux GOARCH=$arch KUBE_VERSION=$version KUBE_OUT=$dir/kube/$version
# The dialects that Go takes when nothing is said: what the shell happens to export must not count.
unset GOAMD64 GOARM64 GOPPC64
LIBSTORAGE_LIB=$dir/library/libstorage/libstorage.so \
  CC="$(basename "$compiler") --sysroot=$dir/sysroot" CGO_LDFLAGS="-Wl,--allow-shlib-undefined" \
  "$root/build/kube/build.sh" kube-apiserver
KUBE_CGO=0 "$root/build/kube/build.sh" kube-controller-manager
