#!/usr/bin/env bash
# Formatting and lint. One TAP line a check, so that the test runner counts them.
#
#   tests/run/lint.sh all        everything quick
#   tests/run/lint.sh format     rewrite sources instead of checking
#   tests/run/lint.sh tidy       clang-tidy over all C++ (needs a compile database; makes one)
# shellcheck disable=SC2317  # the checks are called by name
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# sources PATTERN...: what git has or would add, and that exists.
sources() {
  git ls-files --cached --others --exclude-standard -- "$@" | sort -u | while IFS= read -r file; do
    [[ ! -f $file ]] || printf '%s\n' "$file"
  done
}
cpp_sources() { sources '*.cc' '*.h' '*.c'; }
go_modules() { sources '*go.mod' | sed 's#/\?go\.mod$##' | grep -v '^build/kube/tools/'; }
shell_sources() {
  sources '*.sh' .ci/run
  sources 'tests/*' 'build/*' | grep -v '\.' | while IFS= read -r file; do
    ! head -n 1 "$file" | grep -q '^#!.*\bbash' || printf '%s\n' "$file"
  done
}

failed=0 number=0
# check NAME COMMAND...: the command prints what is wrong; nothing is fine.
check() {
  local name=$1 output status=0
  shift
  number=$((number + 1))
  output=$("$@" 2>&1) || status=$?
  if [[ $status == 0 && -z $output ]]; then
    echo "ok $number - $name"
  else
    printf '%s\n' "$output" | head -n 60
    echo "not ok $number - $name"
    failed=1
  fi
}

clang_format() {
  local file
  while IFS= read -r file; do
    clang-format-14 --dry-run --Werror "$file" >/dev/null 2>&1 || echo "$file: run make format"
  done < <(cpp_sources)
}
go_format() {
  local files
  mapfile -t files < <(sources '*.go')
  ((${#files[@]} == 0)) || gofmt -l "${files[@]}"
}
# What a new machine downloads is no finding.
go_vet() { vet_module "$1" 2>&1 | { grep -v '^go: downloading ' || true; }; }
# Two packages compile only against the patched apiserver: their suites vet them. With -race,
# as the tests of the same packages compile them.
vet_module() {
  local packages
  packages=$(cd "$1" && go list ./... | grep -vE '/go-shim/factory$|/tests/upstream/linked$') || return 1
  # shellcheck disable=SC2086 # one word a package
  (cd "$1" && go vet -race $packages) || return 1
}
shell_check() {
  local files
  mapfile -t files < <(shell_sources | sort -u)
  shellcheck -x "${files[@]}"
}
# Over 500 lines a file is more than one idea.
file_sizes() {
  { cpp_sources; sources '*.go' '*.sh'; } | while IFS= read -r file; do
    lines=$(wc -l <"$file")
    ((lines <= 500)) || echo "$file: $lines lines, at most 500"
  done
}
conflict_marks() { git grep -nE '^(<{7}|>{7}) ' -- . || true; }

format() {
  local files
  mapfile -t files < <(cpp_sources)
  ((${#files[@]} == 0)) || clang-format-14 -i "${files[@]}"
  mapfile -t files < <(sources '*.go')
  ((${#files[@]} == 0)) || gofmt -w "${files[@]}"
  git status --short -- '*.cc' '*.h' '*.c' '*.go'
}

tidy() {
  local files
  cmake --preset clang >/dev/null
  cmake --build --preset clang --target generated >/dev/null
  mapfile -t files < <(sources 'libstorage/src/*.cc' 'libstorage/tools/*.cc')
  printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 1 clang-tidy-14 --quiet -p out/clang 2>/dev/null
}

case ${1:-all} in
  format) format ;;
  tidy) check clang-tidy tidy ;;
  all)
    check clang-format clang_format
    check gofmt go_format
    while IFS= read -r module; do
      check "go-vet-${module:-root}" go_vet "${module:-.}"
    done < <(go_modules)
    check shellcheck shell_check
    check file-sizes file_sizes
    check conflict-marks conflict_marks
    ;;
  *) echo "usage: $0 all|format|tidy" >&2; exit 2 ;;
esac
exit "$failed"
