#!/usr/bin/env bash
# What is built says what it was built from: version.sh STGCTL SOURCE
set -euo pipefail
commit=$(git -C "$2" describe --always --abbrev=12 --exclude='*' --dirty)
said=$("$1" version)
[[ $said == "stgctl "[0-9]*.[0-9]*.[0-9]*" ($commit)" ]] || {
  echo "stgctl says '$said', but the sources are at $commit"
  exit 1
}
[[ $("$1" version -o json | jq -r .commit) == "$commit" ]]
