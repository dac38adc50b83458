#!/usr/bin/env bash
# Everything that is promised of each Kubernetes version, on binaries of that version: the
# series applies, upstream's unit tests and ours of the hooks pass, the four binaries build and
# say what they are, and a day in the life of a cluster passes on them. One TAP line for each.
#
#   build/kube/verify-versions.sh [VERSION...]     every version of the lock unless named
#
# About nine minutes of two cores for a version. What passed is remembered in out/verify with a
# hash of all that it was made of, and is not run again: interrupted, it goes on.
# shellcheck disable=SC2317 # functions are called through check
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=../tap.sh
. "$root/build/tap.sh"

readonly done_dir=$root/out/verify
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# inputs VERSION: one hash over what decides a version's results.
inputs() {
  local lock
  lock=$(lock_field "$1" base)$(lock_field "$1" tree)
  (cd "$root" && echo "$lock $(files_hash patches build/kube go-shim libstorage/include libstorage/src tests/e2e)") |
    sha256sum | cut -d' ' -f1
}

builds() { KUBE_VERSION=$1 "$root/build/kube/build.sh" && "$root/build/kube/build.sh" etcd kwok; }

# says VERSION: each binary names the release and that it is not upstream's own build.
says() {
  local name
  for name in kube-apiserver kube-controller-manager kube-scheduler; do
    "$root/out/kube/$1/bin/$name" --version >"$work/version"
    grep -qxF "Kubernetes $1-libstorage" "$work/version" || { echo "$name says: $(<"$work/version")"; return 1; }
  done
}

# day VERSION: the script of tests/e2e on these binaries, over SQLite.
day() {
  cd "$root/tests/e2e"
  KUBE_OUT=$root/out/kube/$1 E2E_DIR=$root/out/e2e-versions/$1 E2E_VARIANTS=cache-protobuf \
    go test -count=1 -timeout 20m -run '^TestDay$' .
}

# verified VERSION: all of it, unless it was seen to pass with the same inputs.
verified() {
  local version=$1 before=$checks_failed now
  now=$(inputs "$version")
  if [[ -f $done_dir/$version && $(<"$done_dir/$version") == "$now" ]]; then
    check "$version: passed before, with the same inputs" true
    return
  fi
  checks_failed=0
  check "$version: the series applies, upstream's unit tests and those of the hooks pass" \
    "$root/build/kube/verify-patches.sh" "$version"
  check "$version: kube-apiserver, -controller-manager, -scheduler and kubectl build" builds "$version"
  check "$version: the binaries say what they are" says "$version"
  check "$version: a day in the life of a cluster" day "$version"
  if ((checks_failed == 0)); then
    printf '%s\n' "$now" >"$done_dir/$version"
    checks_failed=$before
  fi
}

mapfile -t locked < <(listed "$(patch_dir v1.32.0)/lock" | cut -d' ' -f1)
(($#)) || set -- "${locked[@]}"
mkdir -p "$done_dir"
for version in "$@"; do
  [[ -n $(lock_field "$version" base) ]] || die "$version is not in $(patch_dir "$version")/lock"
  verified "$version"
done
exit "$checks_failed"
