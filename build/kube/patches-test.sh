#!/usr/bin/env bash
# Shows that the released patches are what users are told: one TAP line for each fact.
#
#   build/kube/patches-test.sh            quick: the oldest and the newest release
#   build/kube/patches-test.sh --build    also applies one to a whole checkout, and builds it as
#                                         Kubernetes is built: make, vendor/, its own Go version
# shellcheck disable=SC2317 # functions are called through check
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=../tap.sh
. "$root/build/tap.sh"

readonly max_added=300 place=third_party/libstorage
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
applies() { base_files "$1" "$work/$1" && outside_git "$work/$1" apply "$(patch_of "$1")"; }
patch_of() { printf '%s\n' "$work/dist/patches/kubernetes-$1.patch"; }

same_bytes() {
  DIST=$work/again "$root/build/kube/patches.sh" "$1"
  cmp "$work/again/patches/kubernetes-$1.patch" "$(patch_of "$1")"
}

# few_lines VERSION: of Kubernetes' own files, and no file that is not expected.
few_lines() {
  local added path total=0
  while read -r added _ path; do
    [[ $path != "$place"/* ]] || continue
    total=$((total + added))
    [[ $path == cmd/kube-apiserver/libstorage.go ]] || listed "$(patch_dir "$1")/allowed-paths" | grep -qxF "$path" ||
      { echo "$path is not expected"; return 1; }
  done < <(cd "$work" && outside_git "$work" apply --numstat "$(patch_of "$1")")
  echo "$total added lines"
  ((total > 0 && total <= max_added))
}

# vendored VERSION: what the shim imports is in vendor/ already.
vendored() {
  local kubernetes import imports missing=''
  read -r kubernetes _ < <(module_info k8s.io/kubernetes "$1")
  printf 'module k8s.io/kubernetes\n' >"$work/$1/go.mod"
  imports=$(cd "$work/$1" && GOFLAGS=-mod=readonly GOWORK=off go list -e -f '{{join .Imports "\n"}}' "./$place/..." | sort -u)
  grep -qxF github.com/spf13/pflag <<<"$imports"
  while read -r import; do
    case $import in
      k8s.io/kubernetes/"$place"/*) [[ -d $work/$1/${import#k8s.io/kubernetes/} ]] || missing+=" $import" ;;
      *.*/*) grep -qxF "$import" "$kubernetes/vendor/modules.txt" || staged "$import" "$kubernetes" || missing+=" $import" ;;
    esac
  done <<<"$imports"
  [[ -z $missing ]] || { echo "not in vendor/:$missing"; return 1; }
}
staged() {
  local module=k8s.io/${1#k8s.io/}
  module=$(cut -d/ -f1,2 <<<"$module")
  [[ $1 == k8s.io/* ]] && grep -q "^[[:space:]]$module => ./staging" "$2/go.mod"
}

# built VERSION: as its users build it.
built() {
  local tree=$work/kubernetes library=$work/library go
  "$root/build/kube/tree.sh" "$1" "$tree"
  git -C "$tree" apply --check "$(patch_of "$1")"
  git -C "$tree" apply --index "$(patch_of "$1")"
  git -C "$tree" -c user.name=t -c user.email=t@localhost commit -q -m patched
  cmake --install "$root/out/release" --prefix "$library" --component dist
  go=$(GOTOOLCHAIN=go$(<"$tree/.go-version") go env GOROOT)
  PATH=$go/bin:$PATH PKG_CONFIG_PATH=$library/lib/pkgconfig GOFLAGS='' FORCE_HOST_GO=y \
    make -C "$tree" WHAT=cmd/kube-apiserver KUBE_CGO_OVERRIDES=kube-apiserver CGO_ENABLED=1 \
    KUBE_GIT_VERSION="$1-libstorage" KUBE_GIT_COMMIT=0 KUBE_GIT_TREE_STATE=clean
  LD_LIBRARY_PATH=$library/lib "$tree/_output/bin/kube-apiserver" --version | tee "$work/version"
  grep -qxF "Kubernetes $1-libstorage" "$work/version"
  LD_LIBRARY_PATH=$library/lib "$tree/_output/bin/kube-apiserver" --help | grep -q -- --topology-config
  [[ -z $(git -C "$tree" status --porcelain) ]]
}

lock=$(patch_dir v1.32.0)/lock
versions=("$(listed "$lock" | head -n 1 | cut -d' ' -f1)" "$(listed "$lock" | tail -n 1 | cut -d' ' -f1)")
for version in "${versions[@]}"; do
  check "$version: is written" env DIST="$work/dist" "$root/build/kube/patches.sh" "$version"
  check "$version: applies to the release" applies "$version"
  check "$version: the same bytes again" same_bytes "$version"
  check "$version: at most $max_added lines outside $place" few_lines "$version"
  check "$version: imports what is in vendor/" vendored "$version"
done
[[ ${1:-} != --build ]] || check "${versions[0]}: builds in a checkout" built "${versions[0]}"
exit "$checks_failed"
