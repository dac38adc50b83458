#!/usr/bin/env bash
# Runs every fuzz target of a build directory, FUZZ_SECONDS each (default 5), from the
# corpus in the repository. One TAP line a target; the input of a crash stays in
# out/fuzz-crashes.  tests/run/fuzz.sh out/debug
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
dir=$(realpath "$1") seconds=${FUZZ_SECONDS:-5} seed=${SEED:-1}
crashes=$PWD/out/fuzz-crashes corpora=$PWD/libstorage/tests/fuzz/corpus
mkdir -p "$crashes"
export UBSAN_OPTIONS=print_stacktrace=1
mapfile -t targets < <(ctest --test-dir "$dir" --show-only=json-v1 -L '^fuzz$' | jq -r '.tests[] | .command[0] // ("not-built:" + .name)')
number=0 failed=0
for target in "${targets[@]}"; do
  name=$(basename "$target") number=$((number + 1))
  work=$(mktemp -d) # libFuzzer writes what it finds into its first corpus
  places=("$work")
  [[ ! -d $corpora/$name ]] || places+=("$corpora/$name")
  if (cd "$crashes" && "$target" -max_total_time="$seconds" -seed="$seed" -timeout=25 -print_final_stats=1 \
    -artifact_prefix="$crashes/$name-" "${places[@]}") >"$crashes/$name.log" 2>&1; then
    grep -E 'number_of_executed_units|mutations, seed' "$crashes/$name.log" || true
    echo "ok $number - $name"
  else
    tail -n 40 "$crashes/$name.log"
    echo "not ok $number - $name"
    failed=1
  fi
  rm -rf "$work"
done
exit "$failed"
