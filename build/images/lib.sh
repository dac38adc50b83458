# What the scripts of the images share. Sourced, never run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
readonly architectures=(amd64 arm64 ppc64le s390x)
# shellcheck disable=SC2034 # used by those that source this
readonly images=(kube-apiserver kube-controller-manager) image_user=65532 state_dir=var/lib/libstorage

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# arch_field ARCH FIELD: how others call that architecture (ARCH is Go's and OCI's name): debian,
# triplet (GNU's, and Debian's library directory), cpu (CMake's and qemu's), loader (of programs).
arch_field() {
  local debian triplet cpu loader
  case $1 in
    amd64) set -- "$@" amd64 x86_64-linux-gnu x86_64 lib64/ld-linux-x86-64.so.2 ;;
    arm64) set -- "$@" arm64 aarch64-linux-gnu aarch64 lib/ld-linux-aarch64.so.1 ;;
    ppc64le) set -- "$@" ppc64el powerpc64le-linux-gnu ppc64le lib64/ld64.so.2 ;;
    s390x) set -- "$@" s390x s390x-linux-gnu s390x lib/ld64.so.1 ;;
    *) die "no architecture '$1' (there are ${architectures[*]}, or all)" ;;
  esac
  debian=$3 triplet=$4 cpu=$5 loader=$6
  case $2 in
    debian) echo "$debian" ;;
    triplet) echo "$triplet" ;;
    cpu) echo "$cpu" ;;
    loader) echo "$loader" ;;
    *) die "arch_field has no field '$2'" ;;
  esac
}

# arch_list WORD...: those named, or all of them; each once.
arch_list() {
  local word
  (($#)) || die "which architectures? (${architectures[*]}, or all)"
  for word in "$@"; do
    if [[ $word == all ]]; then
      printf '%s\n' "${architectures[@]}"
    else
      arch_field "$word" debian >/dev/null
      printf '%s\n' "$word"
    fi
  done | awk '!seen[$0]++'
}

# work_dir ARCH: everything that is built for it.
work_dir() { printf '%s\n' "${IMAGES_OUT:-$root/out/images}/$1"; }

# tool ARCH NAME: a program of the cross toolchain; on the machine's own architecture the
# same name is its usual one.
tool() {
  local name
  name=$(arch_field "$1" triplet)-$2
  command -v "$name" || die "$name is not installed: run build/deps.sh images"
}

# emulator ARCH: the qemu that runs its programs here, or nothing where none is needed.
emulator() {
  local cpu name
  cpu=$(arch_field "$1" cpu)
  [[ $cpu != "$(uname -m)" ]] || return 0
  name=qemu-$cpu-static
  command -v "$name" || die "$name is not installed: run build/deps.sh images"
}

# revision: the commit that is built; -dirty when files that go into the images are not as committed.
# REVISION=, CREATED= stand in for git where there is no repository (a Dockerfile's context).
revision() {
  local commit dirty
  [[ -z ${REVISION:-} ]] || { printf '%s\n' "$REVISION"; return; }
  commit=$(git -C "$root" rev-parse HEAD 2>/dev/null) || die "$root is no git checkout: say in REVISION= what is built"
  dirty=$(git -C "$root" status --porcelain -- build go-shim libstorage patches CMakeLists.txt)
  printf '%s\n' "$commit${dirty:+-dirty}"
}

# epoch: when that was made, in seconds; every date in an image is this one.
epoch() {
  [[ -z ${SOURCE_DATE_EPOCH:-} ]] || { printf '%s\n' "$SOURCE_DATE_EPOCH"; return; }
  git -C "$root" log -1 --format=%ct 2>/dev/null || die "$root is no git checkout: say in SOURCE_DATE_EPOCH= when it was made"
}

# library_version: what stg_version() of the library says.
library_version() {
  local number commit
  number=$(sed -n 's/^project(libstorage VERSION \([0-9.]*\) .*/\1/p' "$root/CMakeLists.txt")
  [[ $number ]] || die "CMakeLists.txt does not say the library's version"
  commit=$(revision)
  printf '%s (%s)\n' "$number" "$(short_revision "$commit")"
}
# short_revision REVISION: 12 digits, and -dirty stays.
short_revision() { sed -E 's/^([0-9a-f]{12})[0-9a-f]*/\1/' <<<"$1"; }
