#!/usr/bin/env bash
# Builds and runs the benchmark; writes tests/bench/last.json, in which rows that were
# not measured stay as they were.
#
#   tests/bench/run.sh                                    everything, medians of 5
#   BENCH_ONLY='^(pg|mysql|etcd|spread)-' tests/bench/run.sh     the databases that are servers
#   BENCH_RUNS=1 BENCH_SCALE=20 BENCH_ONLY='^pg-' tests/bench/run.sh   does it work? prints only
#   tests/bench/run.sh scenarios                          what BENCH_ONLY can name
#
# BENCH_DIR is where the data goes (out/bench; the accounts postgres and mysql must be able to reach it),
# BENCH_OUT the results; BENCH_ETCD, BENCH_KINE, BENCH_STOCK_APISERVER and
# BENCH_PATCHED_APISERVER name other binaries.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
version=${KUBE_VERSION:-v1.32.0}
cd "$root"

# kine, for comparison only: an ordinary Go tool.
export BENCH_KINE_VERSION=${BENCH_KINE_VERSION:-v0.17.5}
[[ -n ${BENCH_OUT:-} || ${BENCH_SCALE:-1} != 1 ]] || export BENCH_OUT=$root/tests/bench/last.json
export BENCH_DIR=${BENCH_DIR:-$root/out/bench}
export PKG_CONFIG_PATH=${PKG_CONFIG_PATH:-$root/out/release/pkgconfig}
export GOFLAGS=${GOFLAGS:--buildvcs=false}

# kine_binary: installed once for each version.
kine_binary() {
  if [[ -x $BENCH_KINE ]] && go version -m "$BENCH_KINE" | grep -Fq "github.com/k3s-io/kine"$'\t'"$BENCH_KINE_VERSION"$'\t'; then
    return
  fi
  printf 'kine %s: building\n' "$BENCH_KINE_VERSION" >&2
  (cd / && GOBIN=$root/out/tools/bin go install "github.com/k3s-io/kine@$BENCH_KINE_VERSION")
}

[[ -n ${BENCH_NO_BUILD:-} ]] || make -s library
(cd tests && go build -o "$root/out/bench-run" ./bench)
if (($#)); then exec "$root/out/bench-run" "$@"; fi

# Kubernetes and kine are built only for the rows that need them.
targets=()
needs() { [[ -n ${!1:-} ]] || { targets+=("$2"); export "$1=$3"; }; }
needs BENCH_ETCD etcd "$root/out/tools/bin/etcd"
if "$root/out/bench-run" wants kube 2>/dev/null; then
  needs BENCH_STOCK_APISERVER stock-apiserver "$root/out/kube/$version/stock/bin/kube-apiserver"
  needs BENCH_PATCHED_APISERVER kube-apiserver "$root/out/kube/$version/bin/kube-apiserver"
fi
[[ -n ${BENCH_NO_BUILD:-} ]] || ((${#targets[@]} == 0)) || build/kube/build.sh "${targets[@]}"
if [[ -z ${BENCH_KINE:-} ]]; then
  export BENCH_KINE=$root/out/tools/bin/kine
  ! "$root/out/bench-run" wants kine 2>/dev/null || kine_binary
fi

mkdir -p "$BENCH_DIR"
exec "$root/out/bench-run"
