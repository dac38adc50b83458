# The environment in which Go builds here. Sourced after lib.sh, never run.
# shellcheck shell=bash
: "${root:?source lib.sh first}"

# go_env OUT: exports what every go command in OUT needs. One cgo setting for all
# binaries, so that they share compiled packages; only packages that name
# libstorage by pkg-config see its flags. Go's cache looks at neither what pkg-config
# says nor the header, and -trimpath makes checkouts look alike: a macro tells them
# apart, or the binding of another checkout, with that one's directories, is taken.
go_env() {
  local library
  library=$({ printf '%s\n' "$1"; cat "${LIBSTORAGE_INCLUDE:-$root/libstorage/include}"/*.h; } | sha256sum | cut -c1-16)
  export CGO_CPPFLAGS="-DLIBSTORAGE_BUILD_KEY=0x$library${CGO_CPPFLAGS:+ $CGO_CPPFLAGS}"
  export GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=${KUBE_CGO:-1}
  export PKG_CONFIG_PATH=$1/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
  export LD_LIBRARY_PATH=$1/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
}

# place FILE DEST: copies when contents differ, in one step, so that a process
# that has DEST open keeps the old file.
place() {
  [[ -f $2 ]] && cmp -s "$1" "$2" && return
  mkdir -p "$(dirname "$2")"
  cp "$1" "$2.new"
  mv "$2.new" "$2"
}

# place_library OUT: libstorage.so and its .pc file for linking, from LIBSTORAGE_LIB
# or the release preset's output.
place_library() {
  local library=${LIBSTORAGE_LIB:-}
  [[ $library ]] || library=$root/out/release/libstorage/libstorage.so
  [[ -f $library ]] || die "$library is not there: run make library"
  place "$(realpath "$library")" "$1/lib/libstorage.so"
  # Programs ask for the name that the library carries inside.
  local soname
  soname=$(readelf -d "$1/lib/libstorage.so" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
  if [[ $soname && $soname != libstorage.so ]]; then
    ln -sf libstorage.so "$1/lib/$soname"
  fi
  mkdir -p "$1/pkgconfig"
  cat >"$1/pkgconfig/libstorage.pc" <<EOF
Name: libstorage
Description: Kubernetes objects in ordinary databases
Version: 1.0.0
Cflags: -I${LIBSTORAGE_INCLUDE:-$root/libstorage/include}
Libs: -L$1/lib -lstorage
EOF
}

# version_flags GIT_VERSION GIT_COMMIT DATE: linker flags, as hack/lib/version.sh of Kubernetes makes them.
version_flags() {
  local package key value major minor
  IFS=. read -r major minor _ <<<"${1#v}"
  for package in k8s.io/client-go/pkg/version k8s.io/component-base/version; do
    while read -r key value; do
      printf -- '-X %s.%s=%s ' "$package" "$key" "$value"
    done <<EOF
buildDate $3
gitCommit $2
gitTreeState clean
gitVersion $1
gitMajor $major
gitMinor $minor
EOF
  done
}
