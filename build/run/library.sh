#!/usr/bin/env bash
# Builds libstorage.so and stgctl in out/release, as `make library` does, without the tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cmake --preset release
exec cmake --build --preset release --target storage stgctl
