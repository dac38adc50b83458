#!/usr/bin/env bash
# Runs every googletest binary of a build directory:  tests/run/gtests.sh out/debug
# A binary that fails does not stop the others. BUDGET_SECONDS is per binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
dir=$1 status=0
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1}
export LSAN_OPTIONS=${LSAN_OPTIONS:-print_suppressions=0:suppressions=$PWD/tests/run/lsan-suppressions.txt}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1:suppressions=$PWD/tests/run/tsan-suppressions.txt}
mapfile -t binaries < <(ctest --test-dir "$dir" --show-only=json-v1 -L '^gtest$' | jq -r '.tests[] | .command[0] // ("not-built:" + .name)')
((${#binaries[@]})) || { echo "no tests in $dir"; exit 1; }
# Sanitizers of clang 14 cannot live with the address randomisation of newer kernels.
fixed=()
if setarch "$(uname -m)" -R true 2>/dev/null; then fixed=(setarch "$(uname -m)" -R); fi
for binary in "${binaries[@]}"; do
  started=$SECONDS
  timeout -s QUIT "${BUDGET_SECONDS:-600}" "${fixed[@]}" "$binary" --gtest_color=no || {
    echo "$binary: exit status $?"
    status=1
  }
  echo "## $(basename "$binary"): $((SECONDS - started)) s"
done
exit "$status"
