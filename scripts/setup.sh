#!/usr/bin/env bash
# Makes .venv: the locked dependencies, the package itself (editable) and the real mongod, ready to run.
# Quick when nothing has changed. What needs root is done where root and apt-get are there; else the one command
# to type is printed.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly VENV=.venv
readonly STAMP="$VENV/.setup-stamp"

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n  next: %s\n' "$1" "$2" >&2; exit 1; }

install_system_packages() { # PACKAGE...
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing $* with apt-get"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    else
        fail "missing system package: $*" "type \`sudo apt-get install $*\` (or your system's equivalent), then \`make setup\` again"
    fi
}

new_enough() { # INTERPRETER
    command -v "$1" >/dev/null && "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (4,))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if new_enough "$candidate"; then command -v "$candidate"; return; fi
    done
    fail "no Python 3.11 or newer was found" "install one, or name it: \`make setup PYTHON=/path/to/python3.11\`"
}

stamp() {
    { "$python" -c 'import sys; print(sys.version, sys.base_prefix)'; cat pyproject.toml requirements.lock scripts/setup.sh
      pwd; } | sha256sum
}

# An environment of the same Python is brought up to date; any other, or a half-made one, is made anew.
environment_fits() {
    [ -x "$VENV/bin/python" ] && "$VENV/bin/python" -c 'import pip' 2>/dev/null &&
        [ "$("$VENV/bin/python" -c 'import sys; print(sys.version)')" = "$("$python" -c 'import sys; print(sys.version)')" ]
}

make_environment() {
    if environment_fits; then return; fi
    # Debian's python3 comes without ensurepip, and `-m venv` would then leave half an environment behind.
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        install_system_packages "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    rm -rf "$VENV"
    "$python" -m venv "$VENV"
}

install_packages() {
    # The lock also pins the build backend, so that the package itself is built without another download.
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation --editable .
}

bundled_mongod() {
    "$VENV/bin/python" - <<'PYTHON'
import importlib.util
import pathlib

found = importlib.util.find_spec("fiftyone")
for folder in found.submodule_search_locations if found else ():
    mongod = pathlib.Path(folder, "db", "bin", "mongod")
    if mongod.exists():
        print(mongod)
PYTHON
}

# The wheel's mongod links against libcurl 4; everything else that it needs is in a minimal system.
check_mongod() {
    local mongod missing
    mongod="$(bundled_mongod | head -n 1)"
    if [ -z "$mongod" ]; then
        say "no mongod for this platform on the package index: install one, or name it with --mongod"
        return
    fi
    missing="$(ldd "$mongod" 2>/dev/null | awk '/not found/ { print $1 }' | sort -u | tr '\n' ' ')"
    case "$missing" in
        "") ;;
        "libcurl.so.4 ") install_system_packages libcurl4 ;;
        *) fail "$mongod lacks shared libraries: $missing" "it runs on Debian 12, Ubuntu 22.04 and newer; elsewhere install a mongod of your own" ;;
    esac
    "$mongod" --version >/dev/null || fail "$mongod does not run" "see the message above"
}

python="$(find_python)"
if [ ! -x "$VENV/bin/harness" ] || [ "$(stamp)" != "$(cat "$STAMP" 2>/dev/null || true)" ]; then
    say "preparing $VENV with $("$python" --version) (the first time downloads about 200 MB)"
    make_environment
    install_packages
    stamp >"$STAMP"
fi
check_mongod
