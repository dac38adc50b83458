# One TAP line for each check of a script. Sourced; the script ends with `exit "$checks_failed"`.
# shellcheck shell=bash

# shellcheck disable=SC2034 # the scripts read these
checks=0 checks_failed=0 last_check=0
# check NAME COMMAND...: what the command printed when it fails, and last_check is its exit code.
# Not to be called in a condition: the command would go on behind an error.
check() {
  local name=$1 log
  shift
  log=$(mktemp)
  checks=$((checks + 1))
  set +e
  (
    set -e
    "$@"
  ) >"$log" 2>&1
  last_check=$?
  set -e
  if ((last_check == 0)); then
    echo "ok $checks - $name"
  else
    cat "$log"
    echo "not ok $checks - $name"
    # shellcheck disable=SC2034
    checks_failed=1
  fi
  rm -f "$log"
}
