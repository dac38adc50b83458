#!/usr/bin/env bash
# Checks the patch series and what it makes of Kubernetes.
#
#   build/kube/verify-patches.sh [--no-tests] [--update-lock] [--all | VERSION...]
#
# Without a version: v1.32.0. --all: every version in the lock.
# --no-tests     leaves out upstream's unit tests of the touched packages
# --update-lock  records base and result of the versions instead of comparing them
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=goenv.sh
. "$(dirname "${BASH_SOURCE[0]}")/goenv.sh"

readonly max_patches=5 max_added=300
tests=yes update='' all=''
versions=()
for arg in "$@"; do
  case $arg in
    --no-tests) tests='' ;;
    --update-lock) update=yes ;;
    --all) all=yes ;;
    v*) versions+=("$arg") ;;
    *) die "unknown argument '$arg' (see the head of $0)" ;;
  esac
done
check_source
patches=$(patch_dir "${versions[0]:-v1.32.0}")
if [[ $all ]]; then
  mapfile -t versions < <(listed "$patches/lock" | cut -d' ' -f1)
fi
((${#versions[@]})) || versions=(v1.32.0)

# check_files: the series names each patch file once, and each patch says what it must.
check_files() {
  local name word
  diff <(listed "$patches/series" | sort) <(cd "$patches" && printf '%s\n' ./*.patch | sed 's/^..//' | sort) >/dev/null ||
    die "$patches/series does not list exactly the *.patch files beside it"
  listed "$patches/series" | sort -C || die "$patches/series is not in the order of the numbers"
  while read -r name; do
    for word in '^Subject: ' '^Why: ' '^How it differs from upstream: ' '^Can be dropped when: '; do
      grep -q "$word" "$patches/$name" || die "patch $name has no line that begins '${word#^}'"
    done
  done < <(listed "$patches/series")
}

# check_size_and_paths: the limits of docs/patch.md.
check_size_and_paths() {
  local names added path total=0 touched
  mapfile -t names < <(listed "$patches/series")
  ((${#names[@]} <= max_patches)) || die "${#names[@]} patches, at most $max_patches are allowed"
  touched=$(mktemp)
  while read -r added _ path; do
    [[ $added != - ]] || die "$path: a binary change"
    total=$((total + added))
    echo "$path" >>"$touched"
  done < <(cd "$patches" && outside_git "$patches" apply --numstat "${names[@]}")
  [[ -s $touched ]] || die "the patches in $patches cannot be read"
  while read -r path; do
    listed "$patches/allowed-paths" | grep -qxF "$path" || die "$path is touched but not in $patches/allowed-paths"
  done <"$touched"
  while read -r path; do
    grep -qxF "$path" "$touched" || die "$path is in $patches/allowed-paths but no patch touches it"
  done < <(listed "$patches/allowed-paths")
  rm -f "$touched"
  ((total <= max_added)) || die "the series adds $total lines, at most $max_added are allowed"
  say "series: ${#names[@]} patches, $total added lines"
}

# check_checkout VERSION DIR: the same patches, in the layout of a checkout.
check_checkout() {
  local source tree
  if [[ -n ${KUBERNETES_SRC:-} ]]; then
    source=$KUBERNETES_SRC/$apiserver_path
  else
    read -r source _ < <(module_info k8s.io/apiserver "$(staging_version "$1")") || die "$1 cannot be checked"
  fi
  mkdir -p "$2/$apiserver_path"
  cp -r "$source/." "$2/$apiserver_path"
  chmod -R u+w "$2"
  apply_series "$patches" "$2" 1
  tree=$(tree_hash "$2/$apiserver_path/pkg")
  [[ $tree == "$(lock_field "$1" tree)" ]] || die "$1: a checkout gives the tree $tree, which is not the lock's"
}

# lock_line VERSION DIR: the line of the lock for what the modules give now.
lock_line() {
  local source sum
  read -r source sum < <(module_info k8s.io/apiserver "$(staging_version "$1")") || die "$1 cannot be locked"
  mkdir -p "$2"
  cp -r "$source/." "$2"
  chmod -R u+w "$2"
  apply_series "$patches" "$2" 5
  echo "$1 base=$sum tree=$(tree_hash "$2/pkg")"
}

update_lock() {
  local new lock=$patches/lock
  [[ -f $lock ]] || printf '# Kubernetes version, go.sum hash of k8s.io/apiserver before, git tree of its pkg/ after.\n' >"$lock"
  new=$(lock_line "$1" "$2")
  { grep '^#' "$lock"; { grep -v -e '^#' -e "^$1 " "$lock" || true; echo "$new"; } | sort -V; } >"$2.lock"
  cat "$2.lock" >"$lock"
  say "locked: $new"
}

# go_test VERSION PACKAGE...: in the module that kube-apiserver is built in, so that what both
# need is compiled once. Quiet but for failures, and without the servers' own logs.
go_test() {
  local out
  out=$(prepared "$1")
  shift
  (go_env "$out" && cd "$out" && go test -count=1 "$@") 2>&1 | grep -vE '^[IWE][0-9]{4} |no test files' >&2
}

# prepared VERSION: that module; of another series than the repository's one of its own.
prepared() {
  local out=$root/out/kube/$1
  [[ -z ${PATCH_DIR:-} ]] || out=$work/$1/kube
  "$root/build/kube/prepare.sh" "$1" "$out" || die "$1 cannot be prepared"
  printf '%s\n' "$out"
}

# unit_tests VERSION: upstream's own tests of the packages that the series touches, with
# nothing registered; then ours of the hooks, in a program of their own.
unit_tests() {
  local packages hooks
  mapfile -t packages < <(listed "$patches/allowed-paths" | sed 's#^staging/src/##; s#/[^/]*$##' | sort -u)
  go_test "$1" "${packages[@]}" || die "upstream's unit tests fail in the patched tree of $1"
  hooks=$(prepared "$1")/hooktest
  mkdir -p "$hooks"
  cp "$root/build/kube/hooks_test.go" "$hooks"
  go_test "$1" ./hooktest || die "the tests of the hooks fail with $1"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
check_files
check_size_and_paths
for version in "${versions[@]}"; do
  [[ -z $update ]] || update_lock "$version" "$work/lock-$version"
  patched_apiserver "$version" "$work/$version/module"
  check_checkout "$version" "$work/$version/checkout"
  say "$version: applies, and gives the tree of the lock"
  [[ -z $tests ]] || unit_tests "$version"
  rm -rf "${work:?}/$version"
done
