# What can be seen of an image without running it. Sourced by images-test.sh, never run.
# shellcheck shell=bash
# Each function ends at its first command that fails: check in images-test.sh sees to that.
: "${root:?source lib.sh first}" "${work:=}" "${dist:=}" "${version:=}" "${image_user:?}" "${state_dir:?}"

# Bytes, as measured: upstream's own program on amd64 (build/kube/build.sh stock-apiserver).
readonly stock_apiserver=${STOCK_APISERVER_SIZE:-95375625}

archive_of() { printf '%s/%s-%s-%s.oci.tar\n' "$dist" "$2" "$version" "$1"; }
root_of() { printf '%s/%s/%s\n' "$work" "$1" "$2"; }
blob() { printf '%s/blobs/%s\n' "$1" "${2/://}"; }
# config_of ARCH IMAGE FILTER: of the image's configuration.
config_of() { jq -er "$3" "$(root_of "$1" "$2").config.json"; }

# same WHAT GOT WANT
same() { [[ $2 == "$3" ]] || { printf '%s is "%s", not "%s"\n' "$1" "$2" "$3"; false; }; }

# unpack ARCH IMAGE: as container runtimes do, by the OCI specification.
unpack() {
  local archive dir layout manifest layer
  archive=$(archive_of "$1" "$2") dir=$(root_of "$1" "$2")
  layout=$dir.layout
  [[ -f $archive ]] || { echo "$archive is not there: make images ARCH='$1' VERSION=$version"; false; }
  mkdir -p "$dir" "$layout"
  tar -C "$layout" -xf "$archive"
  same 'number of images' "$(jq '.manifests | length' "$layout/index.json")" 1
  manifest=$(blob "$layout" "$(jq -er '.manifests[0].digest' "$layout/index.json")")
  cp "$(blob "$layout" "$(jq -er .config.digest "$manifest")")" "$dir.config.json"
  while read -r layer; do
    same 'digest of a layer' "$(sha256sum <"$(blob "$layout" "$layer")" | cut -d' ' -f1)" "${layer#sha256:}"
    tar -C "$dir" --same-owner -xpzf "$(blob "$layout" "$layer")"
  done < <(jq -er '.layers[].digest' "$manifest")
  rm -rf "$layout"
  [[ -x $dir/usr/local/bin/$2 ]]
}

right_machine() {
  local want
  same architecture "$(config_of "$1" "$2" .architecture)" "$1"
  case $1 in
    amd64) want='Advanced Micro Devices X86-64' ;;
    arm64) want=AArch64 ;;
    ppc64le) want=PowerPC64 ;;
    s390x) want='IBM S/390' ;;
  esac
  same 'machine of the program' "$(readelf -h "$(root_of "$1" "$2")/usr/local/bin/$2" | sed -n 's/ *Machine: *//p')" "$want"
}

# right_labels: against git and against what is in the files.
right_labels() {
  local prefix=org.opencontainers.image created stamp dir
  dir=$(root_of "$1" "$2") stamp=$(epoch)
  created=$(date -u -d "@$stamp" +%Y-%m-%dT%H:%M:%SZ)
  label() { config_of "$1" "$2" ".config.Labels[\"$3\"]"; }
  same title "$(label "$1" "$2" $prefix.title)" "$2"
  same version "$(label "$1" "$2" $prefix.version)" "$version-libstorage"
  same revision "$(label "$1" "$2" $prefix.revision)" "$(revision)"
  same created "$(label "$1" "$2" $prefix.created)" "$created"
  same 'date of the image' "$(config_of "$1" "$2" .created)" "$created"
  same Kubernetes "$(label "$1" "$2" io.kubernetes.version)" "$version"
  same licences "$(label "$1" "$2" $prefix.licenses)" Apache-2.0
  label "$1" "$2" $prefix.source | grep -q '^https://' || { echo 'no source'; false; }
  grep -qaF "$version-libstorage" "$dir/usr/local/bin/$2" || { echo "the program does not call itself $version-libstorage"; false; }
  [[ $2 == kube-apiserver ]] || return 0
  grep -qaF "$(label "$1" "$2" io.libstorage.version)" "$dir"/usr/lib/*/libstorage.so.1 ||
    { echo "libstorage.so.1 is not $(label "$1" "$2" io.libstorage.version)"; false; }
}

not_root() {
  same user "$(config_of "$1" "$2" .config.User)" "$image_user:$image_user"
  same 'files that others may write' "$(cd "$(root_of "$1" "$2")" && find . ! -type l -perm /022 ! -path ./tmp)" ''
  same 'files with set-user-ID' "$(find "$(root_of "$1" "$2")" -type f -perm /6000)" ''
  same 'what the user owns' "$(cd "$(root_of "$1" "$2")" && find . ! -uid 0 -printf '%P:%U:%m\n' | sort)" \
    "$([[ $2 != kube-apiserver ]] || printf '%s\n' "run/kubernetes:$image_user:700" "$state_dir:$image_user:700")"
}

# no_shell: by the executable bit and by what is inside.
no_shell() {
  local dir file
  dir=$(root_of "$1" "$2")
  while IFS= read -r file; do
    [[ $file == "usr/local/bin/$2" || $file == usr/lib/*/ld*.so* ]] || { echo "can be run: $file"; false; }
  done < <(cd "$dir" && find . -type f -perm /111 -printf '%P\n')
  file=$(find "$dir" \( -name '*sh' -o -name 'busybox*' -o -name 'dpkg*' -o -name 'apt*' \) ! -path "*/var/lib/dpkg")
  same 'shells and package managers' "$file" ''
}

