# Messages, steps and waiting for run.sh. Sourced, never run.
# shellcheck shell=bash
: "${logs:?the directory of the logs}"

say() { printf '%s\n' "$*"; }

# shellcheck disable=SC2034  # finish in run.sh prints it
reason=''
# die MESSAGE: ends the run; finish() prints the reason as the last line.
die() {
  # shellcheck disable=SC2034
  reason=$*
  exit 1
}

# log_tail FILE [PATTERN]: the lines of a log that tell why: those that match, else the last.
log_tail() {
  local lines=''
  [[ ! ${2:-} ]] || lines=$(grep -E "$2" "$1" | tail -n 3) || true
  [[ $lines ]] || lines=$(tail -n 12 "$1")
  printf '%s\n' "$lines" | cut -c 1-2000 | sed 's/^/    /'
  say "    (the whole log: $1)"
}

# ended PID SECONDS: waits until the process ends; false when the time is over first.
ended() { ! kill -0 "$1" 2>/dev/null || timeout "$2" tail -s 0.1 -f /dev/null --pid="$1"; }

step_pid=''
# step NAME COMMAND...: runs the command with its output in a log, and shows that it goes on.
step() {
  local name=$1 log started=$SECONDS
  shift
  log=$logs/build-${name%%[ ,]*}.log
  setsid setpriv --pdeathsig TERM "$@" >"$log" 2>&1 </dev/null 8>&- &
  step_pid=$!
  until ended "$step_pid" 20; do
    printf '%5ds  %s: %ds so far: %s\n' "$SECONDS" "$name" "$((SECONDS - started))" "$(tail -n 1 "$log" | cut -c 1-100)"
  done
  if ! wait "$step_pid"; then
    step_pid=''
    log_tail "$log" >&2
    die "$name failed"
  fi
  step_pid=''
  printf '%5ds  %s (%ds)\n' "$SECONDS" "$name" "$((SECONDS - started))"
}

# poll SECONDS PID COMMAND...: repeats the command until it succeeds; false when the
# time is over or the process is gone.
poll() {
  local deadline=$((SECONDS + $1)) pid=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || return 1
    ! ended "$pid" 0.2 || return 1
  done
}

# listening PORT: whether something on this machine has it.
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
