#!/usr/bin/env bash
# Makes the OCI images, without a registry:  build/images/images.sh VERSION ARCH...   (or all)
#
#   dist/images/IMAGE-VERSION-ARCH.oci.tar   one for each architecture, IMAGE being kube-apiserver
#                                            and kube-controller-manager
#   dist/images/IMAGE-VERSION.oci.tar        all of them under one name, when there are several
#   dist/images/IMAGE-VERSION-ARCH.json      what is in it
#
# The same inputs (commit, Debian packages, Go version) give the same bytes. DIST=dir writes
# elsewhere than dist/. What is built on the way stays in out/images.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=labels.sh
. "$(dirname "${BASH_SOURCE[0]}")/labels.sh"
# shellcheck source-path=SCRIPTDIR source=oci.sh
. "$(dirname "${BASH_SOURCE[0]}")/oci.sh"

(($# >= 2)) || die "usage: $0 VERSION ARCH... (${architectures[*]}, or all)"
version=$1
shift
check_version "$version"
list=$(arch_list "$@")
mapfile -t wanted <<<"$list"
dist=$(realpath -m "${DIST:-$root/dist}")/images
here=$root/build/images
command -v buildah >/dev/null || die "buildah is not installed: run build/deps.sh images"
((EUID == 0)) || die "buildah must be root here: run this as root, or as 'buildah unshare make images'"

mkdir -p "$dist"
trap 'rm -rf "$store"' EXIT
for arch in "${wanted[@]}"; do
  "$here/sysroot.sh" "$arch"
  "$here/library.sh" "$arch"
  "$here/kube.sh" "$arch" "$version"
  for image in "${images[@]}"; do
    rootfs=$(work_dir "$arch")/rootfs/$version/$image
    "$here/rootfs.sh" "$arch" "$version" "$image" "$rootfs"
    single_image "$arch" "$version" "$image" "$rootfs" "$dist/$image-$version-$arch"
  done
done
((${#wanted[@]} == 1)) || for image in "${images[@]}"; do
  many_image "$version" "$image" "$dist/$image-$version" "${wanted[@]}"
done
table "$dist" "$version" "${wanted[@]}"
