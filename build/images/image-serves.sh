# Runs the programs of images in a chroot of the image's own files. Sourced by images-test.sh.
# shellcheck shell=bash
: "${root:?source lib.sh first}" "${work:=}" "${version:=}" "${image_user:?}" "${state_dir:?}"
: "${images[0]:?}" "${native:=}" "${last_check:=0}"

# In the image, for the time of the test: what users mount.
readonly conf=etc/kubernetes

# runs ARCH: both images together, as a control plane.
runs() {
  port=$(free_port)
  check "$1/kube-apiserver: starts as the image's user and says that it is ready" start_apiserver "$1"
  ((last_check == 0)) || return 0
  check "$1/kube-apiserver: /version says what it is" served_version "$1"
  check "$1/kube-apiserver: writes objects to two SQLite files and reads them back" round_trip "$1"
  check "$1/kube-controller-manager: starts and does its work" controllers_work "$1"
  check "$1/kube-apiserver: ends cleanly when told to" stop "$1" kube-apiserver
}

# exchange FOREIGN NATIVE: one SQLite file, in turns. Bytes of the host's order would be read as
# other revisions, lengths or keys by the other one.
exchange() {
  port=$(free_port)
  check "$1 and $2: what $1 wrote is read on $2" handed_over "$1" "$2"
  ((last_check == 0)) || return 0
  check "$1 and $2: what $2 wrote is read on $1" handed_over "$2" "$1"
}

# free_port: the first of three that nobody has.
free_port() {
  local candidate
  for ((candidate = 20000 + RANDOM % 10000; ; candidate += 3)); do
    [[ $(ss -Hltn "sport >= :$candidate and sport <= :$((candidate + 2))") ]] || { echo "$candidate"; return; }
  done
}

# place_settings ARCH: certificates and a topology, owned by who reads them.
place_settings() {
  local dir
  for image in "${images[@]}"; do
    dir=$(root_of "$1" "$image")/$conf
    mkdir -p "$dir"
    "$root/build/run/pki.sh" "$work/settings" "$port"
    cp -r "$work/settings/." "$dir/"
    printf '%s\n' 'backends:' "- endpoint: sqlite:///$state_dir/configmaps.db" \
      '  prefix: {name: configmaps, prefix: configmaps}' >"$dir/topology.yaml"
    chown -R "$image_user:$image_user" "$dir"
  done
}

# launch ARCH IMAGE FLAGS...: the image's program as its user, with no file but the image's. qemu
# lies in the chroot, so that nothing has to be registered with the kernel.
launch() {
  local arch=$1 image=$2 dir qemu run=()
  shift 2
  dir=$(root_of "$arch" "$image")
  qemu=$(emulator "$arch")
  if [[ $qemu ]]; then
    install -m 755 "$qemu" "$dir/.emulator"
    run=(/.emulator)
  fi
  env -i PATH=/usr/local/bin GODEBUG="${GODEBUG:-}" "$(command -v chroot)" --userspec="$(config_of "$arch" "$image" .config.User)" --groups= "$dir" \
    "${run[@]}" "/usr/local/bin/$image" "$@" >"$work/$arch.$image.log" 2>&1 </dev/null &
  echo "$!" >"$work/pids/$arch.$image"
}

# await ARCH IMAGE COMMAND...: until it succeeds; ends when the program does, or after a minute,
# five under emulation.
await() {
  local arch=$1 image=$2 deadline=$((SECONDS + 60)) pid
  [[ $arch == "$native" ]] || deadline=$((SECONDS + 300))
  pid=$(<"$work/pids/$1.$2")
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! kill -0 "$pid" 2>/dev/null || ((SECONDS > deadline)); then
      tail -n 30 "$work/$arch.$image.log"
      echo "$image on $arch: never came to: $*"
      return 1
    fi
    timeout 0.2 tail -f /dev/null --pid="$pid" || true
  done
}

stop() {
  local pid
  pid=$(<"$work/pids/$1.$2")
  kill -TERM "$pid"
  timeout 120 tail -s 0.1 -f /dev/null --pid="$pid" || { echo "$2 on $1 runs on after SIGTERM"; return 1; }
  rm "$work/pids/$1.$2"
  ! grep -nE '^(panic|fatal error|SIG[A-Z]+:)' "$work/$1.$2.log"
}

# api METHOD PATH [JSON]: as the administrator; fails on an answer above 399.
api() {
  local pki=$work/settings/pki
  curl -sS --fail-with-body --max-time 60 --cacert "$pki/ca.crt" --cert "$pki/admin.crt" --key "$pki/admin.key" -X "$1" \
    -H 'Content-Type: application/json' ${3:+--data "$3"} "https://127.0.0.1:$port$2"
}

start_apiserver() {
  local pki=/$conf/pki mode=RBAC
  # Under emulation the first roles do not come to be within the 30 s that the hook has.
  [[ $1 == "$native" ]] || mode=AlwaysAllow
  place_settings "$1"
  launch "$1" kube-apiserver --storage-backend=libstorage --topology-config=/$conf/topology.yaml \
    --etcd-servers="multi://sqlite:///$state_dir/default.db" --metadata-store="sqlite:///$state_dir/metadata.db" \
    --bind-address=127.0.0.1 --secure-port="$port" --advertise-address=192.0.2.1 --authorization-mode="$mode" \
    --tls-cert-file=$pki/apiserver.crt --tls-private-key-file=$pki/apiserver.key --client-ca-file=$pki/ca.crt \
    --service-cluster-ip-range=10.96.0.0/16 --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file=$pki/sa.pub --service-account-signing-key-file=$pki/sa.key
  await "$1" kube-apiserver api GET /readyz
  same 'user of the process' "$(ps -o uid=,gid= -p "$(<"$work/pids/$1.kube-apiserver")" | xargs)" "$image_user $image_user"
}

