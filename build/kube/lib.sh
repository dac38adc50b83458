# Functions shared by the scripts in this directory. Sourced, never run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
readonly apiserver_path=staging/src/k8s.io/apiserver

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# staging_version v1.32.N: the version of the staging modules.
staging_version() {
  [[ $1 =~ ^v1\.([0-9]+)\.([0-9]+)$ ]] || die "not a Kubernetes version: '$1' (want v1.32.N)"
  printf 'v0.%s.%s\n' "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
}

# patch_dir v1.32.N: where the series of that minor version is.
patch_dir() {
  local dir=${PATCH_DIR:-$root/patches/${1%.*}}
  [[ -f $dir/series ]] || die "no patches for Kubernetes $1: $dir/series is missing"
  printf '%s\n' "$dir"
}

# check_source: KUBERNETES_SRC, if given, is a checkout.
check_source() {
  [[ -z ${KUBERNETES_SRC:-} || -f $KUBERNETES_SRC/$apiserver_path/go.mod ]] ||
    die "KUBERNETES_SRC=$KUBERNETES_SRC is no Kubernetes checkout: it has no $apiserver_path"
}

# listed FILE: its lines without comments and blank lines.
listed() { sed -e 's/[[:space:]]*#.*$//' -e '/^[[:space:]]*$/d' "$1"; }

# module_info PATH VERSION: downloads the module if needed; prints its directory and its go.sum hash.
module_info() {
  local json
  json=$(cd / && GOFLAGS=-mod=mod GOWORK=off go mod download -json "$1@$2") ||
    die "Go has no module $1@$2 for us: $(jq -r '.Error // empty' <<<"${json:-}")"
  jq -r '.Dir + " " + .Sum' <<<"$json"
}

# outside_git DIR COMMAND...: runs git in DIR as if no repository were around it
# (git apply silently skips files when it finds one).
outside_git() {
  local dir=$1
  shift
  (cd "$dir" && env -u GIT_DIR -u GIT_WORK_TREE GIT_CEILING_DIRECTORIES="$(cd .. && pwd -P)" git "$@")
}

# tree_hash DIR: git's tree hash of DIR's files, modes ignored.
tree_hash() {
  local tmp hash
  tmp=$(mktemp -d)
  git -c init.defaultBranch=x init -q --bare "$tmp"
  hash=$(export GIT_DIR=$tmp GIT_WORK_TREE=$1 GIT_INDEX_FILE=$tmp/index
    cd "$1" && git -c core.fileMode=false -c core.autocrlf=false -c core.excludesFile= add -f -A . && git write-tree)
  rm -rf "$tmp"
  printf '%s\n' "$hash"
}

# apply_series PATCHES DIR STRIP: applies the series to DIR, without fuzz.
apply_series() {
  local name
  while read -r name; do
    outside_git "$2" apply --check "-p$3" "$1/$name" || die "patch $name does not apply to $2"
    outside_git "$2" apply "-p$3" "$1/$name"
  done < <(listed "$1/series")
}

# lock_field VERSION FIELD: base or tree from the lock; empty when the version is not locked.
lock_field() {
  awk -v version="$1" -v field="$2=" \
    '$1 == version { for (i = 2; i <= NF; i++) if (index($i, field) == 1) print substr($i, length(field) + 1) }' \
    "$(patch_dir "$1")/lock"
}

# files_hash PATH...: one hash over names and contents; directories are walked.
files_hash() {
  find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

# base_files VERSION DIR: the files that the series changes, as the release has them, where
# they are in a checkout.
base_files() {
  local source path
  if [[ -n ${KUBERNETES_SRC:-} ]]; then
    source=$KUBERNETES_SRC/$apiserver_path
  else
    read -r source _ < <(module_info k8s.io/apiserver "$(staging_version "$1")") || die "$1 cannot be had"
  fi
  while read -r path; do
    mkdir -p "$2/$(dirname "$path")"
    [[ ! -f $source/${path#"$apiserver_path/"} ]] || install -m 644 "$source/${path#"$apiserver_path/"}" "$2/$path"
  done < <(listed "$(patch_dir "$1")/allowed-paths")
}

# patched_apiserver VERSION DIR: a patched copy of the apiserver module in DIR,
# from KUBERNETES_SRC or the module cache, verified against the lock.
patched_apiserver() {
  local version=$1 dir=$2 patches source sum want got
  patches=$(patch_dir "$version")
  if [[ -n ${KUBERNETES_SRC:-} ]]; then
    source=$KUBERNETES_SRC/$apiserver_path
  else
    read -r source sum < <(module_info k8s.io/apiserver "$(staging_version "$version")") || die "$version cannot be prepared"
    want=$(lock_field "$version" base)
    [[ -n $want ]] || die "$version is not in $patches/lock: run build/kube/verify-patches.sh --update-lock $version"
    [[ $sum == "$want" ]] || die "the base of $version is $sum, the lock says $want"
  fi
  rm -rf "$dir"
  mkdir -p "$dir"
  cp -r "$source/." "$dir"
  chmod -R u+w "$dir"
  apply_series "$patches" "$dir" 5
  want=$(lock_field "$version" tree)
  got=$(tree_hash "$dir/pkg")
  [[ $got == "$want" ]] || die "the patched tree of $version is $got, the lock says ${want:-nothing}"
}
