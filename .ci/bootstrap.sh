#!/usr/bin/env bash
# What a bare Debian or Ubuntu machine may lack. Called by the Makefile:
#   .ci/bootstrap.sh python            print a Python of 3.11 or later ($PYTHON overrides)
#   .ci/bootstrap.sh venv DIR          make a virtual environment with it
#   .ci/bootstrap.sh tool PROGRAM PACKAGE   install a program from apt when it is missing
#   .ci/bootstrap.sh libpython DIR     install the shared library of that environment's Python when it is missing
# Each failure is one line that says what to run; the exit status is 3 (a tool is missing).
set -euo pipefail

fail() {
    echo "hwsim: error: $*" >&2
    exit 3
}

# Root needs no sudo; others need one that asks nothing, or a person at the terminal to ask.
apt_install() {
    command -v apt-get >/dev/null || return 1
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || return 1
        if sudo -n true 2>/dev/null; then as_root=(sudo -n); elif [ -t 0 ]; then as_root=(sudo); else return 1; fi
    fi
    echo "installing $* from apt" >&2
    local log
    log=$(mktemp)
    if "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >"$log" 2>&1 ||
        { "${as_root[@]}" apt-get update >"$log" 2>&1 &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >"$log" 2>&1; }; then
        rm -f "$log"
    else
        tail -n 5 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

recent_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        recent_enough "$PYTHON" || fail "PYTHON=$PYTHON is not a Python of 3.11 or later"
        echo "$PYTHON"
        return
    fi
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null && recent_enough "$name"; then
            echo "$name"
            return
        fi
    done
    fail "no Python 3.11 or later found; run: sudo apt-get install python3.11 (or: make PYTHON=/path/to/python)"
}

make_venv() {
    local dir=$1 python version package
    python=$(find_python)
    # Debian ships ensurepip, which venv needs, in a package of its own.
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        package=python$version-venv
        apt_install "$package" || fail "$python cannot make virtual environments; run: sudo apt-get install $package"
    fi
    "$python" -m venv --clear "$dir"
}

# cocotb runs Python inside the simulator and loads it as a shared library, which Debian packs on its own.
need_libpython() {
    local python=$1/bin/python package
    local present='import find_libpython, sys; sys.exit(find_libpython.find_libpython() is None)'
    "$python" -c "$present" && return
    package=$("$python" -c 'import sys; print("libpython%d.%d" % sys.version_info[:2])')
    apt_install "$package" && "$python" -c "$present" && return
    fail "the shared library of $("$python" --version) is missing; run: sudo apt-get install $package"
}

case "${1:-}" in
python) find_python ;;
venv) make_venv "$2" ;;
tool)
    command -v "$2" >/dev/null ||
        apt_install "$3" ||
        fail "$2 is missing and could not be installed; run: sudo apt-get update && sudo apt-get install $3"
    ;;
libpython) need_libpython "$2" ;;
*) fail "usage: .ci/bootstrap.sh python | venv DIR | tool PROGRAM PACKAGE | libpython DIR" ;;
esac
