#!/usr/bin/env bash
# Upstream's own tests of the watch cache (k8s.io/apiserver/pkg/storage/cacher, of
# the version in go-shim/go.mod) over our store: a copy of the package in which
# the imports of etcd and of its store are replaced by tests/upstream/etcdlike.
#
#   tests/upstream/cacher.sh [go test flags]     DATABASE=memory: not in files
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
copy=${CACHER_DIR:-$root/out/cacher}
: "${PKG_CONFIG_PATH:=$root/out/release/pkgconfig}" "${LD_LIBRARY_PATH:=$root/out/release/libstorage}"
export PKG_CONFIG_PATH LD_LIBRARY_PATH GOFLAGS=-mod=mod

upstream=$(cd "$root/go-shim" && go list -m -f '{{.Dir}}' k8s.io/apiserver)/pkg/storage/cacher
rm -rf "$copy"
mkdir -p "$copy/cacher"
cp "$upstream"/*.go "$copy/cacher/"
chmod -R u+w "$copy"
ours=github.com/libstorage/go-shim/cachertest/etcdlike
sed -i -E \
  -e "s#^(\s+)(clientv3 )\"go.etcd.io/etcd/client/v3\"#\1\2\"$ours\"#" \
  -e "s#^(\s+)\"k8s.io/apiserver/pkg/storage/etcd3\"#\1etcd3 \"$ours\"#" \
  -e "s#^(\s+)(etcd3testing )\"k8s.io/apiserver/pkg/storage/etcd3/testing\"#\1\2\"$ours\"#" \
  "$copy"/cacher/*_test.go
changed=$(for f in "$copy"/cacher/*.go; do diff "$f" "$upstream/${f##*/}" || true; done | grep -c '^<') || true
echo "cacher: $changed lines of $(cat "$copy"/cacher/*.go | wc -l) differ from upstream"

cp -r "$root/tests/upstream/etcdlike" "$copy/"
cp "$root/go-shim/go.sum" "$copy/"
sed -e 's#^module .*#module github.com/libstorage/go-shim/cachertest#' "$root/go-shim/go.mod" >"$copy/go.mod"
(
  cd "$copy"
  go mod edit -require=github.com/libstorage/go-shim@v0.0.0 -replace="github.com/libstorage/go-shim=$root/go-shim"
  exec go test -timeout 20m "$@" ./cacher
)
