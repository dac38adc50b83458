#!/usr/bin/env bash
# Makes a Kubernetes checkout of a release from its Go modules, where there is no network
# but a module proxy: the root, staging/ and vendor/, in a git repository with the tag.
#
#   build/kube/tree.sh VERSION DIR
#
# What a real checkout has besides and no build needs is missing: LICENSES/vendor, nested
# tool modules. go.mod, go.work and vendor/modules.txt are those of the release.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version=${1:?VERSION} tree=$(realpath -m "${2:?DIR}")
staging=$(staging_version "$version")
[[ ! -e $tree ]] || die "$tree is there already"
export GOFLAGS=-mod=mod GOWORK=off

# copy_module MODULE VERSION DIR
copy_module() {
  local source
  read -r source _ < <(module_info "$1" "$2") || die "Go has no $1 $2: clone the tag of Kubernetes instead"
  mkdir -p "$3"
  cp -r "$source/." "$3"
  chmod -R u+w "$3"
}

# staged_again MODULE: in its go.mod the other staging modules are its neighbours again,
# as before the release was cut.
staged_again() {
  local dir=$tree/staging/src/$1 other edits=()
  for other in "${staged[@]}"; do
    [[ $other == "$1" ]] || edits+=("-replace=$other=../${other#k8s.io/}")
    if grep -q "^[[:space:]]\(require \)\{0,1\}$other $staging" "$dir/go.mod" || grep -q "^require $other $staging" "$dir/go.mod"; then
      edits+=("-require=$other@v0.0.0")
    fi
    sed -i "\#^$other v#d" "$dir/go.sum"
  done
  go mod edit "${edits[@]}" "$dir/go.mod"
}

# drop_unused MODULE: replacements of what it does not need.
drop_unused() {
  local dir=$tree/staging/src/$1 other needed edits=()
  needed=$(cd "$dir" && go list -m -f '{{.Path}}' all)
  for other in "${staged[@]}"; do
    [[ $other == "$1" ]] || grep -qxF "$other" <<<"$needed" || edits+=("-dropreplace=$other")
  done
  ((${#edits[@]} == 0)) || go mod edit "${edits[@]}" "$dir/go.mod"
}

copy_module k8s.io/kubernetes "$version" "$tree"
mapfile -t staged < <(sed -n 's#^[[:space:]]*\(k8s\.io/[a-z-]*\) => \./staging.*#\1#p' "$tree/go.mod" | sort -u)
((${#staged[@]} > 20)) || die "$tree/go.mod names no staging modules"
for module in "${staged[@]}"; do copy_module "$module" "$staging" "$tree/staging/src/$module"; done
for module in "${staged[@]}"; do staged_again "$module"; done
for module in "${staged[@]}"; do drop_unused "$module"; done
# Modules have neither links nor modes.
ln -sf build/root/Makefile "$tree/Makefile"
grep -rlIZ --include='*.sh' --include='*.py' '^#!' "$tree/hack" "$tree/build" "$tree/cluster" "$tree/test" | xargs -0 chmod +x
cp -r "$tree/vendor" "$tree/vendor.meta" # OWNERS, which go work vendor would delete
(cd "$tree" && GOFLAGS='' GOWORK=$tree/go.work go work vendor)
cp -rn "$tree/vendor.meta/." "$tree/vendor/"
rm -rf "$tree/vendor.meta"
git -c init.defaultBranch=release init -q "$tree"
git -C "$tree" -c core.safecrlf=false add -A -f
git -C "$tree" -c user.name=Kubernetes -c user.email=kubernetes@localhost commit -q -m "Kubernetes $version"
git -C "$tree" tag "$version"
say "kube: $version, a checkout made of modules, is in $tree"
