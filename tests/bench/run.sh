#!/usr/bin/env bash
# Builds and runs the benchmark; writes tests/bench/last.json.
#
#   tests/bench/run.sh                                    everything, medians of 5
#   BENCH_RUNS=1 BENCH_ONLY='^(get|create)' tests/bench/run.sh   while developing
#
# BENCH_DIR is where the data goes (out/bench), BENCH_OUT the results;
# BENCH_ETCD, BENCH_STOCK_APISERVER and BENCH_PATCHED_APISERVER name other binaries.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
version=${KUBE_VERSION:-v1.32.0}
cd "$root"

export BENCH_DIR=${BENCH_DIR:-$root/out/bench} BENCH_OUT=${BENCH_OUT:-$root/tests/bench/last.json}
export PKG_CONFIG_PATH=${PKG_CONFIG_PATH:-$root/out/release/pkgconfig}
export GOFLAGS=${GOFLAGS:--buildvcs=false}

[[ -n ${BENCH_NO_BUILD:-} ]] || make -s library
(cd tests && go build -o "$root/out/bench-run" ./bench)

# Kubernetes is built only for the rows that need it.
targets=()
needs() { [[ -n ${!1:-} ]] || { targets+=("$2"); export "$1=$3"; }; }
needs BENCH_ETCD etcd "$root/out/tools/bin/etcd"
if "$root/out/bench-run" wants kube 2>/dev/null; then
  needs BENCH_STOCK_APISERVER stock-apiserver "$root/out/kube/$version/stock/bin/kube-apiserver"
  needs BENCH_PATCHED_APISERVER kube-apiserver "$root/out/kube/$version/bin/kube-apiserver"
fi
[[ -n ${BENCH_NO_BUILD:-} ]] || ((${#targets[@]} == 0)) || build/kube/build.sh "${targets[@]}"

mkdir -p "$BENCH_DIR"
exec "$root/out/bench-run"
