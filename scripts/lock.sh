#!/usr/bin/env bash
# Pins every dependency for Python 3.11 to 3.13 into requirements.lock, with hashes and without any index's address.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly TOOLS=build/lock-tools

[ -x "$TOOLS/bin/uv" ] || { .venv/bin/python -m venv "$TOOLS" && "$TOOLS/bin/pip" install --quiet uv; }
{
    printf '# The pinned dependencies of this project with every extra, for Python 3.11 to 3.13 (environment markers choose).\n'
    printf '# Made by `make lock` from pyproject.toml; `make setup` installs exactly this.\n'
    "$TOOLS/bin/uv" pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes --no-header \
        --extra mongod --extra test --group build pyproject.toml
} >requirements.lock.partial
mv requirements.lock.partial requirements.lock
