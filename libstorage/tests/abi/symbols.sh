#!/bin/sh
# symbols.sh LIBRARY HEADER: the library exports exactly the functions that the
# header declares, and has a SONAME.
set -eu
exported=$(nm -D --defined-only "$1" | awk '$2 != "A" {print $3}' | sed 's/@.*//' | sort)
declared=$(sed -n 's/^STG_API.*[ *]\(stg_[a-z_]*\)(.*/\1/p' "$2" | sort)
if [ "$exported" != "$declared" ]; then
  echo "exported and declared functions differ:"
  printf '%s\n' "$exported" >"${TMPDIR:-/tmp}/stg-exported.$$"
  printf '%s\n' "$declared" | diff - "${TMPDIR:-/tmp}/stg-exported.$$" || true
  rm -f "${TMPDIR:-/tmp}/stg-exported.$$"
  exit 1
fi
readelf -d "$1" | grep -q 'SONAME.*libstorage\.so\.[0-9]' || { echo "no SONAME"; exit 1; }
echo "$(printf '%s\n' "$exported" | wc -l) functions, nothing else"
