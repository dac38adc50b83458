#!/usr/bin/env bash
# Runs a go command in the module of the patched binaries, where go-shim sees the
# patched apiserver:  build/kube/go.sh test github.com/libstorage/go-shim/factory/...
#
# KUBE_VERSION and KUBE_OUT choose another version and place than v1.32.0 and out/kube/VERSION.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=goenv.sh
. "$(dirname "${BASH_SOURCE[0]}")/goenv.sh"

version=${KUBE_VERSION:-v1.32.0}
out=$(realpath -m "${KUBE_OUT:-$root/out/kube/$version}")
"$root/build/kube/prepare.sh" "$version" "$out"
go_env "$out"
place_library "$out"
cd "$out"
exec go "$@"
