#!/usr/bin/env bash
# Makes the Go module in which upstream's test packages are compiled and run, on our
# storage: out/upstream/VERSION (default v1.32.0).
#
# go.mod           that of the patched binaries, with the copies below
# apiserver        the patched k8s.io/apiserver
# kubernetes, apiextensions-apiserver
#                  the modules as they are, because tests read files beside them
# upstream/        tests/upstream/{facade,linked}
#
# Each test package that is named as an argument gets one more file,
# zz_libstorage_test.go, which imports upstream/linked. Upstream's own are not touched.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../build/kube/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../build/kube/lib.sh"
# shellcheck source-path=SCRIPTDIR source=../../build/kube/goenv.sh
. "$root/build/kube/goenv.sh"

version=${KUBE_VERSION:-v1.32.0}
staging=$(staging_version "$version")
kube=$root/out/kube/$version
out=${UPSTREAM_OUT:-$root/out/upstream/$version}

# copy_module MODULE VERSION DIR: once.
copy_module() {
  local source
  [[ ! -d $3 ]] || return 0
  read -r source _ < <(module_info "$1" "$2") || die "$1 cannot be had"
  rm -rf "$3.new"
  cp -r "$source" "$3.new"
  chmod -R u+w "$3.new"
  mv "$3.new" "$3"
}

# link_storage DIR: the extra file of a test package.
link_storage() {
  local package
  package=$(sed -n 's/^package //p' "$1"/*_test.go | sed 's/_test$//' | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }')
  [[ $package ]] || die "$1 has no tests"
  printf 'package %s_test\n\nimport _ "github.com/libstorage/tests/upstream/linked"\n' "$package" >"$out/extra.go"
  place "$out/extra.go" "$1/zz_libstorage_test.go"
  rm -f "$out/extra.go"
}

# directory_of IMPORT_PATH: where its copy is.
directory_of() {
  case $1 in
    k8s.io/kubernetes/*) echo "$out/kubernetes/${1#k8s.io/kubernetes/}" ;;
    k8s.io/apiserver/*) echo "$out/apiserver/${1#k8s.io/apiserver/}" ;;
    k8s.io/apiextensions-apiserver/*) echo "$out/apiextensions-apiserver/${1#k8s.io/apiextensions-apiserver/}" ;;
    *) die "no copy of the module of $1" ;;
  esac
}

"$root/build/kube/prepare.sh" "$version" "$kube"
mkdir -p "$out"
exec 7>"$out/.prepare.lock"
flock 7
if [[ ! -d $out/apiserver || ! -f $out/.patched ]] || ! cmp -s "$kube/.patched" "$out/.patched"; then
  rm -rf "$out/apiserver" "$out/.patched"
  cp -r "$kube/apiserver" "$out/apiserver"
  cp "$kube/.patched" "$out/.patched"
fi
copy_module k8s.io/kubernetes "$version" "$out/kubernetes"
copy_module k8s.io/apiextensions-apiserver "$staging" "$out/apiextensions-apiserver"
# Module archives have no modes; TestExecPluginViaClient runs this one.
chmod +x "$out/kubernetes/test/integration/client/testdata/exec-plugin.sh"
# TestEtcdStoragePath reads ../../../staging/src/k8s.io/api/testdata.
read -r api _ < <(module_info k8s.io/api "$staging")
mkdir -p "$out/kubernetes/staging/src/k8s.io"
ln -sfn "$api" "$out/kubernetes/staging/src/k8s.io/api"

if [[ ! -f $out/go.mod || $kube/go.mod -nt $out/go.mod ]]; then
  sed -e 's#^module .*#module github.com/libstorage/tests#' \
    -e "s#^\(\sk8s.io/apiextensions-apiserver\) => .*#\1 => ./apiextensions-apiserver#" \
    -e "s#^replace (#&\n\tk8s.io/kubernetes => ./kubernetes#" "$kube/go.mod" >"$out/go.mod"
  cp "$kube/go.sum" "$out/go.sum"
fi
mkdir -p "$out/upstream"
rm -rf "$out/upstream.new"
mkdir "$out/upstream.new"
cp -r "$root/tests/upstream/facade" "$root/tests/upstream/linked" "$out/upstream.new/"
if ! diff -r "$out/upstream.new" "$out/upstream" >/dev/null; then
  rm -rf "$out/upstream"
  mv "$out/upstream.new" "$out/upstream"
fi
rm -rf "$out/upstream.new"
place_library "$out"
for package in "$@"; do
  link_storage "$(directory_of "$package")"
done
