#!/usr/bin/env bash
# Writes one self-contained patch for each Kubernetes release, hooks and shim in it.
#
#   build/kube/patches.sh [VERSION...]      default: every version in the lock
#
# dist/patches/kubernetes-VERSION.patch is for `git apply` in a checkout of that tag. The
# shim becomes packages of k8s.io/kubernetes in third_party/libstorage, so that go.mod,
# go.work and vendor/ stay as they are (docs/patch.md). Same inputs, same bytes.
#
# KUBERNETES_SRC=dir  takes the files that are changed from a checkout.
# DIST=dir            instead of dist/
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly place=third_party/libstorage module=github.com/libstorage/go-shim
shim=$(realpath -m "${GO_SHIM:-$root/go-shim}")
dist=$(realpath -m "${DIST:-$root/dist}")/patches
check_source
patches=$(patch_dir "${1:-v1.32.0}")
(($#)) || mapfile -t versions < <(listed "$patches/lock" | cut -d' ' -f1)
(($# == 0)) || versions=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shim_files: what of go-shim is in a kube-apiserver, relative to it.
shim_files() {
  (cd "$shim" && find kv native store factory -type f \( -name '*.go' -o -name '*.h' \) \
    ! -name '*_test.go' ! -name fortest.go ! -name '*_bench.go' | LC_ALL=C sort)
}

# place_shim TREE: under the import path that it has there.
place_shim() {
  local file
  while read -r file; do
    mkdir -p "$1/$place/$(dirname "$file")"
    sed "s#\"$module/#\"k8s.io/kubernetes/$place/#" "$shim/$file" >"$1/$place/$file"
  done < <(shim_files)
  cat >"$1/$place/README.md" <<EOF
Kubernetes objects in ordinary databases: the Go side of libstorage. Written by
build/kube/patches.sh of libstorage from its go-shim; do not edit it here.
EOF
}

# place_import TREE: what links the shim into kube-apiserver.
place_import() {
  mkdir -p "$1/cmd/kube-apiserver"
  sed -n '/^\/\*$/,/^\*\/$/p' "$1/$apiserver_path/pkg/storage/storagebackend/config.go" >"$1/cmd/kube-apiserver/libstorage.go"
  cat >>"$1/cmd/kube-apiserver/libstorage.go" <<EOF

package main

import (
	_ "k8s.io/kubernetes/$place/factory" // --storage-backend=libstorage
)
EOF
}

# describe VERSION: the head of the patch; git apply skips it.
describe() {
  local name
  cat <<EOF
libstorage in Kubernetes $1
Library: ABI $(abi_version)

Apply with git apply in a checkout of $1. Then, with libstorage.so, libstorage.h and
libstorage.pc installed (make dist of libstorage):

  make WHAT=cmd/kube-apiserver KUBE_CGO_OVERRIDES=kube-apiserver CGO_ENABLED=1

EOF
  while read -r name; do
    sed -n 's/^Subject: \(\[PATCH[^]]*\] \)\{0,1\}/- /p' "$patches/$name"
  done < <(listed "$patches/series")
  printf -- '- cmd/kube-apiserver: link the shim, %s\n\n' "$place"
}

abi_version() {
  sed -n 's/^#define STG_ABI_\(MAJOR\|MINOR\)[[:space:]]*\([0-9]*\).*/\2/p' "$root/libstorage/include/libstorage.h" | paste -sd.
}

# write_patch VERSION
write_patch() {
  local version=$1 path tree=$work/$1/tree
  patched_apiserver "$version" "$work/$version/apiserver"
  git -c init.defaultBranch=base init -q "$tree"
  base_files "$version" "$tree"
  git -C "$tree" add -f -A
  git -C "$tree" -c user.name=libstorage -c user.email=libstorage@localhost commit -q -m base
  while read -r path; do
    install -m 644 "$work/$version/apiserver/${path#"$apiserver_path/"}" "$tree/$path"
  done < <(listed "$patches/allowed-paths")
  place_shim "$tree"
  place_import "$tree"
  git -C "$tree" add -f -A
  {
    describe "$version"
    git -C "$tree" -c core.quotePath=true diff --cached --no-color --no-ext-diff --no-renames --full-index HEAD
  } >"$work/$version.patch"
  place_file "$work/$version.patch" "$dist/kubernetes-$version.patch"
}

# place_file FILE DEST: in one step.
place_file() {
  cp "$1" "$2.new"
  mv "$2.new" "$2"
  printf '%s\n' "$2"
}

mkdir -p "$dist"
for version in "${versions[@]}"; do
  write_patch "$version"
  rm -rf "${work:?}/$version"
done
