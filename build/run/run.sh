#!/usr/bin/env bash
# `make run`: builds what is missing and runs a control plane in the foreground.
# Ctrl-C (or SIGTERM to the process in RUN_DIR/pid) stops it; the data stay.
#
# RUN_DIR=run     where everything of it is: data, keys, logs, kubeconfig, bin/kubectl, bin/stgctl
# RUN_PORT=6443   the API server; controller-manager and scheduler take the next two
# TOPOLOGY=FILE   another topology than build/run/topology.yaml; relative paths in it count from RUN_DIR
# DEFAULT_DATABASE, METADATA_STORE   other endpoints than sqlite://./db/default.db and metadata.db
# APISERVER_FLAGS='--watch-cache=false …'   more flags for kube-apiserver
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
run=$(realpath -m "${RUN_DIR:-$root/run}")
port=${RUN_PORT:-6443}
logs=$run/log
topology=$(realpath -m "${TOPOLOGY:-$here/topology.yaml}")
default_database=${DEFAULT_DATABASE:-sqlite://./db/default.db}
metadata_store=${METADATA_STORE:-sqlite://./db/metadata.db}
kube_out=${KUBE_OUT:-$root/out/kube/v1.32.0}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=components.sh
. "$here/components.sh"
# shellcheck source-path=SCRIPTDIR source=report.sh
. "$here/report.sh"

# check_start: what can be known to be wrong before anything is built.
check_start() {
  [[ $port =~ ^[1-9][0-9]{0,4}$ && $port -lt 65534 ]] || die "RUN_PORT=$port is not a port (1 to 65533)"
  [[ -r $topology ]] || die "TOPOLOGY=$topology cannot be read"
  { mkdir -p "$logs" "$run/db" "$run/bin" "$run/lib" && chmod 700 "$run"; } 2>/dev/null || die "RUN_DIR=$run cannot be written"
  exec 8>>"$run/.lock"
  flock -n 8 || die "another make run holds $run (process $(cat "$run/pid" 2>/dev/null || echo unknown)): stop it, or give another RUN_DIR="
  check_ports
  echo "$$" >"$run/pid"
}

check_ports() {
  local taken
  for taken in "$port" $((port + 1)) $((port + 2)); do
    ! listening "$taken" ||
      die "port $taken is taken$(ss -Hltnp "sport = :$taken" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/ by \1, process \2/p' | head -n 1): give another base port with RUN_PORT="
  done
}

# build_all: each step is a no-op of a second or less when nothing has changed.
build_all() {
  step packages "$root/build/deps.sh" run
  if [[ -z ${LIBSTORAGE_LIB:-} ]]; then
    step 'libstorage, C++' "$here/library.sh"
  fi
  step 'kube-apiserver, patched' "$root/build/kube/build.sh" kube-apiserver
  step 'controller-manager, scheduler and kubectl' "$root/build/kube/build.sh" kube-controller-manager kube-scheduler kubectl
}

# install_binaries: into the run directory, so that a later build does not disturb a running control plane.
install_binaries() {
  local file
  for file in "$kube_out"/bin/kube{-apiserver,-controller-manager,-scheduler,ctl} "$kube_out"/lib/*; do
    install_file "$file" "$run/${file#"$kube_out"/}"
  done
  [[ ${LIBSTORAGE_LIB:-} ]] || install_file "$root/out/release/libstorage/stgctl" "$run/bin/stgctl"
}
install_file() {
  if [[ -L $1 ]]; then
    ln -sfn "$(readlink "$1")" "$2"
  elif ! cmp -s "$1" "$2"; then
    cp "$1" "$2.new"
    mv "$2.new" "$2"
  fi
}

stopping='' ready=''
# finish: the end of every way out, in order: clients first, then the API server, whose end closes the databases.
finish() {
  local status=$? name
  trap '' INT TERM HUP
  trap - EXIT
  if [[ $step_pid ]] && kill -TERM -- "-$step_pid" 2>/dev/null; then
    ended "$step_pid" 10 || kill -KILL -- "-$step_pid" 2>/dev/null || true
  fi
  for name in kube-scheduler kube-controller-manager kube-apiserver; do
    [[ ! ${pids[$name]:-} ]] || { say "stopping $name"; stop "$name"; }
  done
  if [[ $stopping && $ready ]]; then
    say "stopped; the data stay in $run"
    status=0
  elif [[ $stopping ]]; then
    reason='interrupted before the control plane was ready'
  fi
  if [[ -f $run/pid && $(<"$run/pid") == "$$" ]]; then rm -f "$run/pid"; fi
  [[ ! $reason ]] || printf '\nmake run: %s\n' "$reason" >&2
  exit "$status"
}

# watch_over: until a component ends, which is an error, or a signal comes.
watch_over() {
  local name
  wait -n "${pids[@]}" 2>/dev/null || true
  for name in "${!pids[@]}"; do
    kill -0 "${pids[$name]}" 2>/dev/null && continue
    log_tail "$logs/$name.log" >&2
    unset "pids[$name]"
    die "$name ended by itself, so everything was stopped"
  done
}

trap finish EXIT
trap 'stopping=yes; exit 130' INT TERM HUP

check_start
build_all
install_binaries
"$here/pki.sh" "$run" "$port"
check_ports
start_apiserver
await kube-apiserver "https://127.0.0.1:$port/readyz"
printf '%5ds  kube-apiserver is ready\n' "$SECONDS"
start_clients
await kube-controller-manager "https://127.0.0.1:$((port + 1))/healthz"
await kube-scheduler "https://127.0.0.1:$((port + 2))/healthz"
printf '%5ds  the control plane is ready\n' "$SECONDS"
report
ready=yes
watch_over
