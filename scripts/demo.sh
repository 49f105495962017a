#!/usr/bin/env bash
# The demonstration: two patterns, published and hardened, on a real three-member replica set whose primary is cut off.
set -euo pipefail
cd "$(dirname "$0")/.."

exec .venv/bin/harness run write_concern optimistic_lock \
    --variant published --variant hardened --setting w=1 --setting w=majority --fault partition-primary \
    --clients 10 --duration 10 --expect "$@"
