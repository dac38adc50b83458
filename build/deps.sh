#!/usr/bin/env bash
# Installs what the build needs, and checks Go. Silent when nothing is missing.
#
#   build/deps.sh [run|all|images]    run: what `make run` needs; all (default): tests, lint and fuzzing
#                                     too; images: what `make images` and their test need
set -euo pipefail

readonly min_go_minor=23
readonly run_packages=(
  bsdextrautils build-essential ca-certificates ccache cmake curl git hostname iproute2 jq libabsl-dev libcli11-dev
  libgrpc++-dev libmariadb-dev libpq-dev libprotobuf-dev libre2-dev libsqlite3-dev libyaml-cpp-dev ninja-build nlohmann-json3-dev openssl
  pkg-config protobuf-compiler protobuf-compiler-grpc util-linux
  libgtest-dev libgmock-dev # CMake looks for them whatever is built
)
readonly test_packages=(
  clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev fuse3 libbenchmark-dev libfuse3-dev lld-14 mariadb-server postgresql-15 shellcheck sqlite3
)
# images_packages: compilers for the architectures that this machine is not, and what runs their programs.
images_packages() {
  local here compiler
  here=$(dpkg --print-architecture)
  printf '%s\n' buildah mmdebstrap qemu-user-static sqlite3
  for compiler in amd64:x86-64 arm64:aarch64 ppc64el:powerpc64le s390x:s390x; do
    [[ ${compiler%:*} == "$here" ]] || printf 'g++-%s-linux-gnu\n' "${compiler#*:}"
  done
}

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

check_go() {
  command -v go >/dev/null ||
    die "Go is not installed: Go 1.$min_go_minor or newer is needed (Debian 12's own golang is 1.19, too old). See https://go.dev/doc/install, then put its bin directory in PATH"
  local found
  found=$(cd / && GOTOOLCHAIN=local go env GOVERSION 2>/dev/null)
  [[ $found =~ ^go1\.([0-9]+) ]] || die "cannot tell the version of Go: 'go env GOVERSION' says '$found'"
  ((BASH_REMATCH[1] >= min_go_minor)) ||
    die "Go is ${found#go}, 1.$min_go_minor or newer is needed: $(command -v go). See https://go.dev/doc/install"
}

# missing PACKAGE...: those that are not installed.
missing() {
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || printf '%s\n' "$package"
  done
}

install_packages() {
  local as_root=() log
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "these packages are missing, and only root can install them: apt-get install $*"
    as_root=(sudo)
  fi
  log=$(mktemp)
  printf 'installing %s packages: %s\n' "$#" "$*" >&2
  if ! { "${as_root[@]}" apt-get -qq update &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y "$@"; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    die "apt-get could not install them; the whole log is in $log"
  fi
  rm -f "$log"
}

packages=("${run_packages[@]}")
case ${1:-all} in
  run) ;;
  all) packages+=("${test_packages[@]}") ;;
  images) mapfile -t -O "${#packages[@]}" packages < <(images_packages) ;;
  *) die "unknown argument '$1' (want run, all or images)" ;;
esac
command -v apt-get >/dev/null ||
  die "apt-get is not here: on another system than Debian 12 install by hand what these packages hold: ${packages[*]}"
check_go
mapfile -t needed < <(missing "${packages[@]}")
((${#needed[@]} == 0)) || install_packages "${needed[@]}"
