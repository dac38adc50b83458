#!/usr/bin/env bash
# Makes the Go module that the patched binaries are built in.
#
#   build/kube/prepare.sh [VERSION [OUT]]      default: v1.32.0 out/kube/VERSION
#
# OUT/apiserver       k8s.io/apiserver of that version with patches/v1.32 applied
# OUT/go.mod          k8s.io/kubernetes, its staging modules and go-shim, with replaces
# OUT/kube-apiserver  the main package: upstream's command plus go-shim/factory
#
# KUBERNETES_SRC=dir  takes Kubernetes from a checkout instead of its Go modules.
# GO_SHIM=dir         takes another go-shim than the repository's.
# Nothing is done when nothing has changed.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version=${1:-v1.32.0}
out=${2:-$root/out/kube/$version}
shim=$(realpath -m "${GO_SHIM:-$root/go-shim}")
here=$root/build/kube
staging=$(staging_version "$version")
patches=$(patch_dir "$version")
check_source
[[ -f $shim/go.mod ]] || die "no go-shim in $shim: its go.mod is missing"

# base_stamp: everything this script reads but go-shim, and but module contents, which the lock pins.
base_stamp() {
  echo "$version $shim ${KUBERNETES_SRC:-modules}"
  echo "$(lock_field "$version" base) $(lock_field "$version" tree)"
  files_hash "$patches"/{series,*.patch} "$here/lib.sh" "$here/prepare.sh" "$here/main"
  if [[ -n ${KUBERNETES_SRC:-} ]]; then
    files_hash "$KUBERNETES_SRC/$apiserver_path/pkg" "$KUBERNETES_SRC/go.mod"
  fi
}

# staged_modules GOMOD: the modules that Kubernetes' own go.mod takes from staging/.
staged_modules() { sed -n 's/^[[:space:]]*\(k8s\.io\/[a-z-]*\) => .*/\1/p' "$1" | sort -u; }

write_go_mod() {
  local kubernetes=$1 module
  echo "module github.com/libstorage/kube"
  echo
  echo "go 1.23.0"
  echo
  echo "godebug default=go1.23"
  echo
  echo "require ("
  echo "	github.com/libstorage/go-shim v0.0.0"
  echo "	k8s.io/apiserver $staging"
  echo "	k8s.io/component-base $staging"
  echo "	k8s.io/kubernetes $version"
  echo ")"
  echo
  echo "replace ("
  # From where go.mod is: Go writes it into the binary, which must not depend on the checkout.
  echo "	github.com/libstorage/go-shim => ./$(realpath --relative-to="$out" "$shim")"
  if [[ -n ${KUBERNETES_SRC:-} ]]; then
    echo "	k8s.io/kubernetes => $kubernetes"
  fi
  while read -r module; do
    case $module in
      k8s.io/apiserver) echo "	$module => ./apiserver" ;;
      *) if [[ -n ${KUBERNETES_SRC:-} ]]; then
        echo "	$module => $kubernetes/staging/src/$module"
      else
        echo "	$module => $module $staging"
      fi ;;
    esac
  done < <(staged_modules "$kubernetes/go.mod")
  echo ")"
}

base=$(base_stamp)
stamp=$base$'\n'"shim $(files_hash "$shim/go.mod")"
prepared() { [[ -f $out/.prepared && $(<"$out/.prepared") == "$stamp" ]]; }
if prepared; then
  say "kube: $version is prepared in $out"
  exit 0
fi

mkdir -p "$out"
exec 7>"$out/.prepare.lock"
flock 7
if prepared; then # by the one that had the lock
  exit 0
fi
say "kube: preparing $version in $out"
rm -f "$out/.prepared"
# A change of go-shim alone leaves the patched copy, which others may be building from.
if [[ ! -d $out/apiserver || ! -f $out/.patched || $(<"$out/.patched") != "$base" ]]; then
  patched_apiserver "$version" "$out/apiserver.new"
  rm -rf "$out/apiserver"
  mv "$out/apiserver.new" "$out/apiserver"
  printf '%s\n' "$base" >"$out/.patched"
fi
if [[ -n ${KUBERNETES_SRC:-} ]]; then
  kubernetes=$(realpath "$KUBERNETES_SRC")
else
  read -r kubernetes _ < <(module_info k8s.io/kubernetes "$version") ||
    die "Kubernetes $version is not to be had as a Go module: give a checkout of the tag in KUBERNETES_SRC="
fi
write_go_mod "$kubernetes" >"$out/go.mod"
install -m 644 "$kubernetes/go.sum" "$out/go.sum"
mkdir -p "$out/kube-apiserver"
install -m 644 "$here/main/main.go" "$out/kube-apiserver/main.go"
printf '%s\n' "$stamp" >"$out/.prepared"
