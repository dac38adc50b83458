#!/usr/bin/env bash
# Tests run.sh itself: the messages for what is wrong, a start, a stop, a second
# start with the data of the first. Builds what is missing first. Prints TAP.
#
# RUN_TEST_PORT (17443) moves the ports.
# shellcheck disable=SC2317  # checks are called by name
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
export RUN_DIR=$work/run RUN_PORT=${RUN_TEST_PORT:-17443}
number=0 failed=0 run_pid=''

finish() {
  if [[ $run_pid ]] && kill -TERM "$run_pid" 2>/dev/null; then wait "$run_pid" || true; fi
  rm -rf "$work"
}
trap finish EXIT

# result NAME COMMAND...: one TAP line; what run.sh printed when it is not ok.
result() {
  local name=$1
  shift
  number=$((number + 1))
  if "$@" >"$work/check" 2>&1; then
    echo "ok $number - $name"
  else
    echo "not ok $number - $name"
    tail -n 30 "$work/out" "$work/check" 2>/dev/null | sed 's/^/# /'
    failed=1
  fi
}

# refused NAME MESSAGE [VARIABLE=VALUE...]: run.sh ends by itself, with that as its last line.
refused() {
  local name=$1 message=$2 status=0
  shift 2
  env "$@" timeout 120 "$here/run.sh" >"$work/out" 2>&1 || status=$?
  result "$name" says_last "$status" "$message"
}
says_last() { [[ $1 == 1 && $(tail -n 1 "$work/out") == 'make run: '*"$2"* ]]; }
again() { kubectl get configmap kept && ((took < 20)); }

# start_run: starts run.sh and waits until it says how to stop it, or ends.
start_run() {
  started=$SECONDS
  : >"$work/out"
  # A background process of a script ignores SIGINT unless told otherwise.
  setsid env --default-signal=INT "$here/run.sh" >>"$work/out" 2>&1 &
  run_pid=$!
  until grep -q '^Ctrl-C stops it' "$work/out"; do
    kill -0 "$run_pid" 2>/dev/null || return 1
    timeout 0.2 tail -f /dev/null --pid="$run_pid" || true
  done
  took=$((SECONDS - started))
}
stop_run() {
  kill "-$1" "$run_pid"
  wait "$run_pid" && grep -q '^stopped; the data stay' "$work/out" && [[ ! -e $RUN_DIR/pid ]] && ! pgrep -f "secure-port=$RUN_PORT " >/dev/null
}
kubectl() { "$RUN_DIR/bin/kubectl" --kubeconfig "$RUN_DIR/kubeconfig" "$@"; }

# build: so that no test waits for a compiler.
build() {
  "$root/build/deps.sh" run
  [[ ${LIBSTORAGE_LIB:-} ]] || "$here/library.sh"
  "$root/build/kube/build.sh"
}

echo 1..16
: >"$work/out"
result 'builds' build
refused 'a port that is none' 'is not a port' RUN_PORT=abc
refused 'a topology that is not there' "TOPOLOGY=$work/none cannot be read" "TOPOLOGY=$work/none"
touch "$work/file"
refused 'a directory that cannot be made' 'cannot be written' "RUN_DIR=$work/file/run"
printf 'backends:\n- endpoint: sqlite://./db/a.db\n  prefix: {name: a, prefix: pods, colour: red}\n' >"$work/bad.yaml"
refused 'an unknown field in the topology' 'kube-apiserver ended while it started' "TOPOLOGY=$work/bad.yaml"
result 'and the place is shown' grep -q 'bad.yaml.*colour' "$work/out"
refused 'a flag that kube-apiserver does not know' 'kube-apiserver ended while it started' APISERVER_FLAGS=--colour=red
result 'starts' start_run
result 'and answers' kubectl create configmap kept --from-literal=a=b
result 'and the topology can be asked' "$RUN_DIR/bin/stgctl" route "$here/topology.yaml" /registry/pods/default/web-0
result 'keys are for the owner alone' test "$(stat -c %a "$RUN_DIR" "$RUN_DIR/kubeconfig" | paste -sd ' ')" = '700 600'
refused 'a second run in the directory' "another make run holds $RUN_DIR"
refused 'a second run on the port' "port $RUN_PORT is taken by kube-apiserver" "RUN_DIR=$work/other"
result 'SIGINT stops it, in order' stop_run INT
start_run || true
result 'starts again in under 20 s with the data' again
result 'SIGTERM stops it' stop_run TERM
run_pid=''
exit "$failed"
