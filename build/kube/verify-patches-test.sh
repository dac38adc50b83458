#!/usr/bin/env bash
# Shows that verify-patches.sh fails, and says why, on series that are wrong.
# Prints TAP.
# shellcheck disable=SC2317  # the edits are called by name
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0 failed=0

# case_ NAME EXPECTED_MESSAGE EDIT...: verifies a copy of the series after the edit
# (run in the copy); the message "" means that it must pass.
case_() {
  local name=$1 expected=$2 output status=0
  shift 2
  number=$((number + 1))
  rm -rf "$work/series"
  cp -r "$root/patches/v1.32" "$work/series"
  (cd "$work/series" && "$@")
  output=$(PATCH_DIR=$work/series "$root/build/kube/verify-patches.sh" --no-tests v1.32.0 2>&1) || status=$?
  if [[ $expected && $status != 0 && $output == *"$expected"* ]] || [[ ! $expected && $status == 0 ]]; then
    echo "ok $number - $name"
  else
    echo "not ok $number - $name: exit code $status, wanted '${expected:-success}', got:"
    printf '%s\n' "$output" | sed 's/^/# /'
    failed=1
  fi
}

context_changed() { sed -i 's/^ 	switch c.Type {$/ 	switch c.Kind {/' 0001-*.patch; }
line_changed() { sed -i 's/^+	return backends\[storageType\]$/+	return nil/' 0001-*.patch; }
path_added() { sed -i '/options\/etcd.go/d' allowed-paths; }
path_unused() { echo staging/src/k8s.io/apiserver/pkg/server/config.go >>allowed-paths; }
patch_unlisted() { sed -i '/^0003/d' series; }
patch_missing() { rm 0003-*.patch; }
order_changed() { printf '%s\n' 0002-*.patch 0001-*.patch 0003-*.patch >series; }
reason_missing() { sed -i '/^Can be dropped when: /d' 0002-*.patch; }
base_changed() { sed -i 's/base=h1:./base=h1:x/' lock; }
unlocked() { sed -i '/^v1.32.0 /d' lock; }
new_file() { # LINES NAME: a patch that adds a file of so many lines
  local i
  printf 'Subject: x\n\nWhy: x\nHow it differs from upstream: x\nCan be dropped when: x\n---\ndiff --git a/%s b/%s\nnew file mode 100644\n--- /dev/null\n+++ b/%s\n@@ -0,0 +1,%s @@\n' \
    "$2" "$2" "$2" "$1"
  for ((i = 0; i < $1; i++)); do echo "+// $i"; done
}
too_long() {
  local path=staging/src/k8s.io/apiserver/pkg/long.go
  new_file 300 "$path" >0004-long.patch
  echo 0004-long.patch >>series
  echo "$path" >>allowed-paths
}
too_many() {
  local i
  for i in 4 5 6; do
    new_file 1 "staging/src/k8s.io/apiserver/pkg/more$i.go" >"000$i-more.patch"
    echo "000$i-more.patch" >>series
  done
}

echo 1..13
case_ 'the series as it is' '' true
case_ 'context that upstream does not have' 'does not apply' context_changed
case_ 'a changed line' "the lock says" line_changed
case_ 'a path that is not allowed' 'is touched but not in' path_added
case_ 'an allowed path that is not touched' 'no patch touches it' path_unused
case_ 'a patch that the series does not list' 'does not list exactly' patch_unlisted
case_ 'a listed patch that is not there' 'does not list exactly' patch_missing
case_ 'another order' 'not in the order' order_changed
case_ 'no word on when it can be dropped' "has no line that begins 'Can be dropped when: '" reason_missing
case_ 'another base' 'the lock says' base_changed
case_ 'a version that is not locked' 'is not in' unlocked
case_ 'too many lines' 'at most 300 are allowed' too_long
case_ 'too many patches' 'at most 5 are allowed' too_many
exit "$failed"
