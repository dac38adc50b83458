#!/usr/bin/env bash
# Runs every fuzz target of a build directory, or of the Go shim, FUZZ_SECONDS each
# (default 5), from the corpus in the repository. One TAP line a target; the input of a
# crash stays in out/fuzz-crashes, or where Go puts it: go-shim/store/testdata/fuzz.
#   tests/run/fuzz.sh out/debug
#   tests/run/fuzz.sh go
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
what=$1 seconds=${FUZZ_SECONDS:-5} seed=${SEED:-1}
crashes=$PWD/out/fuzz-crashes corpora=$PWD/libstorage/tests/fuzz/corpus
mkdir -p "$crashes"
export UBSAN_OPTIONS=print_stacktrace=1
number=0 failed=0
# report STATUS NAME: its TAP line; the log of a failure before it.
report() {
  number=$((number + 1))
  if [[ $1 == 0 ]]; then
    echo "ok $number - $2"
  else
    tail -n 40 "$crashes/$2.log"
    echo "not ok $number - $2"
    failed=1
  fi
}
native_targets() {
  local dir=$1 target targets name status work places
  mapfile -t targets < <(ctest --test-dir "$dir" --show-only=json-v1 -L '^fuzz$' | jq -r '.tests[] | .command[0] // ("not-built:" + .name)')
  ((${#targets[@]})) || { echo "no fuzz targets in $dir"; exit 1; }
  for target in "${targets[@]}"; do
    name=$(basename "$target") status=0
    work=$(mktemp -d) # libFuzzer writes what it finds into its first corpus
    places=("$work")
    [[ ! -d $corpora/$name ]] || places+=("$corpora/$name")
    (cd "$crashes" && "$target" -max_total_time="$seconds" -seed="$seed" -timeout=25 -print_final_stats=1 \
      -artifact_prefix="$crashes/$name-" "${places[@]}") >"$crashes/$name.log" 2>&1 || status=$?
    grep -E 'number_of_executed_units|mutations, seed' "$crashes/$name.log" || true
    report "$status" "$name"
    rm -rf "$work"
  done
}
go_targets() {
  local name targets status
  # Go's fuzzer has no seed; it starts from the targets' own seeds.
  mapfile -t targets < <(cd go-shim && go test ./store -list '^Fuzz' | grep '^Fuzz')
  ((${#targets[@]})) || { echo "no fuzz targets in go-shim/store"; exit 1; }
  for name in "${targets[@]}"; do
    status=0
    (cd go-shim && go test ./store -run '^$' -fuzz "^$name\$" -fuzztime "${seconds}s") >"$crashes/$name.log" 2>&1 || status=$?
    grep -E 'execs:' "$crashes/$name.log" | tail -n 1 || true
    report "$status" "$name"
  done
}
if [[ $what == go ]]; then go_targets; else native_targets "$(realpath "$what")"; fi
exit "$failed"
