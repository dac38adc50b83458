# OCI archives of root file systems, with buildah. Sourced by images.sh after lib.sh.
# shellcheck shell=bash
: "${root:?source lib.sh first}" "${image_user:?}" "${state_dir:?}"

# A store of its own, that a machine's containers do not see; vfs works on every file system.
store=${IMAGES_OUT:-$root/out/images}/store
store() { buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs "$@"; }

# single_image ARCH VERSION IMAGE ROOTFS OUT: OUT.oci.tar and OUT.json.
single_image() {
  local arch=$1 version=$2 image=$3 rootfs=$4 out=$5 name container label stamp flags=(--arch "$1" --os linux)
  name=$(local_name "$image" "$version" "$arch")
  stamp=$(epoch)
  [[ $arch != arm64 ]] || flags+=(--variant v8)
  while IFS= read -r label; do
    flags+=(--label "$label")
  done < <(labels "$version" "$image")
  [[ $image != kube-apiserver ]] || flags+=(--workingdir "/$state_dir")
  container=$(store from scratch)
  # A tar file, because it is added as it is: owners, modes, dates.
  pack "$rootfs" >"$out.rootfs.tar"
  store add --quiet "$container" "$out.rootfs.tar" / >/dev/null
  rm -f "$out.rootfs.tar"
  store config "${flags[@]}" --user "$image_user:$image_user" --env PATH=/usr/local/bin:/usr/bin:/bin \
    --entrypoint "[\"/usr/local/bin/$image\"]" --created-by "build/images/images.sh" "$container"
  store commit --quiet --rm --format oci --identity-label=false \
    --timestamp "$stamp" "$container" "$name" >/dev/null
  store push --quiet --format oci "$name" "oci:$out.layout:$image:$version"
  archive "$out"
  contents "$arch" "$version" "$image" "$rootfs" "$out.oci.tar" >"$out.json"
  say "$arch: $(basename "$out.oci.tar") written"
}

# local_name IMAGE VERSION ARCH: in this machine's own store of images.
local_name() { printf 'localhost/libstorage/%s:%s-%s\n' "$1" "$2" "$3"; }

# pack DIR: a tar that depends on what is in DIR alone.
pack() { tar --sort=name --numeric-owner --format=gnu -C "$1" -c .; }

# archive OUT: OUT.layout, an OCI image layout, as OUT.oci.tar; the same bytes each time.
archive() {
  local stamp
  stamp=$(epoch)
  find "$1.layout" -exec touch -h -d "@$stamp" {} +
  tar --sort=name --numeric-owner --owner=0 --group=0 --mode=u=rwX,go=rX --format=gnu -C "$1.layout" -cf "$1.oci.tar.new" .
  mv "$1.oci.tar.new" "$1.oci.tar"
  rm -rf "$1.layout"
}

# many_image VERSION IMAGE OUT ARCH...: the images of several architectures under one name.
many_image() {
  local version=$1 image=$2 out=$3 list arch
  shift 3
  list=$(local_name "$image" "$version" list)
  store manifest rm "$list" >/dev/null 2>&1 || true
  store manifest create "$list" >/dev/null
  for arch in "$@"; do
    store manifest add "$list" "$(local_name "$image" "$version" "$arch")" >/dev/null
  done
  rm -rf "$out.layout"
  store manifest push --quiet --all --format oci "$list" "oci:$out.layout:$image:$version"
  store manifest rm "$list" >/dev/null
  archive "$out"
  say "$*: $(basename "$out.oci.tar") written"
}

# contents ARCH VERSION IMAGE ROOTFS ARCHIVE: JSON of sizes, packages and files.
contents() {
  local rootfs=$4
  jq -n --arg arch "$1" --arg version "$2" --arg image "$3" --arg digest "$(sha256sum "$5" | cut -d' ' -f1)" \
    --argjson compressed "$(stat -c %s "$5")" --argjson program "$(stat -c %s "$rootfs/usr/local/bin/$3")" \
    --rawfile files <(cd "$rootfs" && find . -type f -printf '%P\t%s\n' | LC_ALL=C sort) \
    --rawfile packages <(cd "$rootfs/var/lib/dpkg/status.d" && awk '/^(Package|Version): / { printf "%s%s", $2, $1 == "Version:" ? "\n" : "\t" }' ./*) '
    def pairs: rtrimstr("\n") | split("\n") | map(split("\t"));
    ($files | pairs) as $files | {
      image: $image, version: $version, architecture: $arch,
      size: {uncompressed: ($files | map(.[1] | tonumber) | add), archive: $compressed, program: $program},
      archive_sha256: $digest,
      packages: ($packages | pairs | map({key: .[0], value: .[1]}) | from_entries),
      files: ($files | map({key: .[0], value: (.[1] | tonumber)}) | from_entries)}'
}

# table DIST VERSION ARCH...: sizes for people.
table() {
  local dist=$1 version=$2 arch image
  shift 2
  printf '%-26s %-8s %14s %12s %12s %9s\n' image arch uncompressed compressed program packages
  # shellcheck disable=SC2154 # of lib.sh
  for image in "${images[@]}"; do
    for arch in "$@"; do
      jq -r '[.image, .architecture, .size.uncompressed, .size.archive, .size.program, (.packages | length)] | @tsv' \
        "$dist/$image-$version-$arch.json"
    done
  done | while IFS=$'\t' read -r image arch a b c d; do
    printf '%-26s %-8s %11s MB %9s MB %9s MB %9s\n' "$image" "$arch" "$(mb "$a")" "$(mb "$b")" "$(mb "$c")" "$d"
  done
}
mb() { awk -v bytes="$1" 'BEGIN { printf "%.1f", bytes / 1e6 }'; }
