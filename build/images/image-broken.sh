# Shows that the checks of image-facts.sh see what is wrong: each gets a copy of a good image in
# which one thing was broken, and must fail. Sourced by images-test.sh, never run.
# shellcheck shell=bash
# shellcheck disable=SC2317 # functions are called by what is evaluated
: "${root:?source lib.sh first}" "${work:=}" "${image_user:?}"

# broken ARCH
broken() {
  local image=kube-apiserver
  refused "$1" $image 'of another architecture' right_machine 'config ".architecture = \"riscv64\""'
  refused "$1" $image 'with a program of another one' right_machine 'printf "\000\050" | dd of=usr/local/bin/kube-apiserver bs=1 seek=18 conv=notrunc'
  refused "$1" $image 'with a label of another library' right_labels 'config ".config.Labels[\"io.libstorage.version\"] = \"9.9.9 (0)\""'
  refused "$1" $image 'with a label of another commit' right_labels 'config ".config.Labels[\"org.opencontainers.image.revision\"] = \"0\""'
  refused "$1" $image 'that runs as root' not_root 'config ".config.User = \"0\""'
  refused "$1" $image 'with a set-user-ID file' not_root 'chmod u+s usr/local/bin/kube-apiserver'
  refused "$1" $image 'whose user owns a file' not_root "chown $image_user etc/passwd"
  refused "$1" $image 'with a shell' no_shell 'cp usr/local/bin/kube-apiserver usr/lib/bash; chmod 644 usr/lib/bash'
  refused "$1" $image 'with another program' no_shell 'cp usr/local/bin/kube-apiserver usr/local/bin/tool'
  refused "$1" $image 'with a file too many' expected_files 'echo >etc/left-over'
  refused "$1" $image 'with a library too few' exact_closure 'rm usr/lib/*/libyaml-cpp.so.*'
  # shellcheck disable=SC2016 # it expands where it is run
  refused "$1" $image 'with a library too many' exact_closure 'for file in usr/lib/*/libstorage.so.1; do cp -p "$file" "${file/storage/extra}"; done'
  refused "$1" $image 'with a date of today' dated 'touch etc/passwd'
  refused "$1" $image 'that is too large' small 'truncate -s 200M etc/passwd'
}

# refused ARCH IMAGE WHAT CHECK BREAKING: BREAKING is run in the root of the copy.
refused() { check "$1/$2: an image $3 is refused" sees "$1" "$2" "$4" "$5"; }

sees() {
  local good status config
  good=$(root_of "$1" "$2")
  work=$work/broken
  rm -rf "$work"
  mkdir -p "$(root_of "$1" "$2")"
  cp -a "$good/." "$(root_of "$1" "$2")/"
  cp -p "$good.config.json" "$work/$1/"
  config=$(root_of "$1" "$2").config.json
  config() { jq "$1" "$good.config.json" >"$config"; }
  "$3" "$1" "$2" # as it is it must pass
  (cd "$(root_of "$1" "$2")" && eval "$4")
  set +e # in a condition the check would go on behind an error
  (
    set -e
    "$3" "$1" "$2"
  )
  status=$?
  rm -rf "$work"
  ((status != 0)) || { echo "$3 found nothing wrong"; false; }
}
