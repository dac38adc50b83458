# The labels of the images. Sourced after lib.sh.
# shellcheck shell=bash
: "${root:?source lib.sh first}"

# check_version VERSION
check_version() { [[ $1 =~ ^v1\.32\.[0-9]+$ ]] || die "not a version that there are patches for: '$1' (want v1.32.N)"; }

# labels VERSION IMAGE: KEY=VALUE lines.
labels() {
  local prefix=org.opencontainers.image stamp
  stamp=$(epoch)
  printf '%s\n' \
    "$prefix.title=$2" \
    "$prefix.version=$1-libstorage" \
    "$prefix.revision=$(revision)" \
    "$prefix.created=$(date -u -d "@$stamp" +%Y-%m-%dT%H:%M:%SZ)" \
    "$prefix.source=${IMAGE_SOURCE:-https://$(sed -n 's/^module //p' "$root/go-shim/go.mod")}" \
    "$prefix.licenses=Apache-2.0" \
    "io.kubernetes.version=$1"
  [[ $2 != kube-apiserver ]] || printf '%s\n' "io.libstorage.version=$(library_version)"
}