served_version() {
  local answer
  answer=$(api GET /version)
  same gitVersion "$(jq -r .gitVersion <<<"$answer")" "$version-libstorage"
  same platform "$(jq -r .platform <<<"$answer")" "linux/$1"
}

configmap() { jq -cn --arg name "$1" --arg data "$2" '{apiVersion: "v1", kind: "ConfigMap", metadata: {name: $name, labels: {from: $data}}, data: {data: $data}}'; }
readonly configmaps=/api/v1/namespaces/default/configmaps

# round_trip ARCH: each object is in the file that the topology says.
round_trip() {
  local dir names
  dir=$(root_of "$1" kube-apiserver)/$state_dir
  await "$1" kube-apiserver api GET /api/v1/namespaces/default
  api POST $configmaps "$(configmap "of-$1" "$1")" >/dev/null
  api POST /api/v1/namespaces '{"metadata": {"name": "round-trip"}}' >/dev/null
  same 'what is read back' "$(api GET "$configmaps/of-$1" | jq -r .data.data)" "$1"
  same 'what a selector finds' "$(api GET "$configmaps?labelSelector=from%3D$1" | jq -r '.items[].metadata.name')" "of-$1"
  names=$(sqlite3 -readonly "$dir/configmaps.db" "SELECT CAST(key AS TEXT) FROM objects WHERE key = CAST('/registry/configmaps/default/of-$1' AS BLOB)")
  same 'key in configmaps.db' "$names" "/registry/configmaps/default/of-$1"
  same 'attributes in configmaps.db' "$(sqlite3 -readonly "$dir/configmaps.db" "SELECT hex(attrs) FROM objects WHERE CAST(key AS TEXT) LIKE '%/of-$1'")" "$(attributes "$1")"
  api GET $configmaps >"$work/list.json"
  served >"$work/$1.served"
  same 'keys in default.db' "$(sqlite3 -readonly "$dir/default.db" "SELECT count(*) FROM objects WHERE CAST(key AS TEXT) IN ('/registry/namespaces/round-trip', '/registry/configmaps/default/of-$1')")" 1
}

# attributes ARCH: those of the object of round_trip, byte by byte as docs/format.md has them.
attributes() {
  printf 01
  entry 1 from "$1"
  entry 2 metadata.name "of-$1"
  entry 2 metadata.namespace default
}
entry() { printf '%02X%02X%s%02X%s' "$1" "${#2}" "$(hex "$2")" "${#3}" "$(hex "$3")"; }
hex() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n' | tr a-f A-F; }

# controllers_work ARCH: a namespace that gets its service account got it from them.
controllers_work() {
  local config=/$conf/conf/controller-manager.kubeconfig
  launch "$1" kube-controller-manager --kubeconfig=$config --authentication-kubeconfig=$config --authorization-kubeconfig=$config \
    --bind-address=127.0.0.1 --secure-port=$((port + 1)) --leader-elect=false --use-service-account-credentials \
    --controllers=serviceaccount-controller,namespace-controller,root-ca-certificate-publisher-controller \
    --root-ca-file=/$conf/pki/ca.crt --service-account-private-key-file=/$conf/pki/sa.key
  await "$1" kube-controller-manager api GET /api/v1/namespaces/round-trip/serviceaccounts/default
  await "$1" kube-controller-manager api GET /api/v1/namespaces/round-trip/configmaps/kube-root-ca.crt
  stop "$1" kube-controller-manager
}

# handed_over FROM TO: TO starts on the files that FROM left, serves each object with the content and
# the revision with which FROM served it, and adds one of its own. Then every old row is still the same, byte by byte.
handed_over() {
  local from to image
  from=$(root_of "$1" kube-apiserver)/$state_dir
  for image in "${images[@]}"; do
    [[ -d $(root_of "$2" "$image") ]] || unpack "$2" "$image"
  done
  to=$(root_of "$2" kube-apiserver)/$state_dir
  rows "$from" >"$work/before"
  grep -q '^of-' "$work/$1.served"
  rm -rf "$to"
  cp -a "$from" "$to"
  start_apiserver "$2"
  api GET $configmaps >"$work/list.json"
  same 'objects that are not served as they were' "$(comm -23 "$work/$1.served" <(served))" ''
  api POST $configmaps "$(configmap "after-$1" "$2")" >/dev/null
  api GET $configmaps >"$work/list.json"
  served >"$work/$2.served"
  same 'the newest object' "$(sort -n -k 2 "$work/$2.served" | tail -n 1 | cut -f 1)" "after-$1"
  stop "$2" kube-apiserver
  rows "$to" >"$work/after"
  same 'rows that are gone or differ' "$(comm -23 "$work/before" "$work/after")" ''
}

# rows DIR: of a store that nobody has open; content in hexadecimal.
rows() { in_file "$1" "SELECT CAST(key AS TEXT), create_rev, mod_rev, hex(attrs), hex(value) FROM objects" | LC_ALL=C sort; }
in_file() { sqlite3 -separator '	' "file:$1/configmaps.db?immutable=1" "$2"; }
# served: name and revision of those whose content is right.
served() {
  jq -r '.items[] | select(.data.data == .metadata.labels.from) | [.metadata.name, .metadata.resourceVersion] | @tsv' "$work/list.json" | LC_ALL=C sort
}
