#!/usr/bin/env bash
# Makes what the components prove themselves with: build/run/pki.sh DIR PORT
#
# DIR/pki: a CA, the server's certificate, client certificates, the key that signs
# service account tokens. DIR/kubeconfig (cluster administrator) and
# DIR/conf/*.kubeconfig. What is there and valid for another week is kept.
set -euo pipefail

dir=$1 port=$2
pki=$dir/pki
readonly days=3650 week=604800
umask 077
mkdir -p "$pki" "$dir/conf"
trap 'echo "openssl failed at line $LINENO" >&2' ERR

valid() { openssl x509 -in "$pki/$1.crt" -noout -checkend "$week" >/dev/null 2>&1; }

# authority NAME COMMON_NAME
authority() {
  if valid "$1"; then return; fi
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$days" -subj "/CN=$2" \
    -addext keyUsage=critical,keyCertSign,digitalSignature -keyout "$pki/$1.key" -out "$pki/$1.crt" 2>/dev/null
  renewed=yes
}

# certificate NAME AUTHORITY SUBJECT USAGE [ALTERNATIVE_NAMES]
certificate() {
  if [[ ! $renewed ]] && valid "$1"; then return; fi
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$3" -keyout "$pki/$1.key" -out "$pki/$1.csr" 2>/dev/null
  printf 'extendedKeyUsage=%s\nkeyUsage=critical,digitalSignature\n%s\n' "$4" "${5:+subjectAltName=$5}" >"$pki/$1.ext"
  openssl x509 -req -in "$pki/$1.csr" -CA "$pki/$2.crt" -CAkey "$pki/$2.key" -CAcreateserial -days "$days" \
    -extfile "$pki/$1.ext" -out "$pki/$1.crt" 2>/dev/null
  rm -f "$pki/$1.csr" "$pki/$1.ext"
}

base64_file() { base64 -w 0 "$1"; }

# kubeconfig FILE CLIENT
kubeconfig() {
  cat >"$1" <<EOF
apiVersion: v1
kind: Config
clusters:
- name: libstorage
  cluster:
    server: https://127.0.0.1:$port
    certificate-authority-data: $(base64_file "$pki/ca.crt")
users:
- name: $2
  user:
    client-certificate-data: $(base64_file "$pki/$2.crt")
    client-key-data: $(base64_file "$pki/$2.key")
contexts:
- name: libstorage
  context: {cluster: libstorage, user: $2}
current-context: libstorage
EOF
}

renewed=''
authority ca libstorage-ca
authority front-proxy-ca libstorage-front-proxy-ca
certificate apiserver ca /CN=kube-apiserver serverAuth \
  DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:10.96.0.1
certificate admin ca /O=system:masters/CN=admin clientAuth
certificate controller-manager ca /CN=system:kube-controller-manager clientAuth
certificate scheduler ca /CN=system:kube-scheduler clientAuth
certificate front-proxy-client front-proxy-ca /CN=front-proxy-client clientAuth
[[ -s $pki/sa.key ]] || openssl genrsa -out "$pki/sa.key" 2048 2>/dev/null
[[ -s $pki/sa.pub ]] || openssl rsa -in "$pki/sa.key" -pubout -out "$pki/sa.pub" 2>/dev/null
kubeconfig "$dir/kubeconfig" admin
kubeconfig "$dir/conf/controller-manager.kubeconfig" controller-manager
kubeconfig "$dir/conf/scheduler.kubeconfig" scheduler
