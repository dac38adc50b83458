#!/usr/bin/env bash
# Unpacks the Debian packages that libstorage is compiled with, for one architecture:
#
#   build/images/sysroot.sh ARCH      out/images/ARCH/sysroot
#
# Nothing of that architecture is run. The packages stay in var/cache/apt/archives: an image
# gets its files from there. One that is there is kept; SYSROOT_REFRESH=yes takes newer packages.
# DEBIAN_MIRROR=URL takes them from one mirror (a snapshot, for the same packages as then).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly suite=bookworm
# zlib and the like come as dependencies.
readonly packages=(
  libc6-dev libstdc++-12-dev libabsl-dev libcli11-dev libgrpc++-dev libmariadb-dev libpq-dev libprotobuf-dev
  libre2-dev libsqlite3-dev libyaml-cpp-dev nlohmann-json3-dev libgtest-dev libgmock-dev ca-certificates base-files
)

# index_files DIR: "path<TAB>package file" for each file, as nothing here has a dpkg database.
index_files() {
  local deb
  for deb in "$1"/var/cache/apt/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -t | sed -n "s#^\./\(.*[^/]\)\$#\1\t$(basename "$deb")#p"
  done
}

(($# == 1)) || die "usage: $0 ARCH"
arch=$1
debian=$(arch_field "$arch" debian)
sysroot=$(work_dir "$arch")/sysroot
stamp="$suite ${DEBIAN_MIRROR:-} ${packages[*]}"
if [[ -z ${SYSROOT_REFRESH:-} && -f $sysroot.stamp && $(<"$sysroot.stamp") == "$stamp" ]]; then
  say "$arch: packages are there"
  exit 0
fi

command -v mmdebstrap >/dev/null || die "mmdebstrap is not installed: run build/deps.sh images"
mkdir -p "$sysroot.new"
rm -rf "$sysroot.stamp" "$sysroot.new"
say "$arch: fetching packages"
include=$(IFS=,; echo "${packages[*]}")
mmdebstrap --quiet --variant=extract --architectures="$debian" --skip=essential/unlink,cleanup/apt/cache \
  --include="$include" "$suite" "$sysroot.new" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$sysroot.log" 2>&1 ||
  { tail -n 5 "$sysroot.log" >&2; die "$arch: packages cannot be had; the whole log is in $sysroot.log"; }
index_files "$sysroot.new" >"$sysroot.files"
rm -rf "$sysroot"
mv "$sysroot.new" "$sysroot"
printf '%s\n' "$stamp" >"$sysroot.stamp"
