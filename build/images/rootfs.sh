#!/usr/bin/env bash
# Lays out the root file system of one image:
#
#   build/images/rootfs.sh ARCH VERSION IMAGE DIR      IMAGE: kube-apiserver or kube-controller-manager
#
# The program, the shared objects that it needs and no others, the certificates of ca-certificates,
# names of users, and for each Debian package that a file comes from its copyright file and its
# entry for scanners (var/lib/dpkg/status.d). Every file has the date of the commit.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# What libmariadb loads by name when a server asks for that way of logging in.
readonly mariadb_plugins=(caching_sha2_password client_ed25519 sha256_password)

(($# == 4)) || die "usage: $0 ARCH VERSION IMAGE DIR"
arch=$1 version=$2 image=$3 dir=$4
work=$(work_dir "$arch")
sysroot=$work/sysroot kube=$work/kube/$version
triplet=$(arch_field "$arch" triplet)
libs=usr/lib/$triplet
declare -A packages=()

# from_package PATH: the file with the name PATH, found in /lib or /usr/lib alike, and what it is a
# link to; its package is noted.
from_package() {
  local path=$1 file
  [[ -e $sysroot/$path ]] || path=${path#usr/}
  [[ -e $sysroot/$path ]] || die "$arch: no package has $1; add it to build/images/sysroot.sh"
  file=$(realpath "$sysroot/$path")
  note_package "${file#"$(realpath "$sysroot")"/}"
  install -D -m 644 "$file" "$dir/$(dirname "$1")/$(basename "$file")"
  [[ $(basename "$file") == "$(basename "$path")" ]] || ln -s "$(basename "$file")" "$dir/$1"
}
note_package() {
  local deb
  deb=$(awk -F '\t' -v path="$1" '$1 == path { print $2; exit }' "$sysroot.files")
  [[ $deb ]] || die "$arch: $1 belongs to no package in $sysroot.files"
  packages[$deb]=yes
}

# needs FILE: the shared objects that it asks for.
needs() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

# closure FILE...: what they need, and what that needs, into the image.
closure() {
  local todo=("$@") name
  while ((${#todo[@]})); do
    while read -r name; do
      [[ ! -e $dir/$libs/$name && $name != "$loader" ]] || continue
      from_package "$libs/$name"
      todo+=("$dir/$libs/$name")
    done < <(needs "${todo[0]}")
    todo=("${todo[@]:1}")
  done
}

# program: stripped by its own linker already.
program() { install -D -m 755 "$kube/bin/$image" "$dir/usr/local/bin/$image"; }

# libraries: libstorage under the name that programs ask for, where every program looks.
libraries() {
  local plugin strip loader_path
  loader_path=$(arch_field "$arch" loader)
  loader=$(basename "$loader_path")
  strip=$(tool "$arch" strip)
  mkdir -p "$dir/$libs"
  from_package "$libs/$loader"
  chmod 755 "$dir/$libs/$loader"
  mkdir -p "$dir/usr/$(dirname "$loader_path")"
  ln -sr "$dir/$libs/$loader" "$dir/usr/$loader_path"
  ln -s usr/lib "$dir/lib"
  [[ $loader_path != lib64/* ]] || ln -s usr/lib64 "$dir/lib64"
  "$strip" --strip-unneeded -o "$dir/$libs/libstorage.so.1" "$(realpath "$kube/lib/libstorage.so")"
  chmod 644 "$dir/$libs/libstorage.so.1"
  closure "$dir/usr/local/bin/$image" "$dir/$libs/libstorage.so.1"
  for plugin in "${mariadb_plugins[@]}"; do
    from_package "$libs/libmariadb3/plugin/$plugin.so"
    closure "$dir/$libs/libmariadb3/plugin/$plugin.so"
  done
}

# certificates: one file, as update-ca-certificates makes it, where Go, gRPC and OpenSSL look.
certificates() {
  local file
  mkdir -p "$dir/etc/ssl/certs" "$dir/usr/lib/ssl"
  note_package usr/share/ca-certificates/mozilla/ISRG_Root_X1.crt
  while IFS= read -r -d '' file; do
    awk 1 "$file" # a line end where the last line has none
  done < <(find "$sysroot/usr/share/ca-certificates/mozilla" -name '*.crt' -print0 | LC_ALL=C sort -z) \
    >"$dir/etc/ssl/certs/ca-certificates.crt"
  ln -s /etc/ssl/certs/ca-certificates.crt "$dir/usr/lib/ssl/cert.pem"
}

users() {
  printf '%s\n' root:x:0:0:root:/root:/sbin/nologin nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin \
    "nonroot:x:$image_user:$image_user:nonroot:/$state_dir:/sbin/nologin" >"$dir/etc/passwd"
  printf '%s\n' root:x:0: nogroup:x:65534: "nonroot:x:$image_user:" >"$dir/etc/group"
  printf '%s\n' 'passwd: files' 'group: files' 'hosts: files dns' >"$dir/etc/nsswitch.conf"
}

# state: what the API server may write when nothing is mounted: relative database paths, --cert-dir.
state() {
  mkdir -p "$dir/$state_dir" "$dir/run/kubernetes"
  ln -s ../run "$dir/var/run"
  chmod 700 "$dir/$state_dir" "$dir/run/kubernetes"
  chown "$image_user:$image_user" "$dir/$state_dir" "$dir/run/kubernetes"
}

# papers: whose the files are.
papers() {
  local deb name kubernetes
  mkdir -p "$dir/var/lib/dpkg/status.d" "$dir/usr/share/doc/kubernetes"
  cp -a "$sysroot/usr/share/common-licenses" "$dir/usr/share/" # which copyright files refer to
  for deb in "${!packages[@]}"; do
    name=${deb%%_*}
    dpkg-deb -f "$sysroot/var/cache/apt/archives/$deb" >"$dir/var/lib/dpkg/status.d/$name"
    install -D -m 644 "$sysroot/usr/share/doc/$name/copyright" "$dir/usr/share/doc/$name/copyright"
  done
  kubernetes=$(cd "$kube" && GOWORK=off GOFLAGS=-mod=mod go list -m -f '{{.Dir}}' k8s.io/kubernetes)
  install -m 644 "$kubernetes/LICENSE" "$dir/usr/share/doc/kubernetes/copyright"
}

rm -rf "$dir"
umask 022
mkdir -p "$dir/etc" "$dir/tmp" "$dir/var"
chmod 1777 "$dir/tmp"
from_package usr/lib/os-release
ln -s ../usr/lib/os-release "$dir/etc/os-release"
program
if [[ $image == kube-apiserver ]]; then
  libraries
  state
fi
certificates
users
papers
stamp=$(epoch)
find "$dir" -exec touch -h -d "@$stamp" {} +
