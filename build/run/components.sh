# The three processes of the control plane. Sourced by run.sh, never run.
# shellcheck shell=bash
: "${run:?the run directory}" "${port:?the base port}" "${logs:?}" "${topology:?}"
: "${default_database:?}" "${metadata_store:?}"

declare -A pids=()

# start NAME FLAGS...: in a session of its own, so that Ctrl-C reaches run.sh alone
# and the order of the end is ours; it gets SIGTERM when run.sh dies.
start() {
  local name=$1
  shift
  [[ ! -f $logs/$name.log ]] || mv "$logs/$name.log" "$logs/$name.log.previous"
  (cd "$run" && umask 077 && exec setsid setpriv --pdeathsig TERM "bin/$name" "$@") >"$logs/$name.log" 2>&1 </dev/null 8>&- &
  pids[$name]=$!
}

# stop NAME: SIGTERM and wait; SIGKILL after a minute.
stop() {
  local pid=${pids[$1]:-}
  [[ $pid ]] || return 0
  kill -TERM "$pid" 2>/dev/null || true
  if ! ended "$pid" 60; then
    say "$1 does not stop, killing it"
    kill -KILL "$pid" 2>/dev/null || true
  fi
  wait "$pid" 2>/dev/null || true
  unset "pids[$1]"
}

# advertised: an address of this machine, which the kubernetes service shows; loopback is not allowed there.
advertised() { hostname -I 2>/dev/null | tr ' ' '\n' | grep -m 1 -E '^[0-9.]+$' || echo 192.0.2.1; }

start_apiserver() {
  local pki=$run/pki extra=()
  read -r -a extra <<<"${APISERVER_FLAGS:-}"
  start kube-apiserver \
    --storage-backend=libstorage --topology-config="$topology" \
    --etcd-servers="multi://$default_database" --metadata-store="$metadata_store" \
    --bind-address=127.0.0.1 --secure-port="$port" --advertise-address="$(advertised)" \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --authorization-mode=Node,RBAC --service-cluster-ip-range=10.96.0.0/16 --allow-privileged=true \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --requestheader-client-ca-file="$pki/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
    --requestheader-username-headers=X-Remote-User \
    --proxy-client-cert-file="$pki/front-proxy-client.crt" --proxy-client-key-file="$pki/front-proxy-client.key" \
    --shutdown-send-retry-after=true "${extra[@]}"
}

# start_client NAME SECURE_PORT FLAGS...: a component that talks to the API server; alone, so it needs no election.
start_client() {
  local name=$1 secure_port=$2 config=$run/conf/${1#kube-}.kubeconfig
  shift 2
  start "$name" --kubeconfig="$config" --authentication-kubeconfig="$config" --authorization-kubeconfig="$config" \
    --bind-address=127.0.0.1 --secure-port="$secure_port" --leader-elect=false "$@"
}

start_clients() {
  local pki=$run/pki
  start_client kube-controller-manager $((port + 1)) \
    --use-service-account-credentials=true --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key"
  start_client kube-scheduler $((port + 2))
}

# await NAME URL: until the component says that it is ready.
await() {
  local pid=${pids[$1]} why
  poll 120 "$pid" curl -sfk --max-time 5 -o /dev/null "$2" && return
  why="is not ready after 120 s: $(curl -sk --max-time 5 "$2" | grep -v '^\[+\]' | head -n 5 | paste -sd ' ')" || true
  kill -0 "$pid" 2>/dev/null || why='ended while it started'
  log_tail "$logs/$1.log" '^E[0-9]+ .*(run|server)\.go|^panic:|^Error:|^fatal error|command failed' >&2
  die "$1 $why"
}