# expected_files: patterns of paths; what matches none is one too many.
expected_files() {
  local extra
  extra=$(cd "$(root_of "$1" "$2")" && find . ! -type d -printf '%P\n' | grep -vE "^($(paste -sd '|' <<'END'
usr/local/bin/kube-[a-z-]+
etc/(passwd|group|nsswitch\.conf|os-release|ssl/certs/ca-certificates\.crt)
usr/lib/(os-release|ssl/cert\.pem)
usr/share/(doc/[a-z0-9.+-]+/copyright|common-licenses/[A-Z][A-Za-z0-9.-]+)
var/lib/dpkg/status\.d/[a-z0-9.+-]+
lib|lib64|var/run
usr/lib(64)?/ld[a-z0-9.-]+
usr/lib/[a-z0-9_]+-linux-gnu/[a-zA-Z0-9_+.-]+\.so[0-9.]*
usr/lib/[a-z0-9_]+-linux-gnu/libmariadb3/plugin/[a-z0-9_]+\.so
END
  ))\$") || true
  same 'not expected' "$extra" ''
}

# exact_closure: counted anew from the program, by what the files ask for.
exact_closure() {
  local dir libs todo name file seen=''
  dir=$(root_of "$1" "$2") libs=usr/lib/$(arch_field "$1" triplet)
  todo=("usr/local/bin/$2")
  if [[ $2 == kube-apiserver ]]; then todo+=("$libs"/libmariadb3/plugin/{caching_sha2_password,client_ed25519,sha256_password}.so); fi
  for ((i = 0; i < ${#todo[@]}; i++)); do
    file=${todo[i]}
    [[ -f $dir/$file ]] || { echo "missing: $file"; false; }
    seen+=$(realpath --relative-to="$dir" "$dir/$file")$'\n'
    while read -r name; do
      [[ " ${todo[*]} " == *" $libs/$name "* ]] || todo+=("$libs/$name")
    done < <(readelf -d "$dir/$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
  done
  if [[ $2 == kube-apiserver ]]; then
    ((${#todo[@]} > 40)) || { echo "only ${#todo[@]} files: is it linked with libstorage?"; false; }
  fi
  same 'shared objects' "$(cd "$dir" && find . -type f \( -name '*.so' -o -name '*.so.*' -o -path './usr/local/bin/*' \) -printf '%P\n' | sort)" \
    "$(sort -u <<<"${seen%$'\n'}")"
}

dated() {
  local stamp
  stamp=$(epoch)
  same 'files with another date' "$(find "$(root_of "$1" "$2")" -mindepth 1 -printf '%Ts %P\n' | grep -v "^$stamp " | head -n 5)" ''
}

small() {
  local size limit
  size=$(find "$(root_of "$1" "$2")" -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%d", sum }')
  limit=$((stock_apiserver * 125 / 100 + 60000000))
  # The other one is its program, and papers.
  [[ $2 == kube-apiserver ]] || limit=$(($(stat -c %s "$(root_of "$1" "$2")/usr/local/bin/$2") + 2000000))
  echo "$size bytes, at most $limit"
  ((size > 10000000 && size <= limit))
}

# has_all IMAGE ARCH...: in the archive of several, the very images of the single ones.
has_all() {
  local archive=$dist/$1-$version.oci.tar image=$1 arch single
  shift
  [[ -f $archive ]] || { echo "$archive is not there"; false; }
  tar -xOf "$archive" ./index.json >"$work/index.json"
  tar -xOf "$archive" "./blobs/$(jq -er '.manifests[0].digest' "$work/index.json" | tr : /)" >"$work/list.json"
  for arch in "$@"; do
    single=$(tar -xOf "$(archive_of "$arch" "$image")" ./index.json | jq -er '.manifests[0].digest')
    same "the image of $arch" "$(jq -r --arg arch "$arch" '.manifests[] | select(.platform.architecture == $arch) | .digest' "$work/list.json")" "$single"
  done
}
