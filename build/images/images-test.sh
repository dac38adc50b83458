#!/usr/bin/env bash
# Shows that the images are what docs/images.md says: one TAP line for each fact.
#
#   build/images/images-test.sh ARCH...      (or all) the images of VERSION (v1.32.0) in dist/images
#
# Programs of another architecture run under qemu-user, in a chroot of the image's own files. A file
# written by this machine's architecture is read by the other one and back, so the images of both
# must be there. The C++ contract suite runs from out/images.
# shellcheck disable=SC2317 # functions are called through check
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=../kube/goenv.sh
. "$root/build/kube/goenv.sh"
# shellcheck source-path=SCRIPTDIR source=../tap.sh
. "$root/build/tap.sh"
# shellcheck source-path=SCRIPTDIR source=image-facts.sh
. "$(dirname "${BASH_SOURCE[0]}")/image-facts.sh"
# shellcheck source-path=SCRIPTDIR source=image-broken.sh
. "$(dirname "${BASH_SOURCE[0]}")/image-broken.sh"
# shellcheck source-path=SCRIPTDIR source=image-dockerfile.sh
. "$(dirname "${BASH_SOURCE[0]}")/image-dockerfile.sh"
# shellcheck source-path=SCRIPTDIR source=image-serves.sh
. "$(dirname "${BASH_SOURCE[0]}")/image-serves.sh"

version=${VERSION:-v1.32.0}
dist=$(realpath -m "${DIST:-$root/dist}")/images
list=$(arch_list "$@")
mapfile -t wanted <<<"$list"
((EUID == 0)) || die "run this as root: it unpacks images with their owners and runs them in a chroot"
mkdir -p "$root/out/images"
work=$(mktemp -d "$root/out/images/test.XXXXXX")
mkdir "$work/pids"
finish() {
  local pid
  for pid in "$work"/pids/*; do
    [[ ! -f $pid ]] || kill -KILL "$(<"$pid")" 2>/dev/null || true
  done
  [[ ${KEEP:-} ]] || rm -rf "$work"
}
trap finish EXIT

native=$(for arch in "${architectures[@]}"; do [[ $(arch_field "$arch" cpu) != "$(uname -m)" ]] || echo "$arch"; done)

# facts ARCH IMAGE: what can be seen without running it.
facts() {
  local name=$1/$2
  check "$name: its archive is an image that unpacks" unpack "$1" "$2"
  ((last_check == 0)) || return 0
  check "$name: is for that architecture" right_machine "$1" "$2"
  check "$name: labels say what was built of what" right_labels "$1" "$2"
  check "$name: does not run as root" not_root "$1" "$2"
  check "$name: no shell, no package manager, nothing to run but its program" no_shell "$1" "$2"
  check "$name: only the files that are listed" expected_files "$1" "$2"
  check "$name: the shared objects that are needed, and no others" exact_closure "$1" "$2"
  check "$name: every date is that of the commit" dated "$1" "$2"
  check "$name: no larger than it may be" small "$1" "$2"
  [[ $1 != "$native" ]] || check "$name: images/Dockerfile makes the same image" by_dockerfile "$1" "$2"
}

# contract ARCH: the C++ suite of backends, built for it, on memory and SQLite.
contract() {
  local run=() binary
  "$root/build/images/library.sh" "$1" backend_contract_test
  binary=$(work_dir "$1")/library/libstorage/backend_contract_test
  [[ $1 == "$native" ]] || run=("$(emulator "$1")" -L "$(work_dir "$1")/sysroot")
  "${run[@]}" "$binary" --gtest_brief=1 --gtest_color=no | tee "$work/contract"
  grep -qE '^\[  PASSED  \] [1-9][0-9]* tests\.' "$work/contract"
}

# binding ARCH: the tests of go-shim/native: the C ABI, the engine, memory and SQLite, from Go.
binding() {
  local dir compiler run=()
  dir=$(work_dir "$1")
  compiler=$(tool "$1" gcc)
  [[ $1 == "$native" ]] || run=("$(emulator "$1")" -L "$dir/sysroot")
  go_env "$dir/library"
  cd "$root/go-shim/native"
  GOOS=linux GOARCH=$1 CC="$(basename "$compiler") --sysroot=$dir/sysroot" CGO_LDFLAGS='-Wl,--allow-shlib-undefined' \
    go test -c -o "$work/native.test" .
  "${run[@]}" "$work/native.test" -test.short -test.v | tee "$work/binding"
  grep -q '^--- PASS: ' "$work/binding"
}

for arch in "${wanted[@]}"; do
  for image in "${images[@]}"; do
    facts "$arch" "$image"
  done
  [[ $arch != "${wanted[0]}" || ! -d $(root_of "$arch" kube-apiserver) ]] || broken "$arch"
  runs "$arch"
  [[ $arch == "$native" ]] || exchange "$arch" "$native"
  check "$arch: the tests of the Go binding" binding "$arch"
  check "$arch: the contract suite of backends" contract "$arch"
done
((${#wanted[@]} == 1)) || for image in "${images[@]}"; do
  check "$image: one archive has all of ${wanted[*]}" has_all "$image" "${wanted[@]}"
done
exit "$checks_failed"
