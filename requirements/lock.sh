#!/bin/sh
# Writes the pinned requirements anew; needs `uv`.
set -eu
cd "$(dirname "$0")/.."
compile() { uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet "$@"; }
compile --extra all pyproject.toml -o requirements/runtime.txt
compile --extra all --group dev -c requirements/runtime.txt pyproject.toml -o requirements/dev.txt
compile requirements/icpy.in -o requirements/icpy.txt
