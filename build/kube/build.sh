#!/usr/bin/env bash
# Builds Kubernetes binaries. A target whose inputs have not changed is left alone.
#
#   build/kube/build.sh [TARGET...]
#
# kube-apiserver            patched, with libstorage
# kube-controller-manager, kube-scheduler, kubectl
#                           upstream's sources; these four are the default
# kubeadm                   upstream's sources, for the tests of deploy/kubeadm
# stock-apiserver           kube-apiserver without the patches, for comparison
# etcd, etcdutl, kwok       for comparison and for tests
#
# KUBE_VERSION (v1.32.0), KUBE_OUT (out/kube/VERSION), KUBERNETES_SRC (a checkout
# instead of Go modules), LIBSTORAGE_LIB (a libstorage.so). GOARCH and CC build for another
# architecture, KUBE_CGO=0 without a C compiler: build/images/kube.sh.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=goenv.sh
. "$(dirname "${BASH_SOURCE[0]}")/goenv.sh"

version=${KUBE_VERSION:-v1.32.0}
out=$(realpath -m "${KUBE_OUT:-$root/out/kube/$version}")
tools=$root/out/tools
shim=$(realpath -m "${GO_SHIM:-$root/go-shim}")

# build_date: when the base was made; the same on every machine.
build_date() {
  local info
  if [[ -n ${KUBERNETES_SRC:-} ]]; then
    TZ=UTC git -C "$KUBERNETES_SRC" log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null || echo 1970-01-01T00:00:00Z
  else
    info=$(cd / && GOWORK=off go mod download -json "k8s.io/kubernetes@$version" | jq -r .Info)
    jq -r .Time "$info"
  fi
}

# current STAMPFILE STAMP BINARY
current() { [[ -x $3 && -f $1 && $(<"$1") == "$2" ]]; }

# make_binary NAME BINARY STAMP DIR PACKAGE [GO BUILD FLAGS...]
make_binary() {
  local name=$1 binary=$2 stamp=$3 dir=$4 package=$5 stampfile started=$SECONDS
  shift 5
  stampfile=$(dirname "$(dirname "$binary")")/.stamps/$name
  if current "$stampfile" "$stamp" "$binary"; then
    say "$name: up to date"
    return
  fi
  say "$name: building"
  mkdir -p "$(dirname "$stampfile")" "$(dirname "$binary")"
  rm -f "$stampfile"
  (cd "$dir" && go build -v "$@" -o "$binary.new" "$package") || die "$name does not build"
  mv "$binary.new" "$binary"
  printf '%s\n' "$stamp" >"$stampfile"
  say "$name: built in $((SECONDS - started)) s"
}

# shim_hash: what of ours is compiled into kube-apiserver.
shim_hash() {
  find "$shim" "${LIBSTORAGE_INCLUDE:-$root/libstorage/include}" -type f ! -name '*_test.go' ! -path '*/testdata/*' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

# kube_binary NAME: one of the patched module.
kube_binary() {
  local package=k8s.io/kubernetes/cmd/$1 inputs flags
  inputs=$(grep -v '^shim ' "$out/.prepared")
  # Go's build ID is a hash over the directories of libstorage too: without it the same inputs give
  # the same bytes in every checkout.
  flags="-s -w -buildid= $(version_flags "$version-libstorage" "$(lock_field "$version" tree)" "$date")"
  if [[ $1 == kube-apiserver ]]; then
    package=./kube-apiserver
    place_library "$out"
    inputs=$(<"$out/.prepared")$(shim_hash)
    flags+=" -extldflags=-Wl,-rpath,\$ORIGIN/../lib"
  fi
  make_binary "$1" "$out/bin/$1" "$inputs $(go version) $flags" "$out" "$package" -ldflags "$flags"
}

# stock_binary: kube-apiserver as upstream has it.
stock_binary() {
  local dir=$out/stock flags
  flags="-s -w $(version_flags "$version" stock "$date")"
  mkdir -p "$dir"
  sed -e '/go-shim/d' -e 's#=> ./apiserver$#=> '"$(stock_source)"'#' "$out/go.mod" >"$dir/go.mod"
  cp "$out/go.sum" "$dir/go.sum"
  make_binary stock-apiserver "$dir/bin/kube-apiserver" "$(go version) $flags ${KUBERNETES_SRC:-}" \
    "$dir" k8s.io/kubernetes/cmd/kube-apiserver -ldflags "$flags"
}

stock_source() {
  if [[ -n ${KUBERNETES_SRC:-} ]]; then
    realpath "$KUBERNETES_SRC/$apiserver_path"
  else
    echo "k8s.io/apiserver $(staging_version "$version")"
  fi
}

# tool_binary NAME PACKAGE: from the pinned module in build/kube/tools/NAME.
tool_binary() {
  local dir=$root/build/kube/tools/$1
  GOFLAGS='-mod=readonly -trimpath' \
    make_binary "$1" "$tools/bin/$1" "$(go version) $(files_hash "$dir")" "$dir" "$2" -ldflags '-s -w'
}

(($#)) || set -- kube-apiserver kube-controller-manager kube-scheduler kubectl
mkdir -p "$out" "$tools"
exec 9>"$root/out/.kube-build.lock"
flock -n 9 || { say "waiting for another build"; flock 9; }
go_env "$out"
for target in "$@"; do
  case $target in
    kube-apiserver | kube-controller-manager | kube-scheduler | kubectl | kubeadm | stock-apiserver)
      if [[ -z ${date:-} ]]; then
        "$root/build/kube/prepare.sh" "$version" "$out"
        date=$(build_date)
      fi
      if [[ $target == stock-apiserver ]]; then stock_binary; else kube_binary "$target"; fi
      ;;
    etcd) tool_binary etcd go.etcd.io/etcd/server/v3 ;;
    etcdutl) tool_binary etcdutl go.etcd.io/etcd/etcdutl/v3 ;;
    kwok) tool_binary kwok sigs.k8s.io/kwok/cmd/kwok ;;
    *) die "unknown target '$target' (see the head of $0)" ;;
  esac
done
