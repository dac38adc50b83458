# Holds images/Dockerfile and `make images` together. Sourced by images-test.sh, never run.
# shellcheck shell=bash
: "${root:?source lib.sh first}" "${work:=}" "${version:=}"

# by_dockerfile ARCH IMAGE: the last stage of the Dockerfile, given the files that the stage before
# it makes, is the image of the archive: the same files, labels, user and entry point.
by_dockerfile() {
  local good made settings='.config | [.User, .WorkingDir, .Entrypoint, .Env, (.Labels | del(.["io.buildah.version"]))]'
  good=$(root_of "$1" "$2")
  mkdir -p "$work/context/rootfs"
  cp -a "$good" "$work/context/rootfs/$2"
  build_stage "$2"
  made=$work/dockerfile.root
  mkdir "$made"
  while read -r layer; do
    tar -C "$made" --same-owner -xpzf "$(blob "$work/dockerfile" "$layer")"
  done < <(jq -er '.layers[].digest' "$(blob "$work/dockerfile" "$(jq -er '.manifests[0].digest' "$work/dockerfile/index.json")")")
  same files "$(listing "$made")" "$(listing "$good")"
  same settings "$(jq -c "$settings" "$(config_blob "$work/dockerfile")")" "$(config_of "$1" "$2" "$settings | tojson")"
  rm -rf "$made" "$work/dockerfile" "$work/context"
}

# build_stage IMAGE: into $work/dockerfile, an OCI layout.
build_stage() {
  local buildah="buildah --root $work/store --runroot $work/store.run --storage-driver vfs"
  BUILDER="$buildah build --build-context build=$work/context --pull-never --isolation chroot" \
    "$root/images/buildx.sh" "$version" "$1" --tag localhost/test:1
  $buildah push --quiet localhost/test:1 "oci:$work/dockerfile:test"
  rm -rf "$work/store" "$work/store.run"
}

config_blob() { blob "$1" "$(jq -er .config.digest "$(blob "$1" "$(jq -er '.manifests[0].digest' "$1/index.json")")")"; }

# listing DIR: every file with its mode, owner and content.
listing() {
  (cd "$1" && find . -mindepth 1 -printf '%P %y %m %U:%G %l\n' | LC_ALL=C sort && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum
}
