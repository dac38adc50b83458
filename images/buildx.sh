#!/usr/bin/env bash
# Builds one image by images/Dockerfile, with the labels that `make images` gives:
#
#   images/buildx.sh VERSION IMAGE [FLAGS of docker buildx build...]
#
# BUILDER='buildah build' takes another builder than 'docker buildx build'.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../build/images/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../build/images/lib.sh"
# shellcheck source-path=SCRIPTDIR source=../build/images/labels.sh
. "$root/build/images/labels.sh"

(($# >= 2)) || die "usage: $0 VERSION IMAGE [FLAGS]"
version=$1 image=$2
shift 2
check_version "$version"
flags=(--file "$root/images/Dockerfile" --target "$image")
flags+=(--build-arg "VERSION=$version" --build-arg "REVISION=$(revision)" --build-arg "SOURCE_DATE_EPOCH=$(epoch)")
while IFS= read -r label; do
  flags+=(--label "$label")
done < <(labels "$version" "$image")
read -r -a builder <<<"${BUILDER:-docker buildx build}"
exec "${builder[@]}" "${flags[@]}" "$@" "$root"
